"""A file that is gone: deleted, lost or not known, by each kind of evidence, and by what is missing of it. No clock, no disk."""

from typing import Any, get_args

import pytest

from hermesguard.judge.judge import judge_missing
from hermesguard.judge.rules_missing import (
    MISSING_WAIT_SECONDS,
    PRUNED_WAIT_SECONDS,
    UNKNOWN_WAIT_SECONDS,
    UNLINKED_WAIT_SECONDS,
    Missing,
)
from hermesguard.judge.verdict import Action, IndexSays, Surroundings, Verdict
from tests.helpers.cases import FIVE, Value, answer, file, user

INDEX: tuple[IndexSays, ...] = get_args(IndexSays)
WITHOUT_EVIDENCE: tuple[IndexSays, ...] = ("dropped", "rebuilt", "unlisted", "removed", "none")
LATER = 60.0
WRITES_TOMBSTONES = {"may_leave_none": False, "unlinks_index": False}
PRUNES = {"unlinks_index": False}
"""What a release does at a deletion; without any of these it removes the whole index."""


def gone(messages: Any = FIVE, members: Any = None, **around: Any) -> Verdict:
    shadow = file(messages, **(members or {}))
    return judge_missing(shadow, Surroundings(**{"gone": True, "waited_seconds": LATER, **around}))


def says(verdict: Verdict, action: Action, number: str) -> None:
    assert (verdict.action, verdict.rule.split()[0]) == (action, number), verdict


def waits(number: str, seconds: float, messages: Any = FIVE, **around: Any) -> None:
    """The rule asks for so many seconds, and decides nothing before they are over."""
    early = gone(messages, waited_seconds=0.0, **around)
    assert early.wait_seconds <= seconds
    late = gone(messages, waited_seconds=seconds - 0.1, **around)
    says(late, Action.WAIT, number)
    assert late.wait_seconds == seconds
    assert gone(messages, waited_seconds=seconds, **around).action is not Action.WAIT


# ---- deleted ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("index", INDEX)
def test_rule_18_a_tombstone_at_once_whatever_else(index: Any) -> None:
    says(gone(tombstone=True, index=index, waited_seconds=0.0), Action.DELETED, "18")


@pytest.mark.parametrize("kind", ["btw:", "bg:"])
def test_rule_18_a_side_question_at_once(kind: str) -> None:
    side = {"title": f"{kind} a question"}
    says(gone(members=side, waited_seconds=0.0, index="lists"), Action.DELETED, "18")
    says(gone(members=side, waited_seconds=0.0, **WRITES_TOMBSTONES), Action.DELETED, "18")


@pytest.mark.parametrize("kind", ["btw:", "bg:"])
def test_a_chat_that_a_user_began_or_named_like_a_side_question_is_none(kind: str) -> None:
    """The first title is the beginning of the first question."""
    title = {"title": f"{kind} can you help"}
    began = [user(f"{kind}  can you help me?", 1), answer("yes", 2)]
    says(gone(began, title, index="lists"), Action.LOSS, "20")
    says(gone(FIVE, title | {"manual_title": True}, index="lists"), Action.LOSS, "20")
    says(gone([answer("no question", 1)], title, index="lists"), Action.DELETED, "18")


def test_rule_18_what_was_cleared_is_empty_though_old_releases_keep_its_context() -> None:
    """The clean-up of empty sessions takes it, and removes the index in releases that do so at nothing else."""
    cleared = {"title": "Untitled", "context_messages": FIVE}
    says(gone([], cleared, index="unlinked", **PRUNES), Action.DELETED, "18")
    says(gone([], cleared | {"title": "Tiles"}, index="unlinked", **PRUNES), Action.UNKNOWN, "26")


def test_rule_18_an_entry_that_went_with_the_file() -> None:
    waits("18", PRUNED_WAIT_SECONDS, index="pruned", **PRUNES)
    verdict = gone(index="pruned", **PRUNES)
    says(verdict, Action.DELETED, "18")
    assert "its entry in the index went with it" in verdict.evidence
    assert "the application has not noted a deletion" in verdict.against


def test_rule_18_an_index_that_went_with_the_file_where_a_deletion_removes_it() -> None:
    waits("18", UNLINKED_WAIT_SECONDS, index="unlinked")
    says(gone(index="unlinked"), Action.DELETED, "18")
    verdict = gone(index="unlinked", **PRUNES)
    says(verdict, Action.UNKNOWN, "26")
    assert "this release removes the index only when it cleans up empty sessions" in verdict.evidence


@pytest.mark.parametrize("index", [word for word in INDEX if word != "lists"])
@pytest.mark.parametrize("release", [{}, PRUNES, WRITES_TOMBSTONES])
def test_rule_18_what_held_nothing(index: Any, release: Any) -> None:
    """A clean-up of empty sessions leaves no tombstone in any release, and nobody misses them."""
    waits("18", PRUNED_WAIT_SECONDS, [], index=index, **release)
    says(gone([], index=index, **release), Action.DELETED, "18")
    unsent = {"pending_user_message": "unsent"}
    answer = gone([], unsent, index=index, **WRITES_TOMBSTONES)
    says(answer, Action.LOSS, "20")
    says(gone([], {"context_messages": FIVE}, index=index, **WRITES_TOMBSTONES), Action.LOSS, "20")


@pytest.mark.parametrize("index", ["pruned", "unlinked", "none"])
def test_rule_18_not_when_a_new_session_lacks_messages_of_this_one(index: Any) -> None:
    verdict = gone(index=index, moved_to="new")
    says(verdict, Action.LOSS, "20")
    assert "a new session with the same creation time lacks messages of it" in verdict.evidence
    says(gone(index=index, moved_to="new", tombstone=True), Action.DELETED, "18")


# ---- renamed ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("index", INDEX)
def test_rule_19_before_all_else(index: Any) -> None:
    verdict = gone(renamed_to="new", index=index, tombstone=True, waited_seconds=0.0)
    says(verdict, Action.RENAMED, "19")
    assert verdict.renamed_to == "new"


# ---- lost ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("release", [{}, PRUNES, WRITES_TOMBSTONES])
def test_rule_20_the_index_lists_it_on(release: Any) -> None:
    waits("20", MISSING_WAIT_SECONDS, index="lists", **release)
    verdict = gone(index="lists", waited_seconds=MISSING_WAIT_SECONDS, **release)
    says(verdict, Action.LOSS, "20")
    assert "the index still lists it" in verdict.evidence
    says(gone([], index="lists", **release), Action.LOSS, "20")


def test_rule_20_the_index_listed_it_on_for_a_while() -> None:
    verdict = gone(index="dropped", listed_seconds=1.0)
    says(verdict, Action.LOSS, "20")
    assert "the index went on listing it after the file had gone" in verdict.evidence
    says(gone(index="dropped", listed_seconds=0.9), Action.UNKNOWN, "26")
    says(gone(index="pruned", listed_seconds=1.5), Action.DELETED, "18")


@pytest.mark.parametrize("index", [word for word in INDEX if word != "lists"])
def test_rule_20_no_tombstone_where_every_deletion_leaves_one(index: Any) -> None:
    waits("20", MISSING_WAIT_SECONDS, index=index, **WRITES_TOMBSTONES)
    verdict = gone(index=index, **WRITES_TOMBSTONES)
    says(verdict, Action.LOSS, "20")
    assert "the application notes every deletion, and has noted none of it" in verdict.evidence


MESSENGER = [
    {"session_source": "messaging"},
    {"raw_source": "Telegram "},
    {"source_tag": "slack"},
    {"raw_source": "", "source_tag": "weixin"},
]
NO_MESSENGER = [
    {"session_source": "cli"},
    {"raw_source": "cli", "source_tag": "telegram"},
    {"source_tag": ["telegram"]},
    {"source_label": "telegram"},
]


@pytest.mark.parametrize("members", MESSENGER)
def test_rule_20_sessions_of_messengers_never_have_a_tombstone(members: Any) -> None:
    says(gone(members=members, index="pruned", **WRITES_TOMBSTONES), Action.DELETED, "18")
    says(gone(members=members, index="unlisted", **WRITES_TOMBSTONES), Action.UNKNOWN, "26")
    says(gone(members=members, index="lists", **WRITES_TOMBSTONES), Action.LOSS, "20")


@pytest.mark.parametrize("members", NO_MESSENGER)
def test_rule_20_what_the_application_does_not_take_for_a_messenger(members: Any) -> None:
    says(gone(members=members, index="pruned", **WRITES_TOMBSTONES), Action.LOSS, "20")


def test_rule_20_a_clean_up_just_after_the_first_turn() -> None:
    """PR#7036: where a deletion takes the entry, an index that goes is a clean-up, and that takes no session with messages."""
    verdict = gone(index="unlinked", began_seconds=0.1, **PRUNES)
    says(verdict, Action.LOSS, "20")
    assert any("PR#7036" in sentence for sentence in verdict.evidence)
    says(gone(index="unlinked", began_seconds=2.0, **PRUNES), Action.UNKNOWN, "26")
    # Before, a deletion looks the same.
    says(gone(index="unlinked", began_seconds=0.1), Action.UNKNOWN, "26")
    says(gone(index="unlinked", began_seconds=2.0), Action.DELETED, "18")
    says(gone(index="pruned", began_seconds=0.1, **PRUNES), Action.DELETED, "18")


# ---- not known -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("index", WITHOUT_EVIDENCE)
@pytest.mark.parametrize("release", [{}, PRUNES])
def test_rule_23_evidence_of_neither(index: Any, release: Any) -> None:
    waits("26", UNKNOWN_WAIT_SECONDS, index=index, **release)
    says(gone(index=index, waited_seconds=0.0, **release), Action.WAIT, "20")
    verdict = gone(index=index, **release)
    says(verdict, Action.UNKNOWN, "26")
    assert verdict.evidence


@pytest.mark.parametrize("index", INDEX)
def test_rule_23_each_state_of_the_index_is_said_in_a_sentence_of_its_own(index: Any) -> None:
    sentences = {
        word: {*gone(index=word).evidence, *gone(index=word).against} - {"it held no message"}
        for word in INDEX
    }
    others = set.union(*(found for word, found in sentences.items() if word != index))
    assert sentences[index] - others


# ---- facts -------------------------------------------------------------------------------------------------------------

LISTED_ON = "the index went on listing it after the file had gone"
CLEANED = "this release removes the index only when it cleans up empty sessions"
JUST_BEGUN = "its first messages came just before"
NO_TOMBSTONE = "the application notes every deletion, and has noted none of it"


@pytest.mark.parametrize(
    ("words", "around", "members", "is_said"),
    [
        ("the application has noted its deletion", {"tombstone": True}, {}, True),
        ("the application has noted its deletion", {}, {}, False),
        (NO_TOMBSTONE, {"may_leave_none": False}, {}, True),
        (NO_TOMBSTONE, {"may_leave_none": False}, {"title": "btw: one more thing"}, False),
        (NO_TOMBSTONE, {"may_leave_none": False, "tombstone": True}, {}, False),
        ("the application has not noted a deletion", {}, {}, True),
        ("the application has not noted a deletion", {"may_leave_none": False}, {}, False),
        ("it was a temporary session", {}, {"title": "bg: a task"}, True),
        ("it was a temporary session", {}, {}, False),
        ("it held no message", {}, {"messages": [], "title": "Untitled"}, True),
        ("it held no message", {}, {"messages": [], "context_messages": []}, True),
        ("it held no message", {}, {"messages": []}, False),
        ("it held no message", {}, {"messages": [], "title": "Untitled", "pending_user_message": "x"}, False),
        ("it held no message", {}, {"messages": [], "title": "Untitled", "pending_user_message": " "}, True),
        ("it held no message", {}, {}, False),
        (LISTED_ON, {"index": "pruned", "listed_seconds": 1.0}, {}, True),
        (LISTED_ON, {"index": "pruned", "listed_seconds": 0.9}, {}, False),
        (LISTED_ON, {"index": "lists", "listed_seconds": 1.0}, {}, False),
        (CLEANED, {"index": "unlinked", "unlinks_index": False}, {}, True),
        (CLEANED, {"index": "unlinked", "unlinks_index": True}, {}, False),
        (CLEANED, {"index": "pruned", "unlinks_index": False}, {}, False),
        (JUST_BEGUN, {"began_seconds": 1.9}, {}, True),
        (JUST_BEGUN, {"began_seconds": 2.0}, {}, False),
        (JUST_BEGUN, {"began_seconds": None}, {}, False),
        ("lacks messages of it", {"moved_to": "other"}, {}, True),
        ("lacks messages of it", {}, {}, False),
        ("its messages stand in no other session", {}, {}, True),
        ("its messages stand in no other session", {"renamed_to": "other"}, {}, False),
        ("its messages stand in no other session", {"moved_to": "other"}, {}, False),
    ],
)
def test_a_fact_about_a_file_that_is_gone_is_said_where_it_is_so(
    words: str, around: Value, members: Value, is_said: bool
) -> None:
    value = dict(members)
    shadow = file(value.pop("messages", FIVE), context_messages=value.pop("context_messages", FIVE), **value)
    said = [sentence for _, sentence in Missing(shadow, Surroundings(**around)).facts() if words in sentence]
    assert bool(said) == is_said
