"""Of which situation a message is judged."""

from typing import Any

import pytest

from hermesguard.salvage.standing import Situation


@pytest.mark.parametrize("title", [[], {}, ["Untitled"], 5, None, True, "A talk", float("nan")])
def test_a_title_of_any_kind_may_stand_in_a_file(title: Any) -> None:
    assert not Situation("whole", {"title": title}).is_untitled


def test_a_conversation_without_a_title() -> None:
    assert Situation("whole", {"title": "Untitled"}).is_untitled
