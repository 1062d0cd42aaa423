"""Take away one rule of the judge, or one harmless kind of change, and see which test notices first.

    python tests/helpers/mutations.py [NAME...]

prints a line for each, and exits with 1 when no test noticed one of them. Each runs in a process of its own (pytest -x, with
this module as its plugin); tests/unit/judge/test_mutations.py shows the same within seconds, without processes.
"""

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from hermesguard.judge.acts import ACTS, Act, Consequence, Part
from hermesguard.judge.rule import Rule, says
from hermesguard.judge.rules import RULES
from hermesguard.judge.rules_missing import MISSING_RULES, UNREADABLE_RULES, Missing
from hermesguard.judge.verdict import Action
from hermesguard.webui import benign

REPOSITORY = Path(__file__).parents[2]
VARIABLE = "HERMESGUARD_MUTANT"
FILES = (
    "tests/unit/judge/test_rules.py",
    "tests/unit/judge/test_acts.py",
    "tests/unit/judge/test_benign.py",
    "tests/unit/judge/test_gone.py",
    "tests/guard/test_rules_missing.py",
    "tests/guard/test_guard.py",
)
KINDS_OF_MESSAGE = (
    "is_compaction_marker",
    "is_control_message",
    "is_interruption_marker",
    "is_user_turn",
    "says_more",
)
EVIDENCE_OF_MISSING = (
    "is_temporary",
    "is_empty",
    "is_from_messenger",
    "lacks_tombstone",
    "is_listed_on",
    "has_just_begun",
    "was_cleaned_up",
)


@dataclass(frozen=True, slots=True)
class Mutant:
    """A judge that lacks something; `disabled()` is a context in which this process judges so."""

    name: str
    disabled: Callable[[], contextlib.AbstractContextManager[None]]
    is_about_missing: bool = False


def _mutants() -> Iterator[Mutant]:
    tables: tuple[list[Rule[Any]], ...] = (UNREADABLE_RULES, RULES, MISSING_RULES)
    for rules in tables:
        for index, rule in enumerate(rules):
            # Where no rule is left to decide, all is well.
            otherwise = says(Action.GROWTH, "no rule says anything") if index == len(rules) - 1 else None
            silent = replace(rule, decide=lambda case, otherwise=otherwise: otherwise)  # type: ignore[misc]
            yield Mutant(f"rule {rule.label}", lambda rules=rules, silent=silent: _swapped(rules, silent))  # type: ignore[misc]
    for act in ACTS:
        for part in act.parts:
            yield Mutant(f"act {act.name}: {part}", lambda act=act, part=part: _unasked(act, part))  # type: ignore[misc]
    for kinds in (benign.SUPERSEDED, benign.UNSAID, benign.CHANGING):
        for kind in kinds:
            yield Mutant(kind.__name__, lambda kinds=kinds, kind=kind: _without(kinds, kind))  # type: ignore[misc]
    for name in KINDS_OF_MESSAGE:
        yield Mutant(name, lambda name=name: _never(name))  # type: ignore[misc]
    for name in EVIDENCE_OF_MISSING:
        for value in (False, True):
            yield Mutant(f"{name} {value}", lambda name=name, value=value: _always(name, value), True)  # type: ignore[misc]


@contextlib.contextmanager
def _always(name: str, value: bool) -> Iterator[None]:
    known = vars(Missing)[name]
    setattr(Missing, name, property(lambda missing: value))
    try:
        yield
    finally:
        setattr(Missing, name, known)


@contextlib.contextmanager
def _swapped(rules: list[Any], silent: Any) -> Iterator[None]:
    index = next(index for index, rule in enumerate(rules) if rule.label == silent.label)
    spoken, rules[index] = rules[index], silent
    try:
        yield
    finally:
        rules[index] = spoken


@contextlib.contextmanager
def _unasked(act: Act, part: Part) -> Iterator[None]:
    """Leave a necessary consequence out of an act."""
    known = act.parts[part]
    act.parts[part] = Consequence("anything", lambda case: "")
    try:
        yield
    finally:
        act.parts[part] = known


@contextlib.contextmanager
def _without(kinds: list[Any], kind: Any) -> Iterator[None]:
    index = kinds.index(kind)
    kinds.remove(kind)
    try:
        yield
    finally:
        kinds.insert(index, kind)


@contextlib.contextmanager
def _never(name: str) -> Iterator[None]:
    known = getattr(benign, name)
    setattr(benign, name, lambda *messages: False)
    try:
        yield
    finally:
        setattr(benign, name, known)


MUTANTS = list(_mutants())


def pytest_configure(config: pytest.Config) -> None:
    """As a plugin: judge as the mutant in the environment does, to the end of the tests."""
    [mutant] = (mutant for mutant in MUTANTS if mutant.name == os.environ[VARIABLE])
    stack = contextlib.ExitStack()
    stack.enter_context(mutant.disabled())
    config.add_cleanup(stack.close)


def first_failure(mutant: Mutant) -> str:
    """Return the first test that fails when the judge is this mutant; empty when none does."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-x",
        "-q",
        "--tb=no",
        "-p",
        "no:cacheprovider",
        "-p",
        "tests.helpers.mutations",
    ]
    done = subprocess.run(
        [*command, *FILES],
        cwd=REPOSITORY,
        env=os.environ | {VARIABLE: mutant.name, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
    )
    if done.returncode not in (0, 1):
        raise RuntimeError(f"pytest could not run for {mutant.name}:\n{done.stdout}{done.stderr}")
    failed = (line.split(" - ")[0] for line in done.stdout.splitlines() if line.startswith("FAILED "))
    return next((line.removeprefix("FAILED ") for line in failed), "")


def main(names: Iterable[str]) -> int:
    """Try all mutants, or those whose name has one of `names` in it; return the exit code."""
    wanted = list(names)
    chosen = [mutant for mutant in MUTANTS if not wanted or any(name in mutant.name for name in wanted)]
    width = max((len(mutant.name) for mutant in chosen), default=0)
    survivors = 0
    for mutant in chosen:
        failure = first_failure(mutant)
        survivors += not failure
        print(f"{mutant.name:{width}}  {failure or 'NO TEST NOTICES'}", flush=True)
    print(f"{len(chosen)} mutants, {survivors} survived")
    return 1 if survivors or not chosen else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
