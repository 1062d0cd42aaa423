"""Was a change of a session intended, or is it a loss? Pure: no disk, no clock, no logging.

The rules are in rules.py and rules_missing.py; the first that applies decides. A verdict carries the evidence for it and what
spoke against it, in sentences that quote no message.
"""

from collections.abc import Iterable
from typing import Any, Final, TypeVar

from hermesguard.judge.acts import ACTS, COMPRESSION
from hermesguard.judge.case import Case
from hermesguard.judge.facts import INTENDED, LOSS, facts
from hermesguard.judge.rule import Entry, Rule
from hermesguard.judge.rules import RULES
from hermesguard.judge.rules_missing import MISSING_RULES, UNREADABLE_RULES, Missing, Unread
from hermesguard.judge.verdict import Action, Surroundings, Verdict
from hermesguard.webui import session
from hermesguard.webui.compare.parts import taken
from hermesguard.webui.session import Document

__all__ = ["TABLE", "Action", "Surroundings", "Verdict", "judge", "judge_missing", "judge_unreadable"]

C = TypeVar("C")
_NOTHING_KNOWN: Final = Surroundings()

# All rules as people read them, by number; they are asked in the order of their modules.
TABLE: tuple[Entry, ...] = tuple(
    sorted((*UNREADABLE_RULES, *RULES, *MISSING_RULES), key=lambda rule: rule.order)
)


def judge(shadow: Document, live: Document, around: Surroundings | None = None) -> Verdict:
    """Return what became of a session whose last good copy is `shadow` and whose file now says `live`."""
    case = Case(shadow, live, around or _NOTHING_KNOWN)
    verdict = _first(RULES, case, comparison=case.comparison, loses_prompt=case.prompt_is_lost)
    if verdict.action is Action.GROWTH:
        gone, lessens = taken(shadow, live, case.comparison, case.may_be_several)
        fewer = shadow.count - live.count
        if gone and any(act.explains(case) for act in (ACTS if case.lost_turns else (COMPRESSION,))):
            # Of a question that stood twice one was taken back, or compressed, and with it what the model knew of it.
            gone = tuple(part for part in gone if part not in (session.CONTEXT, session.TOOL_CALLS))
        against = (f"live has {fewer} messages fewer",) if fewer > 0 else ()
        return verdict._replace(taken=gone, lessens=lessens, against=against)
    return _explained(verdict, facts(case), INTENDED if verdict.action is Action.INTENDED else LOSS)


def is_wipe(shadow: Document, live: Document) -> bool:
    """Return whether the first of all rules applies, the one that allows no moment's delay (hermes-webui #1558)."""
    return Case(shadow, live, _NOTHING_KNOWN).is_wiped


def judge_unreadable(reason: str, around: Surroundings) -> Verdict:
    """Return what to do about a live file that the application could not read either; `reason` says why it could not."""
    return _first(UNREADABLE_RULES, Unread(reason, around))


def judge_missing(shadow: Document, around: Surroundings) -> Verdict:
    """Return what became of a session whose file is gone."""
    missing = Missing(shadow, around)
    verdict = _first(MISSING_RULES, missing)
    is_intended = verdict.action in (Action.DELETED, Action.RENAMED)
    return _explained(verdict, missing.facts(), INTENDED if is_intended else LOSS)


def _first(rules: Iterable[Rule[C]], case: C, **seen: Any) -> Verdict:
    """Return the verdict of the first rule that applies, with what was `seen` beside it."""
    for rule in rules:
        if (verdict := rule.decide(case)) is not None:
            return verdict._replace(rule=rule.label, **seen)
    raise LookupError("the last rule always applies")


def _explained(verdict: Verdict, seen: Iterable[tuple[str, str]], side: str) -> Verdict:
    """Add what was seen: what speaks for the side of the verdict to its evidence, the rest to what is against it."""
    seen = list(seen)
    return verdict._replace(
        evidence=(*verdict.evidence, *(sentence for speaks_for, sentence in seen if speaks_for == side)),
        against=tuple(sentence for speaks_for, sentence in seen if speaks_for != side),
    )
