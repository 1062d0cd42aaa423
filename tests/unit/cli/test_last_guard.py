"""How the last guard of a store ended, asked of a journal that is a list."""

import builtins
import os
import sys
import types
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import pytest

from hermesguard.cli import last_guard as module
from hermesguard.cli.last_guard import PROCESS_EXIT, UNIT_FAILED, LastGuard, last_guard
from hermesguard.events.catalog import BY_NAME
from hermesguard.events.journald import journal_field

PID, INVOCATION, BOOT = 4711, "f" * 32, "b" * 32
UNIT = "hermesguard@alice.service"


class ListReader:
    """A reader of `entries`, which matches as sd_journal_add_match(3) says: the same field or, other fields and."""

    entries: ClassVar[list[dict[str, Any]]] = []

    def __init__(self) -> None:
        self._wanted: dict[str, set[str]] = {}
        self._position = 0

    def flush_matches(self) -> None:
        self._wanted.clear()

    def add_match(self, **match: object) -> None:
        for name, value in match.items():
            self._wanted.setdefault(name, set()).add(str(value))

    def seek_tail(self) -> None:
        self._position = len(self.entries)

    def get_previous(self) -> dict[str, Any]:
        while self._position:
            self._position -= 1
            entry = self.entries[self._position]
            if all(str(entry.get(name)) in values for name, values in self._wanted.items()):
                return entry
        return {}

    def close(self) -> None:
        self._position = 0


@pytest.fixture
def entries(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the journal has, oldest first."""
    listed: list[dict[str, Any]] = []
    monkeypatch.setattr(ListReader, "entries", listed)
    journal = types.ModuleType("systemd.journal")
    monkeypatch.setattr(journal, "Reader", ListReader, raising=False)
    package = types.ModuleType("systemd")
    monkeypatch.setattr(package, "journal", journal, raising=False)
    monkeypatch.setitem(sys.modules, "systemd", package)
    monkeypatch.setitem(sys.modules, "systemd.journal", journal)
    monkeypatch.setattr(module, "_boot_id", lambda: BOOT)
    return listed


def at(minute: int) -> datetime:
    return datetime(2026, 11, 27, 3, minute, tzinfo=UTC)


def own(minute: int, event: str, **more: object) -> dict[str, Any]:
    """An entry of a guard that is a unit of systemd's."""
    return {
        "SYSLOG_IDENTIFIER": "hermesguard",
        "MESSAGE_ID": BY_NAME[event].message_id,
        "_PID": PID,
        "_UID": os.getuid(),
        "_BOOT_ID": BOOT,
        "_SYSTEMD_UNIT": UNIT,
        "_SYSTEMD_INVOCATION_ID": INVOCATION,
        "__REALTIME_TIMESTAMP": at(minute),
        **more,
    }


def started(store: Path, minute: int = 0, **more: object) -> dict[str, Any]:
    return own(minute, "started", **{journal_field("store"): str(store)}, **more)


def of_systemd(minute: int, message_id: str, **more: object) -> dict[str, Any]:
    return {
        "MESSAGE_ID": message_id,
        "_PID": 1,
        "INVOCATION_ID": INVOCATION,
        "__REALTIME_TIMESTAMP": at(minute),
        **more,
    }


def test_one_that_was_stopped(tmp_path: Path, entries: list[dict[str, Any]]) -> None:
    entries += [started(tmp_path), own(1, "stopping"), own(2, "stopped")]
    assert last_guard(tmp_path) == LastGuard(at(2).isoformat(), f"process {PID} of {UNIT} was stopped")


@pytest.mark.parametrize(
    ("death", "words"),
    [
        ([{"UNIT_RESULT": "watchdog"}], "was killed by systemd, for it gave no sign of life (watchdog)"),
        ([{"EXIT_CODE": "killed", "EXIT_STATUS": 9}], "was killed (signal 9)"),
        ([{"EXIT_CODE": "exited", "EXIT_STATUS": 1}, {"UNIT_RESULT": "exit-code"}], "ended with exit code 1"),
        (
            [{"EXIT_CODE": "killed", "EXIT_STATUS": 9}, {"UNIT_RESULT": "oom-kill"}],
            "was killed, for the machine",
        ),
        ([{}], "failed"),
    ],
)
def test_what_systemd_saw(
    tmp_path: Path, entries: list[dict[str, Any]], death: list[dict[str, object]], words: str
) -> None:
    entries += [started(tmp_path), own(1, "restored")]
    for number, fields in enumerate(death):
        entries.append(of_systemd(2, UNIT_FAILED if number else PROCESS_EXIT, **fields))
    told = last_guard(tmp_path)
    assert told.time == at(2).isoformat()
    assert told.words.startswith(f"process {PID} of {UNIT} {words}")


def test_one_that_nobody_saw_end(tmp_path: Path, entries: list[dict[str, Any]]) -> None:
    entries += [started(tmp_path), own(5, "restored")]
    told = last_guard(tmp_path)
    assert told.time == at(5).isoformat()
    assert "said this last; the journal does not show how it ended" in told.words


def test_a_machine_that_went_down(tmp_path: Path, entries: list[dict[str, Any]]) -> None:
    entries.append(started(tmp_path, _BOOT_ID="a" * 32))
    assert "ended with the machine" in last_guard(tmp_path).words


@pytest.mark.parametrize(
    "strange", [{"_UID": -1}, {journal_field("store"): "/another"}, {"SYSLOG_IDENTIFIER": "sh"}]
)
def test_what_is_not_of_this_store_or_not_of_its_owner_says_nothing(
    tmp_path: Path, entries: list[dict[str, Any]], strange: dict[str, object]
) -> None:
    entries.append(started(tmp_path) | strange)
    assert last_guard(tmp_path) == LastGuard("", "")


def test_without_the_library_it_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "systemd"]:
        monkeypatch.delitem(sys.modules, name)
    really = builtins.__import__

    def refused(name: str, *more: Any) -> Any:
        if name.split(".")[0] == "systemd":
            raise ImportError("libsystemd.so.0: cannot open shared object file")
        return really(name, *more)

    monkeypatch.setattr(builtins, "__import__", refused)
    assert last_guard(tmp_path) == LastGuard(
        "",
        "not known: the journal cannot be read here (libsystemd.so.0: cannot open shared object file)",
    )
