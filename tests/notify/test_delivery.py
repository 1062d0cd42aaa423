"""Real messages to real servers on the loopback, in every mood; and a notifier that is killed at any moment."""

import os
import random
import re
import signal
import socket
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hermesguard.notify import deliver, ping
from hermesguard.notify import state as states
from hermesguard.notify.deliver import Delivery
from hermesguard.notify.digest import Message
from hermesguard.notify.ping import Signal
from hermesguard.notify.settings import Address
from tests.helpers.journals import Journals, incident
from tests.helpers.notifier_process import Killable
from tests.helpers.notifying import Desk
from tests.helpers.receivers import Http, Smtp
from tests.helpers.waiting import until
from tests.unit.notify.test_notifier import incidents_in

KILLS = int(os.environ.get("HERMESGUARD_KILLS", "6"))


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def sent(directory: Path, url: str, number: int = 1) -> str:
    return Delivery(directory, Address(url, "x"), Message(number, "A title", "A body", "failure")).wait()


def test_a_message_goes_to_an_ntfy_server_and_says_nothing_twice(tmp_path: Path) -> None:
    server = Http()
    assert sent(tmp_path, server.url) == ""
    assert server.bodies == [{"topic": "topic-of-mine", "title": "A title", "message": "A body"}]
    assert sent(tmp_path, server.url) == "", "it has a receipt"
    assert len(server.bodies) == 1
    server.stop()


@pytest.mark.parametrize("mood", ["refuse", "busy", "garbage", "deaf", "killed"])
def test_each_way_to_fail_is_said_without_the_address(tmp_path: Path, mood: str) -> None:
    server = Http()
    server.mood = mood
    if mood == "killed":
        server.stop()
    error = sent(tmp_path, server.url)
    assert error
    assert "topic-of-mine" not in error
    assert not list(tmp_path.glob("delivered-*"))
    server.stop()


@pytest.mark.parametrize("scheme", ["ntfy", "json"])
def test_what_is_sent_on_to_elsewhere_without_its_text_is_not_delivered(tmp_path: Path, scheme: str) -> None:
    server, elsewhere = Http(), Http()
    server.mood, server.elsewhere = "moved", f"http://127.0.0.1:{elsewhere.port}/secure"
    error = sent(tmp_path, f"{scheme}://127.0.0.1:{server.port}/topic-of-mine")
    assert "302" in error
    assert elsewhere.asked == 0
    server.mood = "good"
    assert sent(tmp_path, server.url) == ""
    assert len(server.bodies) == 1
    server.stop()
    elsewhere.stop()


def test_a_certificate_that_nobody_vouches_for_is_a_refusal(tmp_path: Path) -> None:
    server = Http(certificate=tmp_path / "certificate.pem")
    assert "topic-of-mine" not in sent(tmp_path, f"ntfys://127.0.0.1:{server.port}/topic-of-mine")
    assert "ertificate" in sent(tmp_path, f"ntfys://127.0.0.1:{server.port}/topic-of-mine").replace(
        "CERT", "Cert"
    )
    assert not server.bodies
    why = ping.visit(f"https://127.0.0.1:{server.port}/secret", "auto", Signal("success"))
    assert "CERTIFICATE" in why.upper()
    assert "secret" not in why
    server.stop()


def test_a_slow_server_that_takes_it_in_the_end_has_taken_it_once(tmp_path: Path) -> None:
    server = Http()
    server.mood = 5.0  # Apprise alone would give up after 4 s, and it would be sent again
    assert sent(tmp_path, server.url) == ""
    assert len(server.bodies) == 1
    server.stop()


def test_a_service_that_never_answers_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = Http()
    server.mood = 30.0
    assert sent(tmp_path, f"{server.url}?rto=0.5").startswith("A Connection error")
    server.stop()


def test_a_mail_server_refuses_takes_and_comes_back(tmp_path: Path) -> None:
    port = free_port()
    server = Smtp(port)
    server.mood = "refuse"
    assert "failed" in sent(tmp_path, server.url)
    server.stop()
    assert "refused" in sent(tmp_path, server.url)
    server.start()
    server.mood = "good"
    assert sent(tmp_path, server.url) == ""
    (mail,) = server.mails
    assert mail["Subject"] == "A title"
    server.stop()


def test_an_order_to_end_lets_the_message_go_out(tmp_path: Path) -> None:
    server = Http()
    server.mood = 0.5
    delivery = Delivery(tmp_path, Address(server.url, "x"), Message(1, "A title", "A body", "info"))
    until(lambda: deliver.is_under_way(tmp_path))
    seen = b"".join(Path(f"/proc/{delivery.pid}/{name}").read_bytes() for name in ("cmdline", "environ"))
    assert b"topic-of-mine" not in seen, "ps shows no address"
    os.kill(delivery.pid, signal.SIGTERM)
    assert delivery.wait() == ""
    assert len(server.bodies) == 1
    server.stop()


def test_an_order_to_end_waits_for_the_message_that_is_on_its_way(tmp_path: Path) -> None:
    server, journals = Http(), Journals(tmp_path / "journal")
    server.mood = 1.0
    notifier = Killable(tmp_path, server.url)
    notifier.start()
    journals.write(incident(1))
    until(lambda: server.asked, 60)
    assert notifier.end(signal.SIGTERM) == 0
    assert len(server.bodies) == 1
    found = states.read(tmp_path / "store.notify")
    assert found
    assert (found.outboxes[0].waiting, found.outboxes[0].delivered, found.is_stopped) == (0, 1, True)
    server.stop()


def test_a_thousand_incidents_in_a_minute_while_the_receiver_is_down_for_ten(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server = Http()
    server.stop()
    desk = Desk(tmp_path, urls=(server.url,))
    desk.answer = None  # real deliveries; the clock alone is ours
    desk.notifier.__enter__()
    began = desk.now
    for second in range(50):
        desk.journals.write(*(incident(second * 20 + number + 1) for number in range(20)), at=desk.now)
        desk.sleep(1)
    desk.sleep(began + 600 - desk.now, 5)
    waiting = desk.notifier.state.outboxes[0]
    assert (waiting.waiting, waiting.delivered) == (1, 0)
    assert waiting.error == "it cannot be reached (Connection refused)"
    server.start()
    desk.sleep(600, 5)
    ((body),) = server.bodies
    assert incidents_in(body["message"]) == list(range(1, 1001))
    with capsys.disabled():
        taken = desk.notifier.state.outboxes[0].delivered_at - began
        print(f"\n1000 incidents, down for 600 s: {len(desk.sent)} tries, one message after {taken:.0f} s:")
        print(body["title"], body["message"], sep="\n")
    server.stop()


@pytest.mark.parametrize("whole", [False, True], ids=["notifier", "with the delivery"])
def test_killed_at_random_nothing_is_missed_and_nothing_is_twice(tmp_path: Path, whole: bool) -> None:
    chance = random.Random(os.environ.get("HERMESGUARD_SEED", "19"))
    server, journals = Http(), Journals(tmp_path / "journal")
    notifier = Killable(tmp_path, server.url)
    number = 0
    for _ in range(KILLS // 2 if whole else KILLS):
        server.mood = chance.choice(["good", "good", "good", 0.3, "refuse"])
        notifier.start()
        for _ in range(2):
            time.sleep(
                chance.uniform(0, 0.6)
            )  # the moment of the kill is the only thing that is left to the clock
            number += 1
            journals.write(incident(number))
        if whole:
            _kill_deliveries(tmp_path)
        notifier.end(signal.SIGKILL)
    server.mood = "good"
    notifier.start()
    until(
        lambda: (
            {one for body in server.bodies for one in incidents_in(body["message"])}
            == set(range(1, number + 1))
        ),
        60,
    )
    assert notifier.end(signal.SIGTERM) == 0
    server.stop()
    # Of one message: the same number, and the same words.
    by_number: dict[str, set[str]] = {}
    for body in server.bodies:
        found = re.search(r"Message (\d+) of", body["message"])
        assert found
        by_number.setdefault(found[1], set()).add(body["message"])
    assert all(len(words) == 1 for words in by_number.values())
    told = Counter(one for words in by_number.values() for text in words for one in incidents_in(text))
    assert told == Counter(range(1, number + 1)), "each incident in one message"
    twice = len(server.bodies) - len(by_number)
    print(f"{number} incidents, {len(by_number)} messages, {twice} came again")
    if not whole:
        assert twice == 0


def _kill_deliveries(root: Path) -> None:
    """End the deliveries of the notifier of `root`, as a power cut does."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes()
            is_ours = b"hermesguard.notify.deliver" in words and str(root) in os.readlink(folder / "fd/2")
        except OSError:
            continue
        if is_ours:
            os.kill(int(folder.name), signal.SIGKILL)


@pytest.mark.parametrize(
    ("address", "style", "kind", "visited"),
    [
        ("/ping/uuid", "auto", "success", ("GET", "/ping/uuid", "")),
        ("/ping/uuid", "auto", "start", ("GET", "/ping/uuid/start", "")),
        ("/ping/uuid", "auto", "fail", ("POST", "/ping/uuid/fail", "why")),
        ("/ping/uuid?create=1", "auto", "fail", ("POST", "/ping/uuid/fail?create=1", "why")),
        (
            "/api/push/x?status=up&msg=OK&ping=",
            "auto",
            "success",
            ("GET", "/api/push/x?status=up&msg=OK&ping=", ""),
        ),
        ("/api/push/x?status=up", "auto", "fail", ("GET", "/api/push/x?status=down&msg=why&ping=", "")),
        ("/api/push/x", "auto", "start", None),
        ("/beat", "plain", "success", ("GET", "/beat", "")),
        ("/beat", "plain", "fail", None),
    ],
)
def test_each_service_is_pinged_as_it_defines_it(
    address: str, style: str, kind: str, visited: tuple[str, str, str] | None
) -> None:
    server = Http()
    url = f"http://127.0.0.1:{server.port}{address}"
    assert ping.visit(url, style, Signal(kind, "why" if kind == "fail" else "")) == ""
    assert server.visits == ([visited] if visited else [])
    for mood, why in (
        ("refuse", "it answered with 500"),
        ("busy", "it answered with 429"),
        ("garbage", ""),
        ("deaf", ""),
    ):
        server.mood = mood
        if visited:
            error = ping.visit(url, style, Signal(kind))
            assert error == why if why else error
            assert address not in error
    server.stop()


def test_a_page_that_answers_in_place_of_the_service_is_no_success() -> None:
    server = Http()
    server.mood = "portal"
    url = f"http://127.0.0.1:{server.port}/ping/uuid"
    assert ping.visit(url, "auto", Signal("success")).startswith("a page answered")
    assert ping.visit(url, "plain", Signal("success")) == ""
    server.stop()


@pytest.mark.parametrize(
    ("body", "is_good"),
    [
        (b"OK", True),
        (b"", True),
        (b'{"ok":true}', True),
        (b"OK (not found)", False),
        (b'{"ok": false, "msg": "Monitor not found or not active."}', False),
        (b"\xef\xbb\xbf  <!DOCTYPE html><title>Login</title>", False),
        (b"\n<html>", False),
    ],
)
def test_answers_of_services_for_pings(body: bytes, is_good: bool) -> None:
    assert (ping._refusal(body) == "") is is_good


def test_a_server_that_trickles_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ping, "LONGEST_SECONDS", 0.3)
    server = Http()
    server.mood = "trickle"
    url = f"http://127.0.0.1:{server.port}/ping/uuid"
    assert ping.visit(url, "auto", Signal("success")) == "no answer within 0 s"
    assert ping.visit(url, "auto", Signal("success")) == "the visit before has no answer yet"
    server.stop()
    server.start()
    server.mood = "good"
    url = f"http://127.0.0.1:{server.port}/ping/uuid"
    until(lambda: ping.visit(url, "auto", Signal("success")) == "")


def test_a_user_in_the_address_is_one_for_the_server() -> None:
    server = Http()
    url = f"http://me:pa%2055@127.0.0.1:{server.port}/ping/uuid"
    assert ping.visit(url, "auto", Signal("success")) == ""
    assert server.users == ["Basic bWU6cGEgNTU="]
    server.stop()


@pytest.mark.parametrize(
    "answer", [{"ready": True, "last_scan": "yesterday"}, {"ready": True, "scan_interval_seconds": "x"}, {}]
)
def test_whatever_the_guard_answers_is_no_proof_unless_it_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: dict[str, object]
) -> None:
    monkeypatch.setattr(ping, "ask_running_guard", lambda *_: answer)
    assert ping.prove(tmp_path, datetime.now(UTC)).reason
