"""hermes-webui #1558 against the real daemon: the wipe, twenty wipes, the stale writer, and who ever wrote the stale stream."""

import json
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from hermesguard.demo import losses
from hermesguard.demo.app import App
from hermesguard.demo.chat import Chat
from hermesguard.demo.eras import Era
from hermesguard.demo.files import dumps, replace_file, text_of
from hermesguard.webui.directory import standby_name
from tests.helpers.daemon_process import Daemon

UNSENT = "what was typed last"


def texts(messages: list[dict[str, Any]]) -> list[str]:
    return [text_of(message) for message in messages]


def count_on_disk(chat: Chat) -> int:
    return len(chat.on_disk()["messages"])


def strand(daemon: Daemon, chat: Chat) -> None:
    """A prompt is sent, and the server dies over it: stream and prompt stay in the file."""
    chat.reload()
    chat.send(UNSENT)
    daemon.until_kept(chat.path)


@contextmanager
def reading(path: Path) -> Iterator[set[bytes]]:
    """Reads the file over and over meanwhile; gives every state that a reader can have seen."""
    states: set[bytes] = set()
    ended = threading.Event()

    def read() -> None:
        while not ended.is_set():
            states.add(path.read_bytes())

    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield states
    finally:
        ended.set()
        reader.join()


@pytest.mark.parametrize("era", [Era.OLD, Era.NEW])
def test_a_wipe_of_a_thousand_messages(tmp_path: Path, era: Era) -> None:
    with Daemon(tmp_path) as daemon:
        chat = App(daemon.sessions, era).create("The long one", turns=500)
        daemon.start()
        strand(daemon, chat)
        before = chat.on_disk()
        losses.wipe(chat)
        daemon.until(lambda: count_on_disk(chat) == 1001)
        daemon.until_kept(chat.path)
        reported = daemon.until_heard("restored")
        [incident] = daemon.incidents()
    after = chat.on_disk()
    assert texts(after["messages"]) == [*texts(before["messages"]), UNSENT]
    assert after["messages"][:1000] == before["messages"]
    assert after["messages"][1000] == {
        "role": "user",
        "content": UNSENT,
        "timestamp": int(before["pending_started_at"]),
        "_recovered": True,
    }
    assert texts(after["context_messages"]) == [*texts(before["context_messages"]), UNSENT]
    assert after["active_stream_id"] is None
    assert after["pending_user_message"] is None
    assert list(after) == list(before)
    assert after.get("message_count", 1001) == 1001
    assert (incident["messages_before"], incident["messages_live"], incident["messages_after"]) == (
        1000,
        0,
        1001,
    )
    assert reported["writer_pid"] == chat.app.process_id
    assert reported["duration_us"] > 0
    assert reported["evidence"]


@pytest.mark.parametrize("era", [Era.OLD, Era.NEW])
def test_twenty_wipes_in_a_row(tmp_path: Path, era: Era) -> None:
    """Each time the whole conversation is saved with a stale stream first, as a server does that found it repaired."""
    with Daemon(tmp_path) as daemon:
        chat = App(daemon.sessions, era).create("The long one", turns=500)
        daemon.start()
        strand(daemon, chat)
        with reading(chat.path) as states:
            written = {chat.path.read_bytes()}
            for number in range(20):
                losses.wipe(chat)
                daemon.until(lambda: count_on_disk(chat) == 1001)
                stale = dumps(chat.on_disk() | {"active_stream_id": f"stale {number}"})
                written.add(stale.encode())
                replace_file(chat.path, stale, chat.app.process_id)
                daemon.until_kept(chat.path)
            losses.wipe(chat)
            daemon.until(lambda: count_on_disk(chat) == 1001)
        daemon.until(lambda: len(daemon.incidents()) == 21)
    streams = [json.loads(state)["active_stream_id"] for state in states - written]
    assert streams
    assert set(streams) == {None}
    assert texts(chat.on_disk()["messages"]).count(UNSENT) == 1


def test_three_turns_of_a_stale_writer(tmp_path: Path) -> None:
    with Daemon(tmp_path) as daemon:
        chat = App(daemon.sessions, Era.OLD).create("The long one", turns=500)
        asked = texts(chat.messages)
        daemon.start()
        strand(daemon, chat)
        losses.stale_writer(chat)
        daemon.until(lambda: count_on_disk(chat) == 1001)
        for number in range(1, 4):
            chat.turn(f"question of the stale writer {number}", f"answer to the stale writer {number}")
            daemon.until(lambda number=number: count_on_disk(chat) == 1001 + 2 * number)
        reported = [
            f"{kind} the stale writer {number}"
            for number in range(1, 4)
            for kind in ("question of", "answer to")
        ]
        assert texts(chat.on_disk()["messages"]) == [*asked, UNSENT, *reported]
        assert texts(chat.on_disk()["context_messages"]) == [*asked, UNSENT, *reported]
        chat.pin()
        daemon.until(lambda: count_on_disk(chat) == 1007 and chat.on_disk()["pinned"])


def test_a_wipe_while_the_guard_was_down(tmp_path: Path) -> None:
    with Daemon(tmp_path) as daemon:
        chat = App(daemon.sessions, Era.OLD).create("The long one", turns=500)
        daemon.start()
        strand(daemon, chat)
        daemon.kill()
        losses.wipe(chat)
        daemon.start()
        assert count_on_disk(chat) == 1001
        assert chat.on_disk()["active_stream_id"] is None


def test_a_standby_repair_of_a_killed_guard_is_removed(tmp_path: Path) -> None:
    with Daemon(tmp_path) as daemon:
        chat = App(daemon.sessions, Era.OLD).create(turns=30, answer_characters=500)
        standby = standby_name(chat.path)
        daemon.start()
        chat.send("unsent")
        daemon.until(standby.exists)
        daemon.kill()
        assert standby.exists()
        daemon.start()
        assert not standby.exists()
        chat.document["title"] = "Saved again"
        chat.save()
        daemon.until(standby.exists)
        assert daemon.stop(signal.SIGTERM) == 0
        assert list(daemon.sessions.glob(".hermesguard-*")) == []


def test_many_wipes_at_once_are_all_right_before_the_first_is_written_down(tmp_path: Path) -> None:
    with Daemon(tmp_path) as daemon:
        app = App(daemon.sessions, Era.OLD)
        chats = [app.create(turns=5) for _ in range(60)]
        daemon.start()
        for chat in chats:
            chat.send("unsent")
            daemon.until_kept(chat.path)
        assert daemon.process
        daemon.process.send_signal(signal.SIGSTOP)
        for chat in chats:
            losses.wipe(chat)
        daemon.process.send_signal(signal.SIGCONT)
        daemon.until(lambda: all(len(chat.on_disk()["messages"]) == 11 for chat in chats))
        daemon.until(lambda: len(daemon.incidents()) == len(chats))
        versions = (daemon.store / "history").glob("*/*")
        first_written = min(path.stat().st_ctime_ns for path in versions)
        assert first_written >= max(chat.path.stat().st_ctime_ns for chat in chats)
        daemon.until(lambda: not list(daemon.sessions.glob(".hermesguard-*.repair")))
        assert daemon.heard("renamed") == []
        assert daemon.heard("internal_error") == []
