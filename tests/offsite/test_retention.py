"""Which objects go, and which are made anew, by the pure plan alone."""

from hermesguard.offsite.state import Entry, Object
from hermesguard.offsite.upload.retention import Need, Rules, need_of, plan

HOUR = 3_600_000_000_000
NOW = 1_000_000 * HOUR
RULES = Rules(keep_deleted_seconds=86400.0, keep_history_seconds=30 * 86400.0, lifetime_seconds=None)


def one(number: int, path: str, size: int = 10, hours: int | None = None, **more: bool) -> Entry:
    """An entry that was superseded so many hours ago, or never."""
    superseded = None if hours is None else NOW - hours * HOUR
    is_removal, must_go = more.get("is_removal", False), more.get("must_go", False)
    return Entry(number, path, is_removal, size, "0" * 64, 1, superseded, must_go)


def object_of(number: int) -> Object:
    return Object(number, f"name-{number}", NOW - HOUR, 10, "0" * 64, "stored")


def test_what_a_shadow_was_is_wanted_for_a_day_then_not_and_must_go_with_the_history() -> None:
    needs = [need_of(one(1, "p", hours=hours), True, RULES, NOW) for hours in (23, 25, 29 * 24, 31 * 24)]
    assert needs == [Need.RECENT, Need.NONE, Need.NONE, Need.MUST_GO]
    assert need_of(one(1, "p"), True, RULES, NOW) is Need.CURRENT


def test_a_removal_is_needed_for_as_long_as_an_older_object_has_the_file() -> None:
    assert need_of(one(2, "p", is_removal=True), True, RULES, NOW) is Need.CURRENT
    assert need_of(one(2, "p", is_removal=True), False, RULES, NOW) is Need.NONE
    assert need_of(one(2, "p", hours=1, is_removal=True), True, RULES, NOW) is Need.NONE
    entries = [one(1, "p", hours=1), one(1, "q"), one(2, "p", is_removal=True)]
    assert plan([object_of(1), object_of(2)], entries, RULES, NOW).remove == []
    assert plan([object_of(2)], entries[2:], RULES, NOW).remove == [object_of(2)]


def test_an_object_that_is_half_waste_is_made_anew() -> None:
    for waste, renewed in ((9, set()), (11, {"kept"})):
        entries = [one(1, "kept"), one(1, "old", size=waste, hours=48)]
        found = plan([object_of(1)], entries, RULES, NOW)
        assert (found.remove, found.renew) == ([], renewed)
    assert plan([object_of(1)], [one(1, "old", hours=48)], RULES, NOW).remove == [object_of(1)]


def test_what_must_go_takes_its_object_and_the_others_in_it_are_copied_anew() -> None:
    entries = [one(1, "kept", size=1000), one(1, "gone", size=1, must_go=True)]
    assert plan([object_of(1)], entries, RULES, NOW).renew == {"kept"}
