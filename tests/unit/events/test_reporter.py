"""Telling reaches the journal or the standard error, and never waits for either."""

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hermesguard.clock import Clock
from hermesguard.errors import ExitCode, GuardError
from hermesguard.events.catalog import BY_NAME, EVENTS
from hermesguard.events.event import Priority
from hermesguard.events.journald import Journal
from hermesguard.events.reporter import Reporter, open_reporter
from hermesguard.events.sinks import JsonLines, Offer, Outbox, Record
from tests.helpers.journald import Journald
from tests.helpers.waiting import until

START = datetime(2026, 11, 22, 12, 0, 0, 123456, UTC)
LOSS = {
    "session": "abc",
    "messages_before": 2,
    "messages_live": 0,
    "messages_after": 2,
    "evidence": ("one", "two"),
}


@pytest.fixture
def reporter(journald: Journald) -> Iterator[Reporter]:
    reporter = Reporter([Journal(journald.path)], Priority.DEBUG, Clock(now=lambda: START))
    yield reporter
    reporter.close()


def test_an_entry_in_the_journal(journald: Journald, reporter: Reporter) -> None:
    reporter.report("restored", **LOSS, writer_pid=None, duration_us=900)
    assert reporter.pump() is None
    assert journald.read() == [
        {
            "MESSAGE": "Restored abc; 2 messages before, 0 found, 2 now (0.9 ms). Why: one; two.",
            "MESSAGE_ID": BY_NAME["restored"].message_id,
            "PRIORITY": "4",
            "SYSLOG_IDENTIFIER": "hermesguard",
            "SYSLOG_FACILITY": "3",
            "HERMESGUARD_EVENT": "restored",
            "HERMESGUARD_TIME": "2026-11-22T12:00:00.123456Z",
            "HERMESGUARD_SESSION": "abc",
            "HERMESGUARD_MESSAGES_BEFORE": "2",
            "HERMESGUARD_MESSAGES_LIVE": "0",
            "HERMESGUARD_MESSAGES_AFTER": "2",
            "HERMESGUARD_EVIDENCE": "one\ntwo",
            "HERMESGUARD_DURATION_US": "900",
        }
    ]


def test_a_long_value_stays_below_what_journalctl_shows(journald: Journald, reporter: Reporter) -> None:
    reporter.report("config_invalid", error="ä" * 10_000, path="/\udcff")
    (entry,) = journald.read()
    assert all(len(f"{name}={value}".encode()) < 4096 for name, value in entry.items())
    assert entry["HERMESGUARD_ERROR"].startswith("ää")
    assert entry["HERMESGUARD_PATH"] == r"/\udcff"


def test_a_journald_that_hangs_costs_nothing_and_gets_everything(journald: Journald) -> None:
    times = (START + timedelta(seconds=second) for second in range(1000))
    reporter = Reporter([Journal(journald.path)], Priority.INFO, Clock(now=lambda: next(times)))
    # A journald that is not read from takes a few hundred; then a send would wait for ever.
    for number in range(1000):
        reporter.report("restored", **LOSS, writer_pid=number)
    delay = reporter.pump()
    assert delay is not None
    assert 0 < delay <= 1

    entries = []

    def all_there() -> bool:
        entries.extend(journald.read())
        return reporter.pump() is None

    until(all_there)
    entries.extend(journald.read())
    assert [int(entry["HERMESGUARD_WRITER_PID"]) for entry in entries] == list(range(1000))
    assert entries[-1]["HERMESGUARD_TIME"] == "2026-11-22T12:16:39.123456Z"
    reporter.close()


def test_a_journald_that_was_restarted_is_found_again(journald: Journald, reporter: Reporter) -> None:
    reporter.report("reloaded")
    assert len(journald.read()) == 1
    journald.stop()
    reporter.report("reloaded")
    assert reporter.pump() is not None
    journald.restart()
    until(lambda: reporter.pump() is None)
    reporter.report("stopped")
    assert [entry["HERMESGUARD_EVENT"] for entry in journald.read()] == ["reloaded", "stopped"]


def test_what_finds_no_room_is_bookkeeping_first_and_is_counted() -> None:
    taken: list[str] = []
    ready = False

    class Door:
        def encode(self, record: Record) -> bytes:
            return record.event.name.encode()

        def offer(self, payload: bytes) -> Offer:
            if ready:
                taken.append(payload.decode())
            return Offer.TAKEN if ready else Offer.LATER

        def finish(self) -> bool:
            return True

        def close(self) -> None: ...

    outbox = Outbox(Door(), lambda count: f"{count} dropped".encode(), most_bytes=30)
    for number in range(10):
        outbox.put(f"book{number}".encode(), important=False)
        outbox.put(f"loss{number}".encode(), important=True)
        assert outbox.pump() is not None
    ready = True
    assert outbox.pump() is None
    assert taken == ["loss4", "14 dropped", "loss5", "loss6", "loss7", "loss8", "loss9"]
    outbox.put(b"book", important=False)
    outbox.pump()
    assert taken[-1] == "book"


def test_the_order_is_kept_between_important_and_bookkeeping(journald: Journald) -> None:
    journal = Journal(journald.path)
    outbox = Outbox(journal, lambda count: b"")
    for number in range(6):
        outbox.put(f"N={number}\n".encode(), important=bool(number % 2))
    assert outbox.pump() is None
    assert [entry["N"] for entry in journald.read()] == list("012345")
    journal.close()


def test_flush_waits_for_a_slow_journald_but_not_for_ever(journald: Journald, reporter: Reporter) -> None:
    assert reporter.flush(0.0)
    for _ in range(3000):
        reporter.report("reloaded")
    assert not reporter.flush(0.05)


def test_bookkeeping_is_written_only_when_asked_for(journald: Journald) -> None:
    quiet = Reporter([Journal(journald.path)])
    quiet.report("version_kept", session="a")
    quiet.report("reloaded")
    assert not quiet.wants("version_kept")
    assert [entry["HERMESGUARD_EVENT"] for entry in journald.read()] == ["reloaded"]
    quiet.close()


def test_a_listener_hears_what_it_asked_for_whatever_the_level(journald: Journald) -> None:
    heard: list[str] = []
    reporter = Reporter([Journal(journald.path)])
    reporter.listen(lambda record: heard.append(record.event.name), {"version_kept", "restored"})
    assert reporter.wants("version_kept")
    for name in ("version_kept", "restored", "reloaded"):
        reporter.report(name)
    assert heard == ["version_kept", "restored"]
    assert [entry["HERMESGUARD_EVENT"] for entry in journald.read()] == ["restored", "reloaded"]
    reporter.close()


def test_undeclared_fields_are_left_out_and_reported_as_internal_error(
    journald: Journald, reporter: Reporter
) -> None:
    reporter.report(
        "restored", session="abc", text="what I wrote to my doctor", messages_before="what I wrote"
    )
    reporter.report("what I wrote")
    entries = journald.read()
    assert [entry["HERMESGUARD_EVENT"] for entry in entries] == ["restored"] + 3 * ["internal_error"]
    assert "doctor" not in str(entries)
    assert "HERMESGUARD_MESSAGES_BEFORE" not in entries[0]


def test_a_listener_that_fails_ends_nothing(journald: Journald, reporter: Reporter) -> None:
    def fail(record: Record) -> None:
        raise ZeroDivisionError

    reporter.listen(fail, {"restored"})
    reporter.report("restored", **LOSS)
    (entry,) = journald.read()
    assert entry["MESSAGE"] == "Internal error: ZeroDivisionError (reporting restored)."


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()) | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.tuples(inner),
    max_leaves=4,
)


@given(
    st.sampled_from([event.name for event in EVENTS]),
    st.dictionaries(st.sampled_from(sorted({name for event in EVENTS for name in event.fields})), ANYTHING),
)
def test_telling_never_raises(name: str, fields: dict[str, object]) -> None:
    reading, writing = os.pipe()
    reporter = Reporter([JsonLines(writing)], Priority.DEBUG)
    reporter.report(name, **fields)
    reporter.close()
    os.close(writing)
    with open(reading, encoding="utf-8") as pipe:
        reported = [json.loads(line) for line in pipe]
    assert reported[0]["event"] == name
    assert all(
        entry["error"].startswith(f"{name}: ") or "no field" in entry["error"] for entry in reported[1:]
    )


def test_another_users_pipe_that_nobody_reads_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> int:
        raise PermissionError

    reading, writing = os.pipe()
    with monkeypatch.context() as patched:
        patched.setattr("hermesguard.events.sinks.os.open", refuse)
        reporter = Reporter([JsonLines(writing)])
    for number in range(3000):
        reporter.report("restored", **LOSS, writer_pid=number)
    assert reporter.pump() is not None
    os.close(writing)
    with open(reading, "rb") as pipe:
        os.set_blocking(reading, False)
        got = b""

        def all_there() -> bool:
            nonlocal got
            got += pipe.read() or b""
            return reporter.pump() is None

        until(all_there)
        reporter.close()
        got += pipe.read() or b""
    assert [json.loads(line)["writer_pid"] for line in got.splitlines()] == list(range(3000))


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        (
            {"HERMESGUARD_LOG": "syslog"},
            "HERMESGUARD_LOG = 'syslog': invalid value. Allowed: auto, journal, json",
        ),
        (
            {"HERMESGUARD_LOG_LEVEL": "loud"},
            "HERMESGUARD_LOG_LEVEL = 'loud': invalid value. Allowed: critical,",
        ),
        (
            {"HERMESGUARD_LOG": "journal"},
            "takes no entries (No such file or directory). Leave HERMESGUARD_LOG away",
        ),
    ],
)
def test_a_wrong_wish_is_refused_in_a_sentence(
    environment: dict[str, str], sentence: str, tmp_path: Path
) -> None:
    with pytest.raises(GuardError) as caught:
        open_reporter(environment, journal=tmp_path / "none")
    assert sentence in str(caught.value)
    assert caught.value.exit_code is ExitCode.CONFIG
