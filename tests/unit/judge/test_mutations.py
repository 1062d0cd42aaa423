"""No rule of the judge, and no harmless kind of change, could go without a test that notices.

Here the tests are called one by one, in this process; `python -m tests.helpers.mutations` says which notices first,
in processes apart.
"""

import inspect
import itertools
import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from types import ModuleType

import pytest

from hermesguard.judge.acts import ACTS
from hermesguard.judge.judge import TABLE
from hermesguard.webui import benign
from tests.helpers import mutations
from tests.helpers.mutations import MUTANTS, Mutant
from tests.unit.judge import test_acts, test_benign, test_gone, test_rules

Check = Callable[[], None]
KINDS = (benign.SUPERSEDED, benign.UNSAID, benign.CHANGING)


def checks(*modules: ModuleType) -> Iterator[tuple[str, partial[None]]]:
    """Each test of these modules with each of its parameters, but for those that want fixtures or invent their input."""
    for module in modules:
        for name, function in vars(module).items():
            if not name.startswith("test_") or hasattr(function, "hypothesis"):
                continue
            marks = [mark for mark in getattr(function, "pytestmark", ()) if mark.name == "parametrize"]
            names = [mark.args[0] for mark in marks]
            if set(inspect.signature(function).parameters) == set(names):
                for values in itertools.product(*(mark.args[1] for mark in marks)):
                    yield name, partial(function, **dict(zip(names, values, strict=True)))


def fails(check: Check) -> bool:
    """Whether the check says no. A judge that cannot even run (TypeError, ...) proves nothing, so that goes through."""
    try:
        check()
    except (AssertionError, pytest.fail.Exception):
        return True
    return False


CHECKS = list(checks(test_rules, test_acts, test_benign, test_gone))


def likely_first(mutant: Mutant) -> list[Check]:
    """The checks, those first that are named after the mutant's number; then one of each test before another of the same."""
    number = re.match(r"rule (\w+) ", mutant.name)
    prefix = (
        f"test_rule_{number[1]}_" if number else "test_rule_" if mutant.is_about_missing else "test_harmless"
    )
    here = test_gone if mutant.is_about_missing else test_rules if number else test_benign
    if mutant.name.startswith("act "):
        prefix, here = "test_one_part", test_acts

    def rank(named: tuple[str, partial[None]]) -> tuple[bool, bool, bool, int]:
        name, check = named
        is_of_it = f"act {check.keywords.get('act')}: {check.keywords.get('part')}" == mutant.name
        return not name.startswith(prefix), not is_of_it, not hasattr(here, name), next(seen[name])

    seen: defaultdict[str, Iterator[int]] = defaultdict(itertools.count)
    return [check for _, check in sorted(CHECKS, key=rank)]


def test_the_checks_pass_as_long_as_nothing_is_taken_away() -> None:
    assert len(CHECKS) > 100
    assert not [name for name, check in CHECKS if fails(check)]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_test_notices_when_it_is_gone(mutant: Mutant) -> None:
    with mutant.disabled():
        assert any(map(fails, likely_first(mutant)))


def test_every_rule_and_every_harmless_kind_is_tried() -> None:
    names = {mutant.name for mutant in MUTANTS}
    assert names >= {f"rule {entry.label}" for entry in TABLE}
    assert names >= {kind.__name__ for kind in (*benign.SUPERSEDED, *benign.UNSAID, *benign.CHANGING)}
    assert names >= {f"act {act.name}: {part}" for act in ACTS for part in act.parts}
    assert len(TABLE) == 32
    assert len(names) == len(MUTANTS)


def test_what_was_taken_away_is_back() -> None:
    before = [*map(list, KINDS), list(TABLE), vars(benign).copy()]
    for mutant in MUTANTS:
        with mutant.disabled():
            pass
    assert [*KINDS, list(TABLE), vars(benign)] == before


def test_the_script_says_which_test_notices(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(mutations, "FILES", ("tests/unit/judge/test_rules.py",))
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    assert "HERMESGUARD_MUTANT" not in os.environ
    assert mutations.main(["rule 21"]) == 0
    assert re.search(r"^rule 21 never any messages  \S*test_rules.py::test_rule_21", capsys.readouterr().out)
    assert mutations.main(["no such mutant"]) == 1
