"""What a rule of the table is. The rules themselves: rules.py (a file that can be read), rules_missing.py (one that cannot)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from hermesguard.judge.verdict import Action, Verdict

C = TypeVar("C")


@dataclass(frozen=True, slots=True)
class Entry:
    """One message of the table as people read it: a number and a name to cite, the evidence and the judgement in words."""

    number: str
    name: str
    evidence: str
    judgement: str

    @property
    def label(self) -> str:
        """How verdicts, logs and the manual cite it."""
        return f"{self.number} {self.name}"

    @property
    def order(self) -> tuple[int, str]:
        """Where it stands in the table."""
        digits = self.number.rstrip("abcd")
        return int(digits), self.number


@dataclass(frozen=True, slots=True)
class Rule(Entry, Generic[C]):
    """A message of the table with its predicate, which returns a verdict where the rule applies."""

    decide: Callable[[C], Verdict | None]


def rule(
    rules: list[Rule[C]], number: str, name: str, evidence: str, judgement: str
) -> Callable[[Callable[[C], Verdict | None]], Callable[[C], Verdict | None]]:
    """Return a decorator that makes a predicate the next of `rules`."""

    def register(decide: Callable[[C], Verdict | None]) -> Callable[[C], Verdict | None]:
        rules.append(Rule(number, name, evidence, judgement, decide))
        return decide

    return register


def says(action: Action, *evidence: str, wait_seconds: float = 0.0) -> Verdict:
    """Return a verdict as a rule gives it; who asked the rule adds its label and what else was seen."""
    return Verdict(action, "", evidence, wait_seconds=wait_seconds)
