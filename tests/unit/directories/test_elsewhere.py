"""When a quiet directory is told of because another one has come alive."""

from hermesguard.daemon.directories.elsewhere import Elsewhere, Life

DAY = 86400.0
QUIET = 600.0


def old(last_save: float, is_there: bool = True) -> Life:
    return Life("old", last_save, is_new=False, is_there=is_there)


def new(last_save: float) -> Life:
    return Life("new", last_save, is_new=True, is_there=True)


def said(*looks: tuple[float, Life, Life]) -> list[tuple[str, str]]:
    elsewhere = Elsewhere()
    return [pair for now, *lives in looks for pair in elsewhere.look(lives, now, QUIET)]


def test_a_new_directory_that_is_written_to_while_the_old_one_is_quiet() -> None:
    assert said((1000.0, old(900.0), new(0.0)), (1100.0, old(900.0), new(1050.0))) == []
    looks = [
        (1000.0, old(900.0), new(0.0)),
        (1100.0, old(900.0), new(1050.0)),
        (1700.0, old(900.0), new(1690.0)),
    ]
    assert said(*looks) == [("old", "new")]
    assert said(*looks, (1800.0, old(900.0), new(1790.0))) == [("old", "new")], "once"


def test_a_directory_that_is_gone_is_told_of_at_once() -> None:
    assert said((1000.0, old(900.0), new(0.0)), (1100.0, old(900.0, is_there=False), new(1050.0))) == [
        ("old", "new")
    ]


def test_two_that_are_both_written_to_are_two_profiles() -> None:
    looks = [(now, old(now - 5), new(now - 10)) for now in (1000.0, 1500.0, 2000.0, 5000.0)]
    assert said((900.0, old(890.0), new(0.0)), *looks) == []


def test_one_that_was_quiet_for_long_before_has_not_become_so() -> None:
    assert said((100 * DAY, old(DAY), new(0.0)), (101 * DAY, old(DAY), new(101 * DAY - 1000))) == []


def test_a_directory_that_sleeps_for_a_week_comes_alive_again() -> None:
    first = Life("first", 10 * DAY, is_new=False, is_there=True)
    asleep = Life("second", DAY, is_new=False, is_there=True)
    awake = asleep._replace(last_save=10 * DAY + 60)
    elsewhere = Elsewhere()
    looks = ((10 * DAY, asleep), (10 * DAY + 100, awake), (10 * DAY + 100 + QUIET, awake))
    found = [pair for now, second in looks for pair in elsewhere.look([first, second], now, QUIET)]
    assert found == [("first", "second")]


def test_one_that_was_never_written_to_is_missed_by_nobody() -> None:
    assert (
        said((1000.0, old(0.0), new(0.0)), (1100.0, old(0.0), new(1050.0)), (3000.0, old(0.0), new(2900.0)))
        == []
    )
