"""What a user gets, and when: gathered, quiet at night, tried again, each alert in one message."""

import os
import re
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import pytest

from hermesguard.daemon import control
from hermesguard.notify import state as states
from hermesguard.notify.notifier import Notifier
from hermesguard.notify.ping import Proof, Signal
from tests.helpers.journals import incident, of_death, of_guard
from tests.helpers.notifying import Desk


def made(root: Path, **table: object) -> Desk:
    desk = Desk(root, **table)  # type: ignore[arg-type]
    desk.notifier.__enter__()
    return desk


def incidents_in(body: str) -> list[int]:
    """The numbers of the incidents that a message names."""
    if single := re.search(r", incident (\d+)", body.splitlines()[0]):
        return [int(single[1])]
    found = []
    for ranges in re.findall(r"\(incidents? ([\d, to]+)\)", body):
        for one in ranges.split(", "):
            begin, _, end = one.partition(" to ")
            found += range(int(begin), int(end or begin) + 1)
    return found


def test_many_incidents_in_a_minute_are_one_message(tmp_path: Path) -> None:
    desk = made(tmp_path)
    for second in range(20):
        desk.journals.write(incident(second + 1), at=desk.now)
        desk.sleep(2)
    assert not desk.sent
    desk.sleep(25, 5)
    ((_, message),) = desk.sent
    assert message.title == "hermesguard on host-a: Lost messages could not be restored, and 19 more"
    assert incidents_in(message.body) == list(range(1, 21))
    assert "Message 1 of hermesguard@alice." in message.body
    desk.sleep(600, 60)
    assert len(desk.sent) == 1


def test_a_single_alert_says_what_it_means_and_what_to_do(tmp_path: Path) -> None:
    desk = made(tmp_path)
    desk.journals.write(incident(7), at=desk.now)
    desk.sleep(70)
    body = desk.sent[0][1].body
    assert body.startswith(
        "Lost messages could not be restored: 3f2a00000007, incident 7: 10 messages before, 0 found"
    )
    assert "hermesguard restore 3f2a00000007 -o FILE" in body


def test_only_what_a_user_must_hear_of_is_told_unless_more_is_asked_for(tmp_path: Path) -> None:
    desk = made(tmp_path)
    desk.journals.write(incident(1, "restored"), of_guard("started"), of_guard("intended"), at=desk.now)
    desk.sleep(70)
    assert not desk.sent
    more = tmp_path / "more"
    more.mkdir()
    other = made(more, events=["urgent", "restored"])
    other.journals.write(incident(1, "restored"), incident(2, "merged"), at=other.now)
    other.sleep(70)
    assert [incidents_in(message.body) for _, message in other.sent] == [[1]]


def test_quiet_hours_hold_everything_and_one_message_follows(tmp_path: Path) -> None:
    desk = made(tmp_path, quiet_hours="22:00-07:00")
    desk.now = datetime(2027, 1, 15, 21, 59).astimezone().timestamp()
    for hour in range(9):
        desk.journals.write(incident(hour + 1), at=desk.now)
        desk.sleep(3600, 120)
        assert not desk.sent, f"told {hour + 1} hours after 21:59"
    desk.sleep(120)
    ((_, message),) = desk.sent
    assert incidents_in(message.body) == list(range(1, 10))
    assert datetime.fromtimestamp(desk.now).astimezone().hour == 7


def test_what_is_refused_is_tried_again_with_growing_pauses(tmp_path: Path) -> None:
    desk = made(tmp_path, gather="0")
    desk.answer = "it answered with 500"
    desk.journals.write(incident(1), at=desk.now)
    began, tries = desk.now, []
    while desk.now < began + 3000:
        known = len(desk.sent)
        desk.sleep(5)
        tries += [desk.now - began] * (len(desk.sent) - known)
    pauses = [round(two - one) for one, two in pairwise(tries)]
    assert pauses[:6] == sorted(pauses[:6])
    assert pauses[0] <= 15
    assert 550 <= max(pauses) <= 605
    assert len({message for _, message in desk.sent}) == 1, "the same message, under the same number"
    desk.answer = ""
    desk.sleep(700, 10)
    number = len(desk.sent)
    desk.sleep(700, 10)
    assert len(desk.sent) == number
    outbox = desk.notifier.state.outboxes[0]
    assert (outbox.delivered, outbox.waiting, outbox.error) == (1, 0, "")


def test_what_was_read_is_on_the_disk_before_it_is_sent(tmp_path: Path) -> None:
    desk = made(tmp_path)
    desk.journals.write(incident(1), at=desk.now)
    desk.until_idle()
    noted = states.read(desk.notifier.directory)
    assert noted
    assert (noted.outboxes[0].gathering.count, noted.cursor) == (1, desk.notifier.state.cursor)
    assert not desk.sent


def test_pauses_outlast_a_restart(tmp_path: Path) -> None:
    desk = made(tmp_path, gather="0")
    desk.answer = "no"
    desk.journals.write(incident(1), at=desk.now)
    desk.sleep(100)
    known = len(desk.sent)
    desk.restart()
    desk.until_idle()
    assert len(desk.sent) == known


def test_one_address_that_fails_costs_the_other_nothing(tmp_path: Path) -> None:
    desk = made(tmp_path, urls=("json://broken/a", "json://good/b"))

    def deliver(directory: Path, address: object, message: object) -> object:
        desk.answer = "refused" if "address 1" in address.name else ""  # type: ignore[attr-defined]
        return Desk._deliver(desk, directory, address, message)  # type: ignore[arg-type]

    desk.notifier.around.deliver = deliver  # type: ignore[assignment]
    for number in range(1, 6):
        desk.journals.write(incident(number), at=desk.now)
        desk.sleep(65)
    told = [incidents_in(message.body) for name, message in desk.sent if "address 2" in name]
    assert told == [[1], [2], [3], [4], [5]]
    assert all(incidents_in(message.body) == [1] for name, message in desk.sent if "address 1" in name)


def test_the_end_of_a_trouble_is_told_to_whoever_heard_of_it(tmp_path: Path) -> None:
    desk = made(tmp_path)
    desk.journals.write(of_guard("store_recovered", path="/s"), at=desk.now)
    desk.sleep(70)
    assert not desk.sent
    desk.journals.write(of_guard("store_broken", path="/s", error="full"), at=desk.now)
    desk.sleep(70)
    desk.journals.write(of_guard("store_recovered", path="/s"), at=desk.now)
    desk.sleep(70)
    assert ["writable" in message.title for _, message in desk.sent] == [True, True]
    desk.journals.write(of_guard("store_recovered", path="/s"), at=desk.now)
    desk.sleep(70)
    assert len(desk.sent) == 2


def test_the_death_of_the_guard_is_told(tmp_path: Path) -> None:
    desk = made(tmp_path)
    desk.journals.write(of_death("watchdog"), at=desk.now)
    desk.sleep(70)
    assert desk.sent[0][1].body.startswith("hermesguard@alice.service died: watchdog.")


def test_nothing_is_twice_when_the_state_was_noted_and_nothing_missed_when_not(tmp_path: Path) -> None:
    desk = made(tmp_path)
    told: list[int] = []
    for number in range(1, 16):
        desk.journals.write(incident(number), at=desk.now)
        desk.sleep(number % 7 * 5, 5)
        desk.restart()
    desk.sleep(70)
    for _, message in desk.sent:
        told += incidents_in(message.body)
    assert told == list(range(1, 16))


def test_a_full_disk_delays_and_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = made(tmp_path, gather="0")
    write = states.write
    is_full = [True]

    def refuse(directory: Path, state: states.State) -> None:
        if is_full[0]:
            raise OSError(28, "No space left on device")
        write(directory, state)

    monkeypatch.setattr(states, "write", refuse)
    desk.journals.write(incident(1), at=desk.now)
    with pytest.raises(OSError, match="No space"):
        desk.notifier.turn()
    desk.notifier.forget()
    assert not desk.sent, "what could not be noted is not sent"
    is_full[0] = False
    desk.sleep(5)
    assert [incidents_in(message.body) for _, message in desk.sent] == [[1]]


def test_a_state_that_is_damaged_is_set_aside_and_no_number_is_used_again(tmp_path: Path) -> None:
    desk = made(tmp_path, gather="0")
    desk.journals.write(incident(1), at=desk.now)
    desk.sleep(5)
    states.write_receipt(desk.notifier.directory, desk.options.addresses[0].key, 1)
    (desk.notifier.directory / states.FILE).write_bytes(b'{"version": 1, "since": ')
    desk.restart()
    desk.sleep(5)
    assert any("beginning anew" in line for line in desk.said)
    assert [message.number for _, message in desk.sent] == [1, 2]
    assert (desk.notifier.directory / "state.json.damaged").exists()


def test_a_second_notifier_leaves(tmp_path: Path) -> None:
    import subprocess
    import sys

    desk = made(tmp_path)
    program = (
        "import sys; from pathlib import Path; from tests.helpers.notifying import Desk\n"
        "try: Desk(Path(sys.argv[1])).notifier.__enter__()\n"
        "except Exception as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, tmp_path], capture_output=True, text=True, check=True
    )
    assert "Another notifier runs" in done.stdout
    desk.notifier.__exit__()


def test_titles_are_told_only_if_that_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def ask(store: Path, verb: str, arguments: dict[str, str], directory: str = "") -> dict[str, str]:
        return {"title": "Our garden"} if verb == "title" else {}

    monkeypatch.setattr("hermesguard.notify.notifier.ask_running_guard", ask)
    for asked in (False, True):
        root = tmp_path / str(asked)
        root.mkdir()
        desk = made(root, titles=asked)
        desk.journals.write(incident(1), at=desk.now)
        desk.sleep(70)
        assert ("Our garden" in desk.sent[0][1].body) is asked


def test_where_the_guard_does_not_write_into_the_journal_its_incidents_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = Desk(tmp_path)
    object.__setattr__(desk.options, "source", "auto")
    desk.notifier = Notifier(desk.settings, desk.options, desk.notifier.around)
    desk.notifier.__enter__()
    desk.notifier.turn()
    assert desk.notifier.state.source == "", "no guard runs, so nobody can know"
    since = datetime.fromtimestamp(desk.now).astimezone().isoformat()
    monkeypatch.setattr("hermesguard.notify.notifier.ask_running_guard", lambda *_: {"since": since})
    desk.sleep(5)
    assert desk.notifier.state.source == ""
    desk.sleep(10)
    assert desk.notifier.state.source == "incidents"
    desk.proof = Proof("the watch is lost")
    desk.sleep(150, 5)
    assert "The guard is not well: the watch is lost." in desk.sent[-1][1].body
    desk.proof = Proof("", "start-1", "scan-9")
    desk.sleep(150, 5)
    assert "well again" in desk.sent[-1][1].title


def test_pings_follow_the_proof(tmp_path: Path) -> None:
    desk = made(tmp_path, urls=(), ping_url="https://hc.example.org/ping/uuid")
    desk.until_idle()
    assert desk.pings == [Signal("start"), Signal("success")]
    desk.sleep(300, 5)
    assert len(desk.pings) == 2, "no scan has come since"
    for number in range(2, 7):
        desk.proof = Proof("", "start-1", f"scan-{number}")
        desk.sleep(60, 5)
    assert desk.pings[2:] == [Signal("success")] * 5
    desk.proof = Proof("the guard does not answer")
    desk.sleep(300, 5)
    assert desk.pings[7:] == [Signal("fail", "the guard does not answer")]
    desk.proof = Proof("", "start-2", "scan-7")
    desk.sleep(60, 5)
    assert desk.pings[8:] == [Signal("start"), Signal("success")]


def test_one_look_that_fails_is_no_failure(tmp_path: Path) -> None:
    desk = made(tmp_path, urls=(), ping_url="https://hc.example.org/ping/uuid")
    desk.until_idle()
    desk.proof = Proof("no guard runs")
    desk.sleep(60, 5)
    desk.proof = Proof("", "start-2", "scan-2")
    desk.sleep(120, 5)
    assert [sign.kind for sign in desk.pings] == ["start", "success", "start", "success"]


def test_a_ping_that_does_not_arrive_is_said_and_tried_again(tmp_path: Path) -> None:
    desk = made(tmp_path, urls=(), ping_url="https://hc.example.org/ping/uuid")
    desk.ping_answer = "it answered with 502"
    desk.sleep(130, 5)
    known = states.summary(desk.settings.store, desk.now)
    assert known
    assert known["ping_error"] == "it answered with 502"
    assert [words for words, _ in states.troubles(known)][-1].startswith("ping_url cannot be reached")
    desk.ping_answer = ""
    desk.sleep(60, 5)
    assert desk.pings[-1] == Signal("success")
    assert states.read(desk.notifier.directory).ping["error"] == ""  # type: ignore[union-attr]


def test_pings_know_no_quiet_hours(tmp_path: Path) -> None:
    desk = made(tmp_path, ping_url="https://hc.example.org/p", quiet_hours="00:00-23:59")
    desk.until_idle()
    assert desk.pings


def test_status_says_what_waits_and_why(tmp_path: Path) -> None:
    desk = made(tmp_path, gather="0")
    desk.answer = "it cannot be reached (Connection refused)"
    desk.journals.write(incident(1), at=desk.now)
    desk.sleep(60, 5)
    known = states.summary(desk.settings.store, desk.now)
    assert known
    assert known["addresses"][0]["waiting"] == 1
    told = [words for words, _ in states.troubles(known)]
    assert "a message waits for address 1 (json): it cannot be reached (Connection refused)" in told


def test_the_guards_socket_answers_for_the_proof_and_the_title_soon() -> None:
    assert {"prove", "title"} <= control._QUICK


def test_one_look_in_quiet_hours_is_over_without_a_word(tmp_path: Path) -> None:
    desk = made(tmp_path, gather="0", quiet_hours="00:00-23:59")
    desk.journals.write(incident(1), at=desk.now)
    for _ in range(5):
        desk.notifier.turn()
    assert (desk.notifier.is_done(), desk.sent) == (True, [])
    assert desk.notifier.state.outboxes[0].waiting == 1


def test_a_notifier_that_gives_no_sign_of_life_is_said_to_hang(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = made(tmp_path)
    monkeypatch.setattr(states, "lock_holder", lambda path: 4711)
    lock = desk.notifier.directory / states.LOCK
    for age, said in ((200.0, ""), (400.0, "the notifier hangs")):
        os.utime(lock, (desk.now - age, desk.now - age))
        known = states.summary(desk.settings.store, desk.now)
        assert known
        assert known["problem"] == said
    monkeypatch.setattr(states, "lock_holder", lambda path: None)
    known = states.summary(desk.settings.store, desk.now)
    assert known
    assert known["problem"] == "the notifier has ended without a word"
