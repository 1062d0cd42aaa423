"""What a save takes away of what the model sees, though every message is there."""

import pytest

from tests.helpers.cases import FIVE, NEW, Value, answer, file, user, verdict_on

CARD = user("[context compaction] what was said so far", 900)
OTHER_CARD = user("[context compaction] what was said until now", 1060)

Context = list[Value]

CONTEXTS: dict[str, tuple[Context, Context, bool, bool]] = {
    "as it was": (FIVE, FIVE, False, False),
    "longer": (FIVE[:6], FIVE, False, False),
    "shorter": (FIVE, FIVE[:7], True, True),
    "none": (FIVE, [], True, True),
    "none was there": ([], FIVE, False, False),
    "shorter in the middle": (FIVE, [*FIVE[:3], *FIVE[6:]], True, True),
    "as long, with another message": (FIVE, [*FIVE[:9], user("odd", 1060)], False, False),
    "compressed: a card took the place of messages": (FIVE, [CARD, *FIVE[6:]], False, False),
    "compressed again": ([CARD, *FIVE], [OTHER_CARD, *FIVE[6:]], False, False),
    "compressed at its end": (FIVE, [*FIVE[:4], CARD], False, False),
    "shorter behind a card that was there": ([CARD, *FIVE], [CARD, *FIVE[:6]], True, True),
    "shorter before a card that was there": ([*FIVE, CARD], [*FIVE[4:], CARD], True, True),
    "without its card": ([CARD, *FIVE], FIVE, False, True),
    "a message in the place of its card": ([CARD, *FIVE], [answer("odd", 900), *FIVE], False, True),
    "a message in the place of the last card": ([*FIVE, CARD], [*FIVE, answer("odd", 900)], False, True),
    "in another order": (FIVE, [*FIVE[2:4], *FIVE[:2], *FIVE[4:]], False, True),
}


@pytest.mark.parametrize("what", CONTEXTS)
def test_what_the_model_sees_less_of(what: str) -> None:
    before, after, is_taken, is_less = CONTEXTS[what]
    verdict = verdict_on(file(FIVE, NEW, context_messages=before), file(FIVE, NEW, context_messages=after))
    assert verdict.rule == "2 growth"
    assert verdict.taken == (("context_messages",) if is_taken else ())
    assert verdict.lessens == verdict.takes_away == is_less


def test_what_went_with_its_message_is_not_taken_of_the_context() -> None:
    empty = answer("", 1052)
    before = file([*FIVE, empty], NEW, context_messages=[*FIVE, empty])
    assert not verdict_on(before, file(FIVE, NEW, context_messages=FIVE)).taken
    assert verdict_on(before, file(FIVE, NEW, context_messages=FIVE[:9])).taken == ("context_messages",)
