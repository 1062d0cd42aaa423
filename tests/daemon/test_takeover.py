"""A store of format 1, written by the last guard before 0.2.0, is read as it is and taken over without loss.

tests/data/store-format-1.json.gz is that store and its sessions directory, as they stood when the guard was killed: a delta log
that had not been folded in, a standby file, four sessions that were held, incidents, versions with the reasons of that time.
"""

import base64
import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest

from hermesguard.store.store import Store
from tests.helpers.daemon_process import Daemon, hermesguard

DATA = Path(__file__).parents[1] / "data" / "store-format-1.json.gz"
LOGGED, UNCERTAIN, INTENDED = "aaaa11112222", "bbbb11112222", "cccc11112222"
HELD = [f"eeee0000000{number}" for number in range(4)]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory with that store and its sessions: sizes, times and notes as they were."""
    known: dict[str, dict[str, Any]] = json.loads(gzip.decompress(DATA.read_bytes()))
    for name, entry in known.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(entry["text"].encode() if "text" in entry else base64.b64decode(entry["base64"]))
        if "note" in entry:
            os.setxattr(path, "user.hermesguard", entry["note"].encode())
        os.utime(path, ns=(entry["mtime_ns"], entry["mtime_ns"]))
    (tmp_path / "store").chmod(0o700)
    return tmp_path


def messages(store: Path, name: str) -> list[Any]:
    reader = Store(store)
    reader.open()
    document = json.loads(reader.read_shadow(name))
    assert isinstance(document, dict)
    return list(document["messages"])


def facts(store: Path) -> dict[str, list[tuple[str, int, str]]]:
    """The versions of each session: name, messages, digest."""
    reader = Store(store)
    reader.open()
    return {
        name: [(version.name, version.messages, version.digest) for version in reader.versions(name)]
        for name in reader.sessions()
    }


def test_commands_read_it_before_a_guard_has_started(place: Path) -> None:
    where = ("--sessions", place / "sessions", "--store", place / "store")
    assert len(messages(place / "store", LOGGED)) == 36, "the delta log counts"
    log = json.loads(hermesguard(place, "log", "--json", *where).stdout)["incidents"]
    assert [(entry["event"], entry["messages_before"]) for entry in log] == [
        ("uncertain", 6),
        ("uncertain", 12),
    ]
    history = json.loads(hermesguard(place, "history", INTENDED, "--json", *where).stdout)
    assert [entry["reason"] for entry in history["versions"]] == ["intended"]
    assert (place / "store" / "format").read_text() == "1\n"


def test_the_first_start_takes_it_over_without_loss(place: Path) -> None:
    before = facts(place / "store")
    shadows = {name: messages(place / "store", name) for name in before}
    with Daemon(place, sessions=place / "sessions", store=place / "store").start() as daemon:
        status = hermesguard(
            place, "status", "--json", "--sessions", daemon.sessions, "--store", daemon.store
        )
        assert json.loads(status.stdout)["held"] == HELD
        assert not list((place / "store" / "shadows").glob("*.tail"))
        assert {name: messages(place / "store", name) for name in before} == shadows
    assert (place / "store" / "format").read_text() == "2\n"
    assert facts(place / "store") == before
    assert not list((place / "sessions").glob(".hermesguard-*"))
    names = [path.name for path in (place / "store" / "history" / INTENDED).iterdir()]
    assert all("-intended-" in name for name in names)


def test_a_takeover_that_was_broken_off_is_finished(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = facts(place / "store")
    shadows = {name: messages(place / "store", name) for name in before}
    real, left = os.rename, [1]

    def breaks_off(old: Path, new: Path) -> None:
        if not left:
            raise OSError(5, "Input/output error")
        left.pop()
        real(old, new)

    store = Store(place / "store")
    store.create()
    with monkeypatch.context() as patched:
        patched.setattr(os, "rename", breaks_off)
        store.take_lock()
    store.lock.release()
    assert (place / "store" / "format").read_text() == "1\n"
    assert {name: messages(place / "store", name) for name in before} == shadows, "it can be read meanwhile"
    again = Store(place / "store")
    again.create()
    again.take_lock()
    again.lock.release()
    assert (place / "store" / "format").read_text() == "2\n"
    assert {name: messages(place / "store", name) for name in before} == shadows
    assert facts(place / "store") == before


def test_one_odd_file_keeps_no_other_one_from_being_taken_over(place: Path) -> None:
    store = place / "store"
    before, incidents = facts(store), (store / "incidents.jsonl").read_bytes()
    (store / "shadows" / "odd.tail").mkdir()
    (store / "shadows" / "odd.delta").write_bytes(b"")  # a directory cannot take its name
    (store / "shadows" / f"{LOGGED}.delta").mkdir()
    (store / "history" / "odd").write_bytes(b"")
    (store / "incidents.jsonl").write_bytes(b"\xff\x00\n" + b"[" * 300_000 + b"\n" + incidents)
    with Daemon(place, sessions=place / "sessions", store=store).start():
        assert len(messages(store, LOGGED)) == 36, "the delta log counts"
        assert facts(store) == before
        assert not list((store / "history").glob("*/*-meant-*"))
