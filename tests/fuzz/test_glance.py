"""A glance says of a session file what the whole of it would, or nothing at all."""

from hermesguard.webui import session
from hermesguard.webui.glance import glance
from hermesguard.webui.session import Unreadable
from tests.fuzz import grammar
from tests.fuzz.budget import rounds


def test_what_a_glance_takes_for_a_session_is_one() -> None:
    taken = refused = 0
    for chance in rounds("glance", 900):
        data = grammar.text(chance, grammar.document(chance))
        if chance.random() < 0.5:
            data = grammar.mutated(chance, data)
        found = glance(data)
        try:
            document = session.parse(data)
        except Unreadable:
            assert found is None
            refused += 1
            continue
        if found is not None:
            taken += 1
            assert found == (len(document.messages), bool(document.stream))
    assert taken > 100
    assert refused > 100
