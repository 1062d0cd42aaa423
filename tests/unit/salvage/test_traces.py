"""How much of a conversation of 200 messages with tools each trace gives back, alone and together."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from hermesguard.demo.eras import Era
from hermesguard.salvage.finding import Finding, State
from hermesguard.salvage.places import Places
from hermesguard.salvage.survey import survey
from tests.helpers.home import START, Home, Said, chat, stamps, told

SID = "4f2a61c09b7d"
CHAT = chat(67)  # 200 messages: 67 prompts, 67 answers, 33 tool calls, 33 results
END = CHAT[-1]["timestamp"]


def look(home: Home, *names: str) -> list[Finding]:
    """Survey a home, and check that nothing in it changes."""
    before = stamps(home.root)
    found = list(survey(Places(home.sessions, home.agent), names))
    assert stamps(home.root) == before
    return found


def back(home: Home, name: str = SID) -> list[Said]:
    """Return the messages of the file that salvage would write."""
    (finding,) = look(home, name)
    assert finding.state is State.LOST, finding.why
    messages: list[Said] = json.loads(finding.document())["messages"]
    return messages


def temp_file(home: Home) -> None:
    text = json.dumps(home.document(SID, CHAT), ensure_ascii=False, indent=2)
    (home.sessions / f"{SID}.tmp.4711.140000").write_text(text, encoding="utf-8")


def backup(home: Home) -> None:
    text = json.dumps(home.document(SID, CHAT), ensure_ascii=False, indent=2)
    (home.sessions / f"{SID}.json.bak").write_text(text, encoding="utf-8")


def run_journal(home: Home) -> None:
    home.run(SID, 1, CHAT[:-2], END - 60)
    home.run(SID, 2, CHAT, END + 0.1)


def turn_journal(home: Home) -> None:
    home.prompts(SID, CHAT, shard="77")


def database(home: Home) -> None:
    home.remember(SID, CHAT)


def session_log(home: Home) -> None:
    home.log(SID, CHAT)


def request_dump(home: Home) -> None:
    home.dump(SID, CHAT)


def snapshot(home: Home) -> None:
    directory = home.agent / "state-snapshots" / "20260202-084000"
    directory.mkdir(parents=True)
    with home.database(directory / "state.db") as connection:
        home.remember(SID, CHAT, connection)
    connection.close()


def archive(home: Home) -> None:
    (home.agent / "backups").mkdir()
    text = json.dumps(home.document(SID, CHAT), ensure_ascii=False, indent=2)
    with zipfile.ZipFile(home.agent / "backups" / "pre-update.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr(f"webui/sessions/{SID}.json", text)


ALL = 200
PROMPTS = 67
TRACES: list[tuple[Callable[[Home], None], int]] = [
    (temp_file, ALL),
    (backup, ALL),
    (run_journal, ALL),
    (turn_journal, PROMPTS),
    (database, ALL),
    (session_log, ALL),
    (request_dump, ALL),
    (snapshot, ALL),
    (archive, ALL),
]


@pytest.mark.parametrize("era", [Era.OLD, Era.NEW], ids=["old", "new"])
@pytest.mark.parametrize(("leave", "count"), TRACES, ids=[leave.__name__ for leave, _ in TRACES])
def test_each_trace_alone_gives_back_what_it_has(
    tmp_path: Path, leave: Callable[[Home], None], count: int, era: Era
) -> None:
    home = Home(tmp_path, era, 30 if era is Era.NEW else 2)
    home.save(SID, CHAT)
    home.wipe(SID, index_count=ALL)
    leave(home)
    found = back(home)
    assert len(CHAT) == ALL
    assert len(found) == count
    wanted = CHAT if count == ALL else [message for message in CHAT if message["role"] == "user"]
    assert told(found) == told(wanted)


@pytest.mark.parametrize("era", [Era.OLD, Era.NEW], ids=["old", "new"])
def test_all_traces_together_give_each_message_back_once(tmp_path: Path, era: Era) -> None:
    home = Home(tmp_path, era, 30 if era is Era.NEW else 2)
    home.save(SID, CHAT)
    home.wipe(SID, index_count=ALL)
    for leave, _ in TRACES:
        leave(home)
    (finding,) = look(home)
    value = json.loads(finding.document())
    assert told(value["messages"]) == told(CHAT)
    assert told(value["context_messages"]) == told(CHAT)
    assert len(value["tool_calls"]) == 33
    for call in value["tool_calls"]:
        assert value["messages"][call["assistant_msg_idx"]]["tool_calls"][0]["id"] == call["tid"]
    assert [message["timestamp"] for message in value["messages"]] == [
        message["timestamp"] for message in CHAT
    ]


def test_the_context_left_in_the_file_gives_the_messages_back(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.save(SID, [], context_messages=CHAT)
    home.index[SID]["message_count"] = ALL
    home.write_index()
    assert told(back(home)) == told(CHAT)


def test_a_torn_file_keeps_its_beginning_and_takes_the_rest_from_others(tmp_path: Path) -> None:
    home = Home(tmp_path, Era.NEW, 30)
    path = home.save(SID, CHAT)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 4])
    (finding,) = look(home, SID)
    assert finding.messages_now is None
    assert 0 < finding.messages_after < ALL
    turn_journal(home)
    database(home)
    assert told(back(home)) == told(CHAT)


def test_an_unfinished_run_gives_the_answer_that_was_begun(tmp_path: Path) -> None:
    home = Home(tmp_path, Era.NEW, 30)
    said = chat(3)
    home.save(SID, said[:-1])
    home.prompts(SID, said)
    home.run(SID, 1, [], said[-1]["timestamp"], done=False, text="The answer to question 2 is: it")
    found = back(home)
    assert told(found)[-1] == ("assistant", "The answer to question 2 is: it")
    assert found[-1]["_partial"] is True
    assert len(found) == len(said)


def test_attachments_come_from_the_prompts_and_secrets_from_who_does_not_mask_them(tmp_path: Path) -> None:
    home = Home(tmp_path, Era.NEW, 30)
    secret = "my key is sk-proj-abcdefghijklmnopqrstuvwx, keep it"
    masked = "my key is sk-pro...uvwx, keep it"
    said: list[Said] = [
        {"role": "user", "content": secret, "timestamp": START, "attachments": ["a.png"]},
        {"role": "assistant", "content": "I keep it, and tell nobody.", "timestamp": START + 4},
        *chat(2, start=START + 100),
    ]
    home.save(SID, said)
    home.wipe(SID, index_count=len(said))
    without = [{key: value for key, value in one.items() if key != "attachments"} for one in said]
    home.run(SID, 1, [{**without[0], "content": masked}, *without[1:]], START + 300)
    home.remember(SID, without)
    home.prompts(SID, said)
    found = back(home)
    assert found[0]["content"] == secret
    assert found[0]["attachments"] == ["a.png"]
    assert len(found) == len(said)


def test_pictures_in_the_database_are_parts_again(tmp_path: Path) -> None:
    home = Home(tmp_path)
    parts = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}},
    ]
    said: list[Said] = [
        {"role": "user", "content": parts, "timestamp": START},
        *chat(2, start=START + 10)[1:],
    ]
    home.save(SID, said)
    home.wipe(SID, index_count=len(said))
    home.remember(SID, said)
    assert back(home)[0]["content"] == parts


def context(home: Home) -> None:
    home.save(SID, [], context_messages=CHAT)
    home.index[SID]["message_count"] = ALL
    home.write_index()


def torn(home: Home) -> None:
    path = home.save(SID, CHAT, context_messages=[])
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def compressed_log(home: Home) -> None:
    summary = {"role": "user", "content": "[CONTEXT COMPACTION - REFERENCE ONLY] They spoke of rain."}
    home.log(SID, [*CHAT[:3], {**summary, "timestamp": START}, *CHAT[-60:]])


def compressed_database(home: Home) -> None:
    at = CHAT[-60]["timestamp"]
    summary = {"role": "user", "content": "[CONTEXT COMPACTION - REFERENCE ONLY] Rain.", "timestamp": at}
    archived = [{**one, "active": 0, "compacted": 1} for one in CHAT[:-50]]
    home.remember(SID, [*archived, *CHAT[:3], summary, *CHAT[-60:]])


DOCUMENTED: dict[str, tuple[Callable[[Home], None], ...]] = {
    "a whole temp file, or `.bak`": (temp_file,),
    "run journal": (run_journal,),
    "turn journal": (turn_journal,),
    "`state.db`": (database,),
    "`state.db` of a compressed conversation": (compressed_database,),
    "session log": (session_log,),
    "session log of a compressed conversation": (compressed_log,),
    "request dump": (request_dump,),
    "the file's `context_messages`": (context,),
    "half of a torn file": (torn,),
    "a backup of the home": (archive,),
    "turn journal and session log": (turn_journal, session_log),
    "half of a torn file, turn journal, `state.db`": (torn, turn_journal, database),
    "all of them": tuple(leave for leave, _ in TRACES),
}


@pytest.mark.parametrize("name", DOCUMENTED)
def test_the_table_in_the_documentation(tmp_path: Path, name: str) -> None:
    """Messages, prompts, answers, tool calls with their results, messages with their time, and what the model gets to see."""
    home = Home(tmp_path, Era.NEW, 30)
    home.save(SID, CHAT)
    home.wipe(SID, index_count=ALL)
    for leave in DOCUMENTED[name]:
        leave(home)
    (finding,) = look(home, SID)
    value = json.loads(finding.document())
    messages = value["messages"]
    results = {one["tool_call_id"] for one in messages if one["role"] == "tool"}
    calls = [one for one in messages if one.get("tool_calls") and one["tool_calls"][0]["id"] in results]
    figures = (
        len(messages),
        sum(one["role"] == "user" for one in messages),
        sum(one["role"] == "assistant" and not one.get("tool_calls") for one in messages),
        len(calls),
        sum("timestamp" in one for one in messages),
        len(value.get("context_messages", [])),
    )
    row = f"| {name} | {' | '.join(map(str, figures))} |"
    text = (Path(__file__).parents[3] / "docs" / "salvage.md").read_text(encoding="utf-8")
    assert row in text.splitlines()
