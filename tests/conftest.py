"""Fixtures that every test can use, and how Hypothesis looks for examples."""

from hypothesis import HealthCheck, settings

from world import world

__all__ = ["world"]

# A busy machine makes any example slow now and then. In CI, Hypothesis's own profile says the same and takes fixed examples.
settings.register_profile("here", deadline=None, suppress_health_check=[HealthCheck.too_slow])
if settings.default is not None and settings.default.deadline is not None:
    settings.load_profile("here")
