"""What a message says: bounded, the worst first, every alert counted, and no text that the catalogue does not declare."""

from hermesguard.events.catalog import EVENTS
from hermesguard.notify.alerts import KNOWN, Alert, of_entry
from hermesguard.notify.digest import LONGEST_BODY_BYTES, Digest, in_words, with_number
from hermesguard.notify.outbox import Outbox

TIME = "2027-01-15T08:00:00+00:00"


def test_every_kind_of_event_fits_into_a_message_however_long_its_fields_are() -> None:
    digest = Digest()
    for event in KNOWN.values():
        alone = Digest()
        for size in (1, 10_000):
            values = {name: "ü" * size if name not in ("count", "sessions") else 3 for name in event.fields}
            for one in (digest, alone):
                one.add(Alert(event.name, TIME, values), "T" * size)
        message = alone.message(1, "host-a", "me")
        assert 0 < len(message.body.encode()) <= LONGEST_BODY_BYTES
        assert message.body.isprintable() or "\n" in message.body
    whole = digest.message(2, "host-a", "me")
    assert len(whole.body.encode()) <= LONGEST_BODY_BYTES
    assert f"and {digest.count - 1} more" in whole.title
    assert KNOWN["unrepaired"].priority == min(event.priority for event in EVENTS)


def test_the_worst_comes_first_and_all_are_counted() -> None:
    digest = Digest()
    for number in range(9):
        digest.add(Alert("restored", TIME, {"session": "a", "incident": str(number)}), "")
    digest.add(Alert("unrepaired", TIME, {"session": "b", "incident": "9"}), "")
    digest.add(Alert("suppressed", TIME, {"session": "a", "count": 90}), "")
    message = digest.message(1, "host-a", "me")
    assert message.title == "hermesguard on host-a: Lost messages could not be restored, and 99 more"
    assert message.kind == "failure"
    lines = [line for line in message.body.splitlines() if " x " in line]
    assert [line.split(" (")[0] for line in lines] == [
        "1 x Lost messages could not be restored",
        "9 x Lost messages were restored",
        "90 x Repeated alerts about one session were held back",
    ]


def test_numbers_become_ranges_in_any_order() -> None:
    ranges: list[tuple[int, int]] = []
    for number in (5, 1, 3, 2, 9, 5):
        ranges = with_number(ranges, number)
    assert ranges == [(1, 3), (5, 5), (9, 9)]


def test_what_is_not_declared_or_of_another_type_does_not_pass() -> None:
    entry = {
        "MESSAGE_ID": KNOWN["unrepaired"].message_id,
        "HERMESGUARD_EVENT": "unrepaired",
        "MESSAGE": "a word of a conversation",
        "HERMESGUARD_SESSION": "3f2a",
        "HERMESGUARD_PATH": "a word of a conversation",
        "HERMESGUARD_MESSAGES_BEFORE": "a word of a conversation",
        "HERMESGUARD_INCIDENT": "7",
        "HERMESGUARD_TIME": TIME,
    }
    alert = of_entry(entry)
    assert alert == Alert("unrepaired", TIME, {"session": "3f2a", "incident": "7"})
    digest = Digest()
    digest.add(alert, "")
    assert "word of a conversation" not in digest.message(1, "host-a", "me").body
    assert of_entry({**entry, "MESSAGE_ID": KNOWN["restored"].message_id}) is None


def test_what_spoke_for_a_verdict_stays_here() -> None:
    digest = Digest()
    for name in ("uncertain", "backing_off", "mass_change_held"):
        values = {
            "session": "a",
            "evidence": ["a reason"],
            "against": ["a reason"],
            "undo": "hermesguard undo 1",
        }
        digest.add(Alert(name, TIME, values), "")
        digest.add(
            Alert("rolled_back", TIME, {"count": 2, "path": "/s", "names": ["a"], "undo": "a reason"}), ""
        )
    assert "a reason" not in digest.message(1, "host-a", "me").body


def test_an_outbox_is_the_same_after_a_restart() -> None:
    outbox = Outbox("key", "address 1 (json)")
    for number in range(3):
        outbox.add(Alert("unrepaired", TIME, {"session": "b", "incident": str(number)}), "T", 5.0)
    outbox.next("host-a", "me")
    outbox.add(Alert("watch_lost", TIME, {"reason": "why"}), "", 6.0)
    outbox.failed("no", 7.0)
    outbox.is_told = {"watch_lost"}
    assert Outbox.from_object(outbox.to_object()) == outbox


def test_a_clock_that_is_set_back_makes_nothing_wait_for_longer() -> None:
    outbox = Outbox("key", "address 1 (json)")
    outbox.add(Alert("watch_lost", TIME, {"reason": "why"}), "", 1000.0)
    assert not outbox.due(1010.0, 60.0)
    assert outbox.due(10.0, 60.0)
    outbox.next("host-a", "me")
    outbox.failed("no", 1000.0)
    assert not outbox.due(1005.0, 60.0)
    assert outbox.due(10.0, 60.0)


def test_numbers_without_neighbours_are_counted_and_not_all_kept() -> None:
    digest = Digest()
    for number in range(0, 2000, 2):
        digest.add(alert(number), "")
    kind = digest.kinds["unrepaired"]
    assert (kind.count, len(kind.incidents)) == (1000, 200)
    assert (kind.incidents[0], kind.incidents[-1][1]) == ((0, 0), 1998)
    assert "(incidents from 0 to 1998, not all of these)" in digest.message(1, "host-a", "x").body


def test_a_line_has_its_length_however_long_the_words_are() -> None:
    values = {"session": "3f2a", "incident": "1", "error": "x" * 5000}
    assert len(in_words(Alert("unrepaired", TIME, values), "t" * 5000)) == 300
    assert len(in_words(Alert("store_broken", TIME, {"error": "x" * 5000, "path": "/s"}), "")) == 300


def alert(number: int) -> Alert:
    return Alert("unrepaired", TIME, {"session": "3f2a", "incident": str(number)})
