"""How the copies stand: what is safe, what waits, what went wrong; from the state and a look at the store."""

import time
from dataclasses import asdict, dataclass
from typing import Any, Final

from hermesguard.errors import GuardError
from hermesguard.offsite import batch, brief
from hermesguard.offsite.settings import OffsiteSettings
from hermesguard.offsite.state import LOCK, State, time_in_words
from hermesguard.offsite.upload import budget, retention
from hermesguard.offsite.upload.survey import Survey
from hermesguard.store.lock import lock_holder

_RECENT_SECONDS: Final = 86400.0


@dataclass
class Overview:
    """What `offsite status` says. A session is safe when the storage has its shadow and versions as they are now."""

    url: str
    running: bool
    by_timer: bool = False
    """`offsite run --once` was run lately: no process needs to run."""
    sessions: int = 0
    sessions_safe: int = 0
    waiting_files: int = 0
    lag_seconds: float = 0.0
    """How long the change that waits longest has waited."""
    objects: int = 0
    size_bytes: int = 0
    requests_today: int = 0
    requests_per_day: int = 0
    interval_seconds: float = 0.0
    """How far apart copies are now: longer than the setting when many requests were made."""
    machine: str = ""
    last_copy: str = ""
    last_look: str = ""
    error: str = ""
    error_time: str = ""
    held_sessions: int = 0
    damaged_files: int = 0
    left_behind: int = 0
    strangers: int = 0
    strangers_until: str = ""
    """When those of an earlier state of this machine go; empty when there are none, or the storage removes them."""
    missing: int = 0
    unsafe: tuple[str, ...] = ()
    """The sessions that are not safe."""

    def as_answer(self) -> dict[str, Any]:
        """Return it as one object of JSON."""
        return {**asdict(self), "unsafe": list(self.unsafe)}

    def problems(self) -> list[tuple[str, str]]:
        """Return what is not well, each with what to do."""
        found = []
        if not (self.running or self.by_timer):
            found.append(brief.NOT_RUNNING)
        if self.error:
            found.append(
                (
                    f"copying fails: {self.error}",
                    "It is tried again by itself; look at the storage and its key",
                )
            )
        elif brief.is_late(self.lag_seconds, self.interval_seconds) and self.running:
            found.append(
                (f"{self.waiting_files} files wait for too long", "See the journal of hermesguard-offsite")
            )
        if self.held_sessions:
            found.append(
                (
                    f"{self.held_sessions} sessions left the store without a reason; their copies are kept",
                    "If that was meant: hermesguard offsite accept. If not, bring them back: hermesguard offsite restore",
                )
            )
        if self.damaged_files:
            found.append(
                (
                    f"{self.damaged_files} files of the store are damaged and not copied",
                    "See: hermesguard verify",
                )
            )
        if self.left_behind:
            found.append(
                (
                    f"{self.left_behind} objects that should be gone are still in the storage",
                    "Allow the key to remove objects, or set lifetime in [offsite] if the storage removes them itself",
                )
            )
        if self.missing:
            found.append(
                (
                    f"{self.missing} objects were missing in the storage, and what they held was copied again",
                    "Find out who removed them; object lock keeps that from happening (docs/offsite.md)",
                )
            )
        return found


def overview(options: OffsiteSettings) -> Overview:
    """Return how the copies stand; GuardError when the state cannot be read."""
    running = lock_holder(options.state / LOCK) is not None
    found = Overview(options.url, running, requests_per_day=options.requests_per_day)
    state = State.to_read(options.state)
    if state is None:
        found.interval_seconds = options.interval_seconds
        return found
    try:
        _fill(found, options, state)
    except OSError as error:
        raise GuardError(
            f"The state of the copies cannot be read: {error}", "Try again, or as its owner"
        ) from None
    finally:
        state.close()
    return found


def _fill(found: Overview, options: OffsiteSettings, state: State) -> None:
    facts, now = state.facts(), time.time()
    objects = [one for one in state.objects() if one.stage in ("stored", "leaving")]
    found.objects, found.size_bytes = len(objects), sum(one.size_bytes for one in objects)
    found.requests_today = budget.used(state.requests(), now)
    found.interval_seconds = budget.interval_seconds(
        options.interval_seconds, options.requests_per_day, found.requests_today
    )
    found.by_timer = brief.is_by_timer(facts, now)
    found.machine = facts.get("machine", "")
    found.last_copy = time_in_words(facts["stored_ns"]) if "stored_ns" in facts else ""
    found.last_look = time_in_words(facts["looked_ns"]) if "looked_ns" in facts else ""
    if facts.get("error"):
        found.error, found.error_time = facts["error"], time_in_words(facts["error_ns"])
    elif facts.get("upkeep_error"):
        found.error = facts["upkeep_error"]
    held = state.held()
    found.held_sessions = len({batch.session_of(path) for path in held} - {None}) or len(held)
    found.damaged_files = int(facts.get("damaged", "0"))
    if options.lifetime_seconds is None:
        found.left_behind = int(facts.get("left_behind", "0"))
    found.strangers = int(facts.get("strangers", "0"))
    if found.strangers and options.lifetime_seconds is None:
        until_ns = int(facts.get("began_ns", "0")) + int(retention.earlier_seconds(options) * 1e9)
        found.strangers_until = time_in_words(until_ns)
    if now - int(facts.get("missing_ns", "0")) / 1e9 < _RECENT_SECONDS:
        found.missing = int(facts.get("missing", "0"))
    known, here = state.known(), Survey(options.store).look()
    waiting = [file for file in here.values() if path_waits(known, file.path, file.signature)]
    sessions = {batch.session_of(path) for path in here} - {None}
    unsafe = {batch.session_of(file.path) for file in waiting} - {None}
    found.waiting_files = len(waiting)
    if waiting:
        oldest = min(file.changed_ns for file in waiting) / 1e9
        found.lag_seconds = brief.lag_seconds(now, oldest, facts)
    found.sessions, found.sessions_safe = len(sessions), len(sessions - unsafe)
    found.unsafe = tuple(sorted(str(session) for session in unsafe))


def path_waits(known: dict[str, Any], path: str, signature: str) -> bool:
    """Return whether the storage lacks a file as it is now."""
    return path not in known or known[path].signature != signature
