"""What is said where the guard looks at the wrong directory: of a container that is another one than it was mounted for."""

import errno
import os
from datetime import UTC, datetime, timedelta

import pytest

from hermesguard.config import settings as config
from hermesguard.errors import GuardError
from hermesguard.lookup.health import quiet, troubles_of

WELL = {
    "running": True,
    "pid": 1,
    "ready": True,
    "store": "/store",
    "sessions_directory": "/webui/sessions",
    "sessions": 2,
    "watch_lost": False,
    "watch_reason": "",
    "store_error": "",
    "damaged_files": 0,
    "held": [],
    "unreadable": [],
    "unresolved": [],
}
THERE, GONE = {"name": "one", "missing": False}, {"name": "two", "missing": True}
MISSING = {"ready": False, "sessions": 0, "watch_reason": "why, in any words", "directories": [GONE]}
EMPTY = {"sessions": 0}
VANISHED = {"held": ["one", "two"]}


@pytest.mark.parametrize("known", [MISSING, EMPTY, VANISHED])
def test_in_a_container_the_file_that_was_left_out_is_named(known, monkeypatch):
    monkeypatch.setenv("HERMESGUARD_COMMAND", "docker exec hermesguard hermesguard")
    assert troubles_of(WELL) == []
    (trouble,) = troubles_of(WELL | known)
    assert "keeps its conversations: where its compose file" in trouble.remedy
    assert "add compose.volume.yaml (its first lines say how)" in trouble.remedy
    assert "hermesguard config" not in trouble.remedy, "nobody configures it in there"


@pytest.mark.parametrize("known", [MISSING, EMPTY])
def test_outside_the_directory_is_named_in_the_configuration(known, monkeypatch):
    monkeypatch.delenv("HERMESGUARD_COMMAND", raising=False)
    (trouble,) = troubles_of(WELL | known)
    assert "(hermesguard config show)" in trouble.remedy
    assert "compose" not in trouble.remedy


def test_a_guard_that_is_slow_to_begin_is_waited_for():
    (trouble,) = troubles_of(WELL | MISSING)
    assert trouble.remedy.startswith("hermes-webui makes it at its first start. If it was started already, ")
    (trouble,) = troubles_of(WELL | {"ready": False})
    assert trouble.remedy.startswith("Wait for it")


def test_one_directory_that_is_there_is_waited_for():
    (trouble,) = troubles_of(WELL | {"ready": False, "directories": [THERE]})
    assert trouble.remedy.startswith("Wait for it")
    several = {"directories": [one | {"sessions": 0, "watch_lost": False} for one in (GONE, THERE)]}
    (trouble,) = troubles_of(WELL | {"ready": False, **several})
    assert trouble.remedy.startswith("Wait for it")


@pytest.mark.parametrize("older", [{}, {"directories": [{"name": "one"}]}])
def test_what_an_older_guard_does_not_say_is_read_in_its_words(older):
    reason = "there is no directory /webui/sessions"
    (trouble,) = troubles_of(WELL | {"ready": False, "watch_reason": reason} | older)
    assert (trouble.words, trouble.is_critical) == (f"the guard is not ready, {reason}", True)
    assert trouble.remedy == "Wait for it, or see its log"


NOW = datetime(2026, 11, 27, 19, 30, tzinfo=UTC)


def saved(**ago: float) -> dict[str, str]:
    return {"last_save": (NOW - timedelta(**ago)).isoformat()}


def test_old_conversations_in_a_wrong_place_are_told_of(monkeypatch):
    """No trouble: whoever is away for a month need not be woken."""
    monkeypatch.setenv("HERMESGUARD_COMMAND", "docker exec hermesguard hermesguard")
    assert troubles_of(WELL | saved(days=30)) == []
    words = quiet(WELL | saved(days=30), NOW)
    assert words.startswith(
        "Nobody has saved a conversation in /webui/sessions for 30 days. If hermes-webui was used since, "
    )
    assert words.endswith("add compose.volume.yaml (its first lines say how).")
    monkeypatch.delenv("HERMESGUARD_COMMAND")
    assert "(hermesguard config show)" in quiet(WELL | saved(days=30), NOW)
    one, other = ({"sessions": 1, "missing": False, "watch_lost": False} for _ in range(2))
    assert "in any of 2 directories for" in quiet(WELL | saved(days=8) | {"directories": [one, other]}, NOW)


@pytest.mark.parametrize(
    "known",
    [saved(days=6, hours=23), saved(days=-400), {"last_save": ""}]
    + [saved(days=30) | more for more in (EMPTY, VANISHED, {"ready": False}, {"running": False})],
)
def test_it_is_not_said_of_what_is_used_or_told_of_otherwise(known):
    assert quiet(WELL | known, NOW) == ""


def test_a_volume_of_another_user_is_not_called_a_bad_configuration(tmp_path, monkeypatch):
    """The home of the container's user lies in it; an image that was built for another user made it."""
    (tmp_path / ".config/hermesguard").mkdir(parents=True)
    monkeypatch.setattr(config, "_content", denied)
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(GuardError, match=r"The configuration file .* cannot be read"):
        config.load({}, {"HOME": str(tmp_path)})
    monkeypatch.setenv("HERMESGUARD_COMMAND", "docker exec hermesguard hermesguard")
    with pytest.raises(GuardError, match=r"The configuration file .* cannot be read"):
        config.load({}, {"HOME": str(tmp_path)})
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    with pytest.raises(GuardError, match=r"belongs to uid .* and this is uid 4711") as caught:
        config.load({}, {"HOME": str(tmp_path)})
    assert "docker run --rm --user 0 --volumes-from hermesguard" in caught.value.remedy


def denied(path):
    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
