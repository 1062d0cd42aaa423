"""A conversation whose file is gone comes back with title, times and the keys that its release needs; compressed ones too."""

import json
from pathlib import Path

from hermesguard.demo.eras import Era, members
from hermesguard.salvage.finding import Finding, State
from hermesguard.salvage.merge import merged
from hermesguard.salvage.places import Places
from hermesguard.salvage.survey import survey
from hermesguard.salvage.trace import Kind, Trace, message_of
from hermesguard.webui import session
from tests.helpers.home import START, Home, chat, told

SID = "4f2a61c09b7d"
CHAT = chat(6)


def look(home: Home, *names: str) -> list[Finding]:
    return list(survey(Places(home.sessions, home.agent), names))


def test_a_gone_session_has_title_times_and_the_keys_of_the_release(tmp_path: Path) -> None:
    for era, schema in ((Era.OLD, 2), (Era.NEW, 30)):
        home = Home(tmp_path / era.release, era, schema)
        home.save("neighbor", chat(2), pinned=True, project_id="p1", intentional_shrink_generation="ab" * 16)
        path = home.save(SID, CHAT)
        home.remember(SID, CHAT)
        path.unlink()
        (finding,) = look(home)
        value = json.loads(finding.document())
        document = session.parse(finding.document())
        neighbor = json.loads((home.sessions / "neighbor.json").read_text(encoding="utf-8"))
        assert finding.session == SID
        assert finding.state is State.LOST
        assert list(value) == list(neighbor)
        assert value["title"] == f"About {SID}"
        assert value["created_at"] == START - 1
        assert value["updated_at"] == CHAT[-1]["timestamp"] + 0.01
        assert value["pinned"] is False
        assert value["project_id"] is None
        assert value["active_stream_id"] is None
        assert value.get("intentional_shrink_generation") is None
        assert told(value["messages"]) == told(CHAT)
        assert document.count == len(CHAT) == value.get("message_count", len(CHAT))


def test_a_gone_session_comes_back_without_a_neighbor_to_copy_the_keys_from(tmp_path: Path) -> None:
    home = Home(tmp_path, Era.NEW, 30)
    home.remember(SID, CHAT, title="What the agent called it")
    (finding,) = look(home)
    value = json.loads(finding.document())
    assert value["title"] == "What the agent called it"
    assert told(value["messages"]) == told(CHAT)
    assert "intentional_shrink_generation" not in value
    assert set(value) <= set(members(Era.NEW))


def test_a_conversation_that_went_on_under_another_id_is_one_conversation(tmp_path: Path) -> None:
    home = Home(tmp_path)
    first, then = chat(6), chat(3, start=START + 4000, word="later question")
    summary = {
        "role": "user",
        "content": "[CONTEXT COMPACTION - REFERENCE ONLY] They spoke of rain.",
        "timestamp": START + 3000,
    }
    home.remember("before", first, end_reason="compression", ended_at=START + 3000)
    again = [{**message, "timestamp": START + 3001} for message in first[-4:]]
    home.remember("after", [summary, *again, *then], parent_session_id="before")
    home.save("after", [], title="About rain")
    home.index["after"]["message_count"] = len(first + then)
    home.write_index()
    (finding,) = look(home)
    value = json.loads(finding.document())
    assert finding.session == "after"
    assert told(value["messages"]) == told(first + then)
    # What the model sees is the summary and what came behind it, not all of it.
    assert told(value["context_messages"]) == told([summary, *again, *then])


def test_compacted_messages_come_back_to_the_page_and_not_into_the_context(tmp_path: Path) -> None:
    home = Home(tmp_path, Era.NEW, 30)
    home.save(SID, CHAT)
    home.wipe(SID, index_count=len(CHAT))
    home.remember(SID, CHAT)
    with home.database() as connection:
        connection.execute("UPDATE messages SET active = 0, compacted = 1 WHERE id <= 10")
    connection.close()
    (finding,) = look(home)
    value = json.loads(finding.document())
    assert told(value["messages"]) == told(CHAT)
    assert told(value["context_messages"]) == told(CHAT[10:])


def test_a_context_that_is_still_there_only_gets_what_came_back(tmp_path: Path) -> None:
    home = Home(tmp_path, Era.NEW, 30)
    home.save(SID, CHAT[:-4])
    home.remember(SID, CHAT)
    (finding,) = look(home)
    value = json.loads(finding.document())
    assert told(value["messages"]) == told(CHAT)
    assert told(value["context_messages"]) == told(CHAT)


def test_what_lies_before_a_compression_comes_back_to_the_page_alone(tmp_path: Path) -> None:
    home = Home(tmp_path, Era.NEW, 30)
    summary = {
        "role": "user",
        "content": "[CONTEXT COMPACTION - REFERENCE ONLY] They spoke of rain.",
        "timestamp": START + 300,
    }
    tail = CHAT[-4:]
    home.save(SID, tail, context_messages=[summary, *tail], compression_anchor_summary="They spoke of rain.")
    home.remember(SID, CHAT)
    (finding,) = look(home)
    value = json.loads(finding.document())
    assert told(value["messages"]) == told(CHAT)
    assert told(value["context_messages"]) == told([summary, *tail])


def test_a_message_that_stands_elsewhere_in_another_trace_is_there_once() -> None:
    said = [message_of(message) for message in CHAT]
    turned = [*said[4:6], *said[:4], *said[6:]]
    traces = [Trace(Kind.COPY, "a", tuple(said)), Trace(Kind.DATABASE, "b", tuple(turned))]
    assert len(merged(traces)) == len(CHAT)
