"""The life of a session as a line."""

import io
from datetime import UTC, datetime, timedelta

from hermesguard.cli.output.terminal import Screen
from hermesguard.cli.output.timeline import drawn
from hermesguard.lookup.points import Point, points
from hermesguard.store.incidents import Incident

BEGAN = datetime(2026, 11, 22, 9, tzinfo=UTC)


def line_of(*found: Point) -> list[str]:
    """What is drawn above the times, without the scale: twenty columns."""
    screen = Screen(io.StringIO(), width=32, height=24, is_terminal=False, has_colour=False, is_ascii=False)
    lines = [line[11:] for line in drawn(screen, found).split("\n")]
    return lines[: next(index for index, line in enumerate(lines) if line.startswith("2026"))]


def at(minute: float, messages: int, mark: str = "") -> Point:
    return Point(BEGAN + timedelta(minutes=minute), messages, mark)  # type: ignore[arg-type]


def test_a_line_grows_to_its_full_height():
    assert line_of(at(0, 1), at(10, 4), at(20, 8)) == ["▁▁▁▁▁▁▁▁▁▄▄▄▄▄▄▄▄▄██"]
    assert line_of(at(0, 3)) == ["█" * 20]
    assert line_of(at(0, 0), at(1, 0)) == [""]


def test_a_loss_is_a_gap_with_its_repair_below():
    instant = 1 / 60e6
    loss = [at(10 - 2 * instant, 8), at(10 - instant, 0, "loss"), at(10, 8, "repair")]
    gap = f"{' ' * 9}✗"
    assert line_of(at(0, 8), *loss, at(20, 8)) == ["█████████ ██████████", gap, f"{' ' * 9}✓"]
    assert line_of(at(0, 8), *loss[:2], at(20, 0)) == ["█████████", gap]


def test_what_happened_last_leaves_the_last_column_to_what_is_now():
    instant = 1 / 60e6
    loss = [at(10 - 2 * instant, 8), at(10 - instant, 0, "loss"), at(10, 8, "repair")]
    assert line_of(at(0, 8), *loss) == [f"{'█' * 18} █", f"{' ' * 18}✗", f"{' ' * 18}✓"]


def test_a_removal_by_a_user_shows_the_count_before_it():
    instant = 1 / 60e6
    assert line_of(at(0, 4), at(10 - instant, 8), at(10, 2, "intended"), at(20, 2)) == [
        "▄▄▄▄▄▄▄▄▄█▂▂▂▂▂▂▂▂▂▂",
        f"{' ' * 9}•",
    ]


def test_a_users_command_is_marked_by_its_direction():
    def mark(before: int, after: int) -> str:
        act = Incident(
            "1",
            BEGAN.isoformat(),
            "3f2a",
            "restored_by_user",
            "restored",
            messages_before=before,
            messages_after=after,
        )
        return points([], [], [act])[-1].mark

    assert [mark(2, 8), mark(8, 2), mark(8, 8)] == ["repair", "intended", ""]
