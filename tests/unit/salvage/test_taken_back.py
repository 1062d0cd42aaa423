"""What a user took back or deleted stays so; what may have been taken back is uncertain and comes back only when it is named."""

import json
from datetime import UTC, datetime
from pathlib import Path

from hermesguard.demo.eras import Era
from hermesguard.salvage.finding import Finding, State
from hermesguard.salvage.places import Places
from hermesguard.salvage.standing import Standing
from hermesguard.salvage.survey import survey
from hermesguard.store.store import Store
from tests.helpers.home import Home, Said, chat, told

SID = "4f2a61c09b7d"
CHAT = chat(6)
KEPT = CHAT[:-4]  # an undo of the last turn: prompt, call, result, answer
UNDONE_AT = CHAT[-1]["timestamp"] + 30
LATER = chat(1, start=CHAT[-1]["timestamp"] + 600, word="later question")


def look(home: Home, *names: str, store: Path | None = None) -> list[Finding]:
    return list(survey(Places(home.sessions, home.agent, store), names))


def one(home: Home, store: Path | None = None) -> Finding:
    (finding,) = look(home, SID, store=store)
    return finding


def cut(said: list[Said]) -> dict[str, object]:
    """Return the marks that an undo leaves in the newest releases."""
    at = said[-1]["timestamp"] if said else 0.0
    return {"truncation_watermark": at, "truncation_boundary": at, "intentional_shrink_generation": "ab" * 16}


def test_a_marked_undo_stays_although_the_database_has_it_all(tmp_path: Path) -> None:
    home = Home(tmp_path, Era.NEW, 30)
    home.save(SID, KEPT, **cut(KEPT))
    home.remember(SID, CHAT)
    home.run(SID, 1, CHAT, CHAT[-1]["timestamp"] + 0.1)
    finding = one(home)
    assert finding.state is State.WHOLE
    assert finding.count(Standing.TAKEN_BACK) == 4
    assert look(home) == []


def test_a_marked_undo_stays_when_the_file_is_wiped_afterwards(tmp_path: Path) -> None:
    home = Home(tmp_path, Era.NEW, 30)
    marks = cut(KEPT) | {"truncation_watermark": LATER[0]["timestamp"]}
    home.save(SID, KEPT + LATER, **marks)
    home.wipe(SID)
    home.remember(SID, CHAT + LATER)
    finding = one(home)
    assert finding.state is State.LOST
    assert told(json.loads(finding.document())["messages"]) == told(KEPT + LATER)
    assert told(json.loads(finding.document(with_uncertain=True))["messages"]) == told(KEPT + LATER)


def test_a_marked_clear_stays(tmp_path: Path) -> None:
    home = Home(tmp_path, Era.NEW, 30)
    home.save(SID, [], title="Untitled", clear_generation="cd" * 16, context_messages=[], **cut([]))
    home.remember(SID, CHAT)
    finding = one(home)
    assert finding.state is State.WHOLE
    assert finding.count(Standing.TAKEN_BACK) == len(CHAT)


def test_a_chat_begun_after_a_marked_clear_gets_back_its_own_messages_alone(tmp_path: Path) -> None:
    home = Home(tmp_path, Era.NEW, 30)
    marks = cut([]) | {"clear_generation": "cd" * 16, "truncation_watermark": LATER[0]["timestamp"]}
    home.save(SID, LATER[:1], **marks)
    home.remember(SID, CHAT + LATER)
    assert told(json.loads(one(home).document())["messages"]) == told(LATER)


def test_what_the_database_knows_to_be_rewound_stays_away(tmp_path: Path) -> None:
    home = Home(tmp_path, Era.OLD, 30)
    home.save(SID, CHAT)
    home.wipe(SID, index_count=len(KEPT))
    home.remember(SID, CHAT)
    with home.database() as connection:
        connection.execute("UPDATE messages SET active = 0 WHERE id > ?", (len(KEPT),))
    connection.close()
    finding = one(home)
    assert finding.count(Standing.TAKEN_BACK) == 4
    assert told(json.loads(finding.document(with_uncertain=True))["messages"]) == told(KEPT)


def test_an_undo_of_an_old_release_is_uncertain_and_comes_back_only_when_named(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.save(SID, KEPT, updated_at=UNDONE_AT)
    home.remember(SID, CHAT)
    (finding,) = look(home)
    assert finding.state is State.UNCERTAIN
    assert finding.uncertain == 4
    assert finding.lost == 0
    assert told(json.loads(finding.document())["messages"]) == told(KEPT)
    assert told(json.loads(finding.document(with_uncertain=True))["messages"]) == told(CHAT)


def test_a_clear_of_an_old_release_is_uncertain(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.save(SID, [], title="Untitled", context_messages=CHAT)
    home.remember(SID, CHAT)
    (finding,) = look(home)
    assert finding.state is State.UNCERTAIN
    assert "as a clear leaves it" in finding.why[0]


def test_an_undo_between_turns_of_an_old_release_is_seen_in_the_later_log(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.save(SID, KEPT + LATER)
    home.wipe(SID, index_count=len(KEPT + LATER))
    home.remember(SID, CHAT + LATER)
    home.log(SID, KEPT + LATER)
    finding = one(home)
    assert finding.state is State.LOST
    assert finding.uncertain == 4
    assert told(json.loads(finding.document())["messages"]) == told(KEPT + LATER)


def test_where_the_index_counts_fewer_than_the_database_nothing_is_certain(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.save(SID, KEPT, updated_at=UNDONE_AT)
    home.wipe(SID, index_count=len(KEPT))
    home.remember(SID, CHAT)
    finding = one(home)
    assert finding.state is State.UNCERTAIN
    assert "the index counts" in finding.why[0]


def test_a_deleted_session_stays_deleted_whatever_its_journals_say(tmp_path: Path) -> None:
    for era, schema in ((Era.OLD, 2), (Era.NEW, 30)):
        home = Home(tmp_path / era.release, era, schema)
        home.save("keeps", CHAT)
        home.save(SID, CHAT)
        home.remember(SID, CHAT)
        home.prompts(SID, CHAT)
        home.log(SID, CHAT)
        home.bury(SID)
        assert look(home) == []
        finding = one(home)
        assert finding.state is State.DELETED
        assert not finding.entries


def test_a_tombstone_holds_although_the_database_still_has_the_session(tmp_path: Path) -> None:
    home = Home(tmp_path, Era.NEW, 30)
    home.save(SID, CHAT)
    home.bury(SID)
    home.remember(SID, CHAT)
    assert one(home).state is State.DELETED
    assert look(home) == []


def test_side_questions_and_errands_of_the_agent_are_no_lost_conversations(tmp_path: Path) -> None:
    home = Home(tmp_path, Era.NEW, 30)
    home.save(SID, CHAT)
    home.remember(SID, CHAT)
    home.remember("errand", chat(3), parent_session_id=SID)
    home.remember("aside", chat(1), title="btw: what is the time?")
    home.remember("alone", chat(1), title="")
    assert [(finding.session, finding.state) for finding in look(home)] == [("alone", State.UNCERTAIN)]
    errand, aside = look(home, "errand", "aside")
    assert {errand.state, aside.state} == {State.DELETED}


def test_what_the_guard_saw_being_cleared_stays_away(tmp_path: Path) -> None:
    home = Home(tmp_path)
    store = Store(tmp_path / "store")
    store.create()
    data = json.dumps(home.document(SID, CHAT)).encode()
    store.add_version(SID, data, len(CHAT), "clear", datetime.now(UTC))
    home.save(SID, [], title="Untitled")
    home.remember(SID, CHAT)
    finding = one(home, store.root)
    assert finding.state is State.WHOLE
    assert "the guard saw" in finding.why[0]


def test_a_stale_writer_that_wrote_only_new_turns_gets_the_old_ones_before_them(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.save(SID, LATER, title="About umbrellas", listed=False)
    home.remember(SID, CHAT + LATER)
    assert told(json.loads(one(home).document())["messages"]) == told(CHAT + LATER)


def test_a_chat_cleared_and_begun_anew_by_an_old_release_is_uncertain(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.save(SID, LATER, title=LATER[0]["content"][:20], listed=False)
    home.remember(SID, CHAT + LATER)
    assert one(home).state is State.UNCERTAIN


def test_what_was_said_after_the_last_save_is_lost_for_certain(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.save(SID, CHAT)
    home.remember(SID, CHAT + LATER)
    finding = one(home)
    assert finding.state is State.LOST
    assert told(json.loads(finding.document())["messages"]) == told(CHAT + LATER)


def test_a_second_witness_says_what_the_traces_know_of_missing_messages(tmp_path: Path) -> None:
    home = Home(tmp_path, Era.NEW, 30)
    home.save(SID, KEPT, **cut(KEPT))
    home.remember(SID, CHAT)
    finding = one(home)
    missing = [message for message, judged in finding.preview() if judged.standing is not Standing.PRESENT]
    witness = finding.knows(missing)
    assert witness.known == {"state.db": 4}
    assert witness.removed == 4
    assert witness.sentences() == [
        "state.db knows 4 of the 4 missing messages",
        "4 of them were taken back, as a trace says",
    ]
