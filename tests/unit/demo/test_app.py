"""The stand-in leaves what webui really leaves: whoever tests the guard against it tests the right world."""

import itertools
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hermesguard.demo import acts, losses, quirks
from hermesguard.demo.app import App
from hermesguard.demo.chat import Chat
from hermesguard.demo.eras import Era, members
from hermesguard.demo.files import text_of

MARKS = {
    "truncation_watermark": Era.V137,
    "message_count": Era.V720,
    "truncation_boundary": Era.V720,
    "clear_generation": Era.V875,
    "anchor_scene_index": Era.NEW,
    "intentional_shrink_generation": Era.NEW,
}
PLACES = ("truncation_watermark", "truncation_boundary")
GENERATION = "intentional_shrink_generation"
PENDING_CLEARED = {
    "active_stream_id": None,
    "pending_user_message": None,
    "pending_attachments": [],
    "pending_started_at": None,
}

every_era = pytest.mark.parametrize("era", list(Era), ids=lambda era: era.release)


def an_app(directory: Path, era: Era = Era.NEW, **options: Any) -> App:
    return App(directory, era, clock=itertools.count(1.7e9, 0.75).__next__, **options)


def a_chat(directory: Path, era: Era = Era.NEW, turns: int = 5, **options: Any) -> Chat:
    return an_app(directory, era, **options).create(turns=turns)


def texts(document: dict[str, Any], member: str = "messages") -> list[str]:
    return [text_of(message) for message in document[member]]


def names(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


def changed(before: dict[str, Any], after: dict[str, Any]) -> set[str]:
    return {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}


# The file.


@every_era
def test_the_members_tell_the_release(tmp_path: Path, era: Era) -> None:
    document = a_chat(tmp_path, era).on_disk()
    for member, since in MARKS.items():
        assert (member in document) == (era >= since), member


@every_era
def test_metadata_come_first_and_context_last(tmp_path: Path, era: Era) -> None:
    keys = list(a_chat(tmp_path, era).on_disk())
    assert keys[:3] == ["session_id", "title", "workspace"]
    assert keys[keys.index("messages") + 1] == "tool_calls"
    assert keys[-1] == "context_messages"
    late = {"messages", "tool_calls", "anchor_activity_scenes", "context_messages"}
    assert late >= set(keys[keys.index("messages") :])


def test_the_oldest_members_are_exactly_those_of_v0_50_283() -> None:
    assert list(members(Era.OLD)) == [
        *(
            "session_id",
            "title",
            "workspace",
            "model",
            "model_provider",
            "created_at",
            "updated_at",
            "pinned",
        ),
        *(
            "archived",
            "project_id",
            "profile",
            "input_tokens",
            "output_tokens",
            "estimated_cost",
            "personality",
        ),
        *("active_stream_id", "pending_user_message", "pending_attachments", "pending_started_at"),
        *("compression_anchor_visible_idx", "compression_anchor_message_key", "context_length"),
        *("threshold_tokens", "last_prompt_tokens", "parent_session_id", "is_cli_session", "source_tag"),
        *("session_source", "source_label", "enabled_toolsets", "messages", "tool_calls", "context_messages"),
    ]


def test_the_bytes_are_those_of_the_application(tmp_path: Path) -> None:
    chat = an_app(tmp_path).create()
    chat.turn("Grüße \U0001f600", "na\ndann")
    data = chat.path.read_bytes()
    assert data == json.dumps(chat.document, ensure_ascii=False, indent=2).encode()
    assert "Grüße \U0001f600".encode() in data
    assert data.startswith(b'{\n  "session_id": "')
    assert data.endswith(b"\n}")


def test_a_save_renames_a_temp_file_that_names_its_writer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    renames: list[tuple[str, str]] = []
    replace = Path.replace

    def watched(source: Path, target: Path) -> Path:
        renames.append((source.name, target.name))
        return replace(source, target)

    chat = a_chat(tmp_path, process_id=4711)
    inode = chat.path.stat().st_ino
    monkeypatch.setattr(Path, "replace", watched)
    chat.pin()
    assert [target for _, target in renames] == [chat.path.name, "_index.json"]
    assert re.fullmatch(rf"{chat.session_id}\.tmp\.4711\.\d+", renames[0][0])
    assert re.fullmatch(r"_index\.tmp\.4711\.\d+", renames[1][0])
    assert chat.path.stat().st_ino != inode
    assert names(tmp_path) == {chat.path.name, "_index.json"}


def test_the_index_is_a_list_with_true_counts(tmp_path: Path) -> None:
    app = an_app(tmp_path)
    app.create("one", turns=1)
    app.create("two", turns=2)
    index = json.loads((tmp_path / "_index.json").read_text())
    assert [(message["title"], message["message_count"]) for message in index] == [("two", 4), ("one", 2)]


def test_a_save_drops_index_entries_of_missing_files(tmp_path: Path) -> None:
    app = an_app(tmp_path)
    gone, other = app.create("gone"), app.create("other")
    gone.path.unlink()
    other.pin()
    assert len(app.index() or []) == 2, "a session in memory keeps its message"
    app.restart()
    app.open(other.session_id).pin()
    assert [message["title"] for message in app.index() or []] == ["other"]


@every_era
def test_a_save_drops_members_that_the_release_does_not_know(tmp_path: Path, era: Era) -> None:
    chat = a_chat(tmp_path, era)
    chat.path.write_text(json.dumps(chat.on_disk() | {"from_the_future": 1}))
    chat.app.restart()
    chat.app.open(chat.session_id).pin()
    assert list(chat.on_disk()) == list(members(era))


def test_the_same_seed_and_clock_leave_the_same_bytes(tmp_path: Path) -> None:
    def play(directory: Path) -> bytes:
        chat = a_chat(directory)
        chat.turn("Once more", "Gladly", tools=[("terminal", "ls", "a b")])
        acts.regenerate(chat, "Differently")
        return chat.path.read_bytes()

    assert play(tmp_path / "a") == play(tmp_path / "b")


# Within a turn.


@every_era
def test_a_sent_prompt_is_pending_and_no_message(tmp_path: Path, era: Era) -> None:
    chat = a_chat(tmp_path, era)
    before = chat.on_disk()
    chat.send("Are you there?", attachments=["notes.txt"])
    after = chat.on_disk()
    assert after["messages"] == before["messages"]
    assert after["pending_user_message"] == "Are you there?"
    assert after["pending_attachments"] == ["notes.txt"]
    assert len(after["active_stream_id"]) == 32
    assert after["pending_started_at"] > 1.7e9


@every_era
def test_a_finished_turn_has_its_messages_and_nothing_pending(tmp_path: Path, era: Era) -> None:
    chat = a_chat(tmp_path, era)
    chat.turn("Count the files", "Two", tools=[("terminal", "ls", "a\nb")])
    document = chat.on_disk()
    prompt, call, result, answer = document["messages"][-4:]
    assert [message["role"] for message in (prompt, call, result, answer)] == [
        "user",
        "assistant",
        "tool",
        "assistant",
    ]
    assert call["tool_calls"][0]["id"] == result["tool_call_id"]
    assert {key: document[key] for key in PENDING_CLEARED} == PENDING_CLEARED
    (summary,) = document["tool_calls"]
    assert summary["tid"] == result["tool_call_id"]
    assert summary["snippet"] == "a\nb"
    assert document["messages"][summary["assistant_msg_idx"]] == call
    assert document["context_messages"] == document["messages"]
    if "message_count" in document:
        assert document["message_count"] == len(document["messages"]) == 14


def test_the_oldest_release_stamps_whole_seconds(tmp_path: Path) -> None:
    old = a_chat(tmp_path / "old", Era.OLD).on_disk()["messages"]
    new = a_chat(tmp_path / "new", Era.NEW).on_disk()["messages"]
    assert all(isinstance(message["timestamp"], int) for message in old)
    assert all(isinstance(message["timestamp"], float) for message in new)


@every_era
def test_the_title_comes_from_the_first_prompt(tmp_path: Path, era: Era) -> None:
    chat = an_app(tmp_path, era).create()
    chat.turn("  A very long question about the weather in the mountains, and about the sea as well", "Fine")
    assert chat.on_disk()["title"] == "A very long question about the weather in the mountains, and abo"


def test_a_partial_message_grows_and_gives_way_to_the_answer(tmp_path: Path) -> None:
    chat = a_chat(tmp_path, turns=1)
    chat.send("Tell me")
    index = (tmp_path / "_index.json").read_bytes()
    for text in ("It", "It is", "It is so"):
        chat.stream(text)
        *_, prompt, partial = chat.on_disk()["messages"]
        assert text_of(prompt) == "Tell me"
        assert partial["_partial"]
        assert partial["content"] == text
        assert len(chat.on_disk()["messages"]) == 4
    assert (tmp_path / "_index.json").read_bytes() == index, "checkpoints leave the index alone"
    chat.finish("It is so.")
    assert texts(chat.on_disk())[2:] == ["Tell me", "It is so."]


def test_eager_mode_writes_the_prompt_at_once_and_once(tmp_path: Path) -> None:
    chat = a_chat(tmp_path, turns=1, eager=True)
    chat.send("Now")
    prompt = chat.on_disk()["messages"][-1]
    assert prompt["content"] == "Now" == chat.on_disk()["pending_user_message"]
    assert prompt["_active_turn_token"].startswith(chat.on_disk()["active_stream_id"] + ":")
    chat.finish("Done")
    assert texts(chat.on_disk())[2:] == ["Now", "Done"]


@every_era
def test_an_interrupted_turn_keeps_its_prompt_as_recovered(tmp_path: Path, era: Era) -> None:
    chat = a_chat(tmp_path, era, turns=1)
    chat.send("Still there?")
    started = chat.on_disk()["pending_started_at"]
    chat.interrupt()
    prompt, marker = chat.on_disk()["messages"][-2:]
    assert prompt == {
        "role": "user",
        "content": "Still there?",
        "timestamp": int(started),
        "_recovered": True,
    }
    assert marker["role"] == "assistant"
    assert marker["_error"] is True
    assert changed(PENDING_CLEARED, {key: chat.on_disk()[key] for key in PENDING_CLEARED}) == set()


# What people take away.


def check_marks(chat: Chat, before: dict[str, Any], last_timestamp: float) -> None:
    after, era = chat.on_disk(), chat.app.era
    for place in PLACES:
        assert (after.get(place) == last_timestamp) == (era >= MARKS[place]), place
        assert place not in after or isinstance(after[place], float)
    assert (before.get(GENERATION) != after.get(GENERATION)) == (era == Era.NEW)
    if era == Era.NEW:
        assert re.fullmatch("[0-9a-f]{32}", after[GENERATION])


@every_era
def test_undo(tmp_path: Path, era: Era) -> None:
    chat = a_chat(tmp_path, era)
    chat.send("Never mind")
    before = chat.on_disk()
    acts.undo(chat)
    after = chat.on_disk()
    assert after["messages"] == before["messages"][:8]
    assert after["context_messages"] == before["context_messages"][:8]
    check_marks(chat, before, before["messages"][7]["timestamp"])
    unmarked = changed(before, after) - {*PLACES, GENERATION, "message_count", "updated_at"}
    assert unmarked == {"messages", "context_messages"}, "title, tool calls, stream stay"


@every_era
def test_undo_of_the_only_turn(tmp_path: Path, era: Era) -> None:
    chat = a_chat(tmp_path, era, turns=1)
    before = chat.on_disk()
    acts.undo(chat)
    after = chat.on_disk()
    assert after["messages"] == []
    assert after["title"] == before["title"] != "Untitled"
    check_marks(chat, before, 0.0)
    with pytest.raises(ValueError, match="Nothing to undo"):
        acts.undo(chat)


@every_era
def test_retry_sends_the_same_prompt_again(tmp_path: Path, era: Era) -> None:
    chat = a_chat(tmp_path, era)
    before = chat.on_disk()
    acts.retry(chat, "Better")
    assert texts(chat.on_disk()) == [*texts(before)[:9], "Better"]


@every_era
def test_the_next_turn_moves_the_watermark_on(tmp_path: Path, era: Era) -> None:
    chat = a_chat(tmp_path, era)
    acts.undo(chat)
    marked = chat.on_disk()
    chat.turn("Onward", "Yes")
    after = chat.on_disk()
    moved = {key for key in (*PLACES, GENERATION) if marked.get(key) != after.get(key)}
    assert moved == ({"truncation_watermark"} if era >= Era.V137 else set())


@every_era
def test_truncate(tmp_path: Path, era: Era) -> None:
    chat = a_chat(tmp_path, era)
    before = chat.on_disk()
    acts.truncate(chat, 6)
    assert chat.on_disk()["messages"] == before["messages"][:6]
    check_marks(chat, before, before["messages"][5]["timestamp"])
    acts.truncate(chat, 0)
    assert chat.on_disk()["messages"] == []
    check_marks(chat, before, 0.0)


@pytest.mark.parametrize(
    ("era", "gone", "before", "kept"),
    [
        pytest.param(Era.V137, [1, 3], 0, 4, id="until 0.51.627 the context stays"),
        pytest.param(Era.V720, [1, 3], 0, 4, id="a shorter context: as many as messages"),
        pytest.param(Era.V875, [1, 3], 0, 2, id="a shorter context, aligned"),
        pytest.param(Era.NEW, [1, 3], 0, 2, id="a shorter context, aligned, in the newest"),
        pytest.param(Era.V720, [], 2, 6, id="a longer context: what stands before is kept"),
        pytest.param(Era.NEW, [], 2, 6, id="a longer context, aligned"),
        pytest.param(Era.NEW, [1, 4], 0, 3, id="aligned by the message that stays"),
    ],
)
def test_truncate_cuts_a_context_of_another_length(
    tmp_path: Path, era: Era, gone: list[int], before: int, kept: int
) -> None:
    """As `truncate_context_for_display_keep` of the release does, asked with the same lists."""
    chat = a_chat(tmp_path, era)
    told = [{"role": "user", "content": "told before"}] * before
    context = chat.document["context_messages"]
    chat.document["context_messages"] = told + [m for n, m in enumerate(context) if n not in gone]
    chat.save()
    context = chat.on_disk()["context_messages"]
    acts.truncate(chat, 4)
    after = chat.on_disk()["context_messages"]
    assert after == (context if era == Era.V137 else context[:kept])


@every_era
def test_edit_replaces_the_last_turn(tmp_path: Path, era: Era) -> None:
    chat = a_chat(tmp_path, era)
    before = chat.on_disk()
    acts.edit(chat, "Rather this", "So be it")
    assert texts(chat.on_disk()) == [*texts(before)[:8], "Rather this", "So be it"]


def saves(chat: Chat, act: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Return what each save of `act` left in the file."""
    found: list[dict[str, Any]] = []
    save = Chat.save

    def watched(this: Chat, **options: Any) -> None:
        save(this, **options)
        found.append(chat.on_disk())

    monkeypatch.setattr(Chat, "save", watched)
    act()
    monkeypatch.undo()
    return found


def test_regenerate_keeps_the_prompts_message_in_the_newest_era(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chat = a_chat(tmp_path)
    before = chat.on_disk()
    shrunk, finished = saves(chat, lambda: acts.regenerate(chat, "Another"), monkeypatch)
    assert texts(shrunk) == texts(before)[:9]
    prompt = shrunk["messages"][-1]
    assert prompt["timestamp"] == shrunk["pending_started_at"] > before["messages"][8]["timestamp"]
    assert prompt["_active_turn_token"].startswith(shrunk["active_stream_id"])
    assert shrunk["truncation_boundary"] == before["messages"][8]["timestamp"]
    assert shrunk[GENERATION] != before[GENERATION]
    assert texts(finished) == [*texts(before)[:9], "Another"]


@pytest.mark.parametrize("era", [era for era in Era if era < Era.NEW], ids=lambda era: era.release)
def test_regenerate_in_earlier_eras_truncates_and_sends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, era: Era
) -> None:
    chat = a_chat(tmp_path, era)
    before = chat.on_disk()
    shrunk, sent, finished = saves(chat, lambda: acts.regenerate(chat, "Another"), monkeypatch)
    assert texts(shrunk) == texts(sent) == texts(before)[:8]
    assert sent["pending_user_message"] == texts(before)[8]
    assert texts(finished) == [*texts(before)[:9], "Another"]


@every_era
def test_clear(tmp_path: Path, era: Era) -> None:
    chat = a_chat(tmp_path, era)
    chat.send("On my mind")
    before = chat.on_disk()
    acts.clear(chat)
    after = chat.on_disk()
    assert (after["messages"], after["tool_calls"], after["title"]) == ([], [], "Untitled")
    assert (after["context_messages"] == []) == (era >= Era.V875)
    assert (after["active_stream_id"] is None) == (era >= Era.V875)
    if era >= Era.V875:
        assert after["truncation_watermark"] == after["truncation_boundary"] == 0.0
        assert re.fullmatch("[0-9a-f]{32}", after["clear_generation"])
        assert not chat.backup_path.exists()
    else:
        assert all(after.get(place) == before.get(place) for place in PLACES)
    assert (after.get(GENERATION) != before.get(GENERATION)) == (era == Era.NEW)


@every_era
def test_compress(tmp_path: Path, era: Era) -> None:
    chat = a_chat(tmp_path, era)
    before = chat.on_disk()
    acts.compress(chat)
    after = chat.on_disk()
    assert after["compression_anchor_message_key"] is not None
    assert texts(after, "context_messages") == [acts.COMPACTION, *texts(before)[-2:]]
    if era <= Era.V137:
        assert after["messages"] == after["context_messages"]
        assert after["tool_calls"] == []
        assert "message_count" not in after
    else:
        assert after["messages"] == before["messages"]


@every_era
def test_rotation(tmp_path: Path, era: Era) -> None:
    chat = a_chat(tmp_path, era)
    before, old_path = chat.on_disk(), chat.path
    new_id = acts.rotate(chat)
    after = chat.on_disk()
    assert chat.path.name == f"{new_id}.json"
    assert after["session_id"] == new_id
    assert after["messages"] == before["messages"]
    assert after["created_at"] == before["created_at"]
    if era == Era.OLD:
        assert not old_path.exists()
        assert new_id in json.dumps(chat.app.index())
    else:
        old = json.loads(old_path.read_text())
        assert old["pre_compression_snapshot"] is True
        assert old["messages"] == before["messages"]
        assert after["parent_session_id"] == before["session_id"]


@every_era
def test_delete(tmp_path: Path, era: Era) -> None:
    pauses: list[tuple[float, set[str]]] = []
    app = an_app(tmp_path, era, pause=lambda seconds: pauses.append((seconds, names(tmp_path))))
    chat, other = app.create(turns=5), app.create("other")
    acts.truncate(chat, 2)
    acts.delete(chat)
    left = names(tmp_path)
    assert chat.path.name not in left
    assert other.path.name in left
    if era >= Era.V720:
        assert chat.backup_path.name not in left
        assert [message["title"] for message in app.index() or []] == ["other"]
    else:
        assert "_index.json" not in left
    if era >= Era.V875:
        tombstones = json.loads((tmp_path / "_deleted_webui_sessions.json").read_text())
        assert tombstones == {"version": 1, "ids": [chat.session_id]}
        assert [seconds for seconds, _ in pauses] == [0.010, 0.004]
        assert all(chat.path.name not in found for _, found in pauses), "the file goes first"
    else:
        assert "_deleted_webui_sessions.json" not in left


@every_era
@pytest.mark.parametrize("kind", ["btw", "bg"])
def test_side_questions_leave_no_file_and_no_tombstone(tmp_path: Path, era: Era, kind: str) -> None:
    app = an_app(tmp_path, era)
    gone = acts.side_question(app, "what time is it?", "noon", kind=kind)
    assert names(tmp_path) == {"_index.json"}
    (message,) = app.index() or []
    assert message["session_id"] == gone
    assert message["title"] == f"{kind}: what time is it?"


def test_one_message_deleted_from_the_middle_is_marked_and_no_prefix(tmp_path: Path) -> None:
    chat = a_chat(tmp_path)
    before = chat.on_disk()
    acts.delete_message(chat, 4)
    assert (
        texts(chat.on_disk())
        == texts(before)[:4] + texts(before)[6:]
        == texts(chat.on_disk(), "context_messages")
    )
    check_marks(chat, before, before["messages"][-1]["timestamp"])
    with pytest.raises(ValueError, match="cannot delete"):
        acts.delete_message(a_chat(tmp_path, Era.V875), 4)


@every_era
def test_a_shrinking_save_leaves_a_backup_and_a_growing_one_does_not(tmp_path: Path, era: Era) -> None:
    chat = a_chat(tmp_path, era)
    chat.turn("Grow", "Grown")
    assert not chat.backup_path.exists()
    before = chat.path.read_bytes()
    acts.undo(chat)
    assert chat.backup_path.exists() == (era >= Era.V137)
    if era >= Era.V137:
        assert chat.backup_path.read_bytes() == before


# What goes wrong.


@every_era
def test_the_wipe_changes_exactly_what_it_changed(tmp_path: Path, era: Era) -> None:
    chat = a_chat(tmp_path, era)
    chat.turn("Look", "I see", tools=[("terminal", "ls", "a")])
    chat.send("And this was not sent yet", attachments=["a.txt"])
    chat.path.write_text(json.dumps(chat.on_disk() | {"last_usage": {"n": 1}}))
    before = chat.on_disk()
    losses.wipe(chat)
    after = chat.on_disk()
    assert [after[key] for key in ("messages", "tool_calls", "context_messages")] == [[], [], []]
    assert {key: after[key] for key in PENDING_CLEARED} == PENDING_CLEARED
    expected = {"messages", "tool_calls", "context_messages", "updated_at", "last_usage", *PENDING_CLEARED}
    assert changed(before, after) - {"message_count", "pending_user_source"} == expected
    assert after["updated_at"] > before["updated_at"]
    assert after["title"] == before["title"]
    assert after.get("message_count", 0) == 0
    (message,) = chat.app.index() or []
    assert message["message_count"] == 14, "the index keeps saying the old count"


def test_the_wipe_without_an_index_says_nought(tmp_path: Path) -> None:
    chat = a_chat(tmp_path, Era.OLD)
    chat.app.restart()
    (tmp_path / "_index.json").unlink()
    losses.wipe(chat)
    assert [message["message_count"] for message in chat.app.index() or []] == [0]


@pytest.mark.parametrize("era", [Era.OLD, Era.V137], ids=lambda era: era.release)
def test_a_stale_writer_saves_only_new_turns_over_a_repaired_file(tmp_path: Path, era: Era) -> None:
    chat = a_chat(tmp_path, era)
    whole = chat.path.read_bytes()
    losses.stale_writer(chat)
    for number in range(1, 4):
        chat.path.write_bytes(whole)
        chat.turn(f"New {number}", f"Answer {number}")
        assert len(chat.on_disk()["messages"]) == 2 * number
    assert texts(chat.on_disk())[0] == "New 1"
    assert chat.on_disk()["title"] == json.loads(whole)["title"]


@pytest.mark.parametrize("era", [Era.V720, Era.V875, Era.NEW], ids=lambda era: era.release)
def test_a_true_count_in_a_repaired_file_ends_the_stale_writer(tmp_path: Path, era: Era) -> None:
    chat = a_chat(tmp_path, era)
    whole = chat.path.read_bytes()
    losses.stale_writer(chat)
    chat.path.write_bytes(whole)
    chat.turn("New", "Answer")
    assert len(chat.on_disk()["messages"]) == 12


@pytest.mark.parametrize("era", [Era.V720, Era.V875, Era.NEW], ids=lambda era: era.release)
def test_a_repaired_file_that_says_nought_is_not_read(tmp_path: Path, era: Era) -> None:
    chat = a_chat(tmp_path, era)
    whole = chat.on_disk()
    losses.stale_writer(chat)
    chat.path.write_text(json.dumps(whole | {"message_count": 0}))
    chat.turn("New", "Answer")
    assert texts(chat.on_disk()) == ["New", "Answer"]


def test_a_fast_repair_leaves_no_stale_writer(tmp_path: Path) -> None:
    chat = a_chat(tmp_path, Era.OLD)
    whole = chat.path.read_bytes()
    losses.wipe(chat)
    chat.path.write_bytes(whole)
    chat.reload()
    chat.turn("New", "Answer")
    assert len(chat.on_disk()["messages"]) == 12


@pytest.mark.parametrize("era", [Era.OLD, Era.V137], ids=lambda era: era.release)
def test_the_window_truncate_leaves_a_clean_prefix(tmp_path: Path, era: Era) -> None:
    chat = a_chat(tmp_path, era, turns=50)
    before = chat.on_disk()
    losses.window_truncate(chat)
    after = chat.on_disk()
    assert after["messages"] == before["messages"][:28]
    assert after.get("truncation_watermark") == (before["messages"][27]["timestamp"] if era else None)


def test_the_stale_process_leaves_a_prefix_and_counters_that_go_back(tmp_path: Path) -> None:
    chat = a_chat(tmp_path, turns=8)
    before = chat.on_disk()
    losses.stale_process(chat)
    after = chat.on_disk()
    assert after["messages"] == before["messages"][:10]
    assert after["input_tokens"] < before["input_tokens"]
    assert after["output_tokens"] < before["output_tokens"]
    assert after[GENERATION] == before[GENERATION]


def test_two_servers_on_one_directory(tmp_path: Path) -> None:
    one = a_chat(tmp_path, Era.OLD)
    two = an_app(tmp_path, Era.OLD).open(one.session_id)
    one.turn("Only one knows", "Yes")
    two.pin()
    assert len(one.on_disk()["messages"]) == 10


def test_the_late_worker_overwrites_the_next_turn(tmp_path: Path) -> None:
    chat = a_chat(tmp_path)
    before = texts(chat.on_disk())
    losses.late_worker(chat, "late")
    assert texts(chat.on_disk()) == [*before[:7], "late"]
    assert texts(chat.on_disk(), "context_messages") == [*before[:7], "late"]


def test_a_longer_older_backup_over_a_newer_file(tmp_path: Path) -> None:
    chat = an_app(tmp_path, Era.V720).create(turns=5)
    chat.interrupt()
    acts.truncate(chat, 6)
    chat.turn("The newest", "turn")
    assert len(chat.on_disk()["messages"]) == 8
    assert losses.recover_from_backup(chat) is True
    assert len(chat.on_disk()["messages"]) == 11
    assert "The newest" not in texts(chat.on_disk())
    assert losses.recover_from_backup(chat) is False, "a file as long as its backup is left alone"
    assert names(tmp_path) == {"_index.json", chat.path.name, chat.backup_path.name}


def test_resurrection(tmp_path: Path) -> None:
    chat = a_chat(tmp_path)
    acts.undo(chat)
    losses.resurrect(chat)
    assert len(chat.on_disk()["messages"]) == 10


def test_only_the_backup_left(tmp_path: Path) -> None:
    chat = a_chat(tmp_path)
    losses.only_backup_left(chat)
    assert names(tmp_path) == {"_index.json", chat.backup_path.name}
    assert losses.recover_from_backup(chat) is True
    assert len(chat.on_disk()["messages"]) == 10


def test_the_rename_that_destroys(tmp_path: Path) -> None:
    chat = a_chat(tmp_path, Era.OLD)
    before, old_path = chat.on_disk(), chat.path
    losses.rename_destroys(chat)
    assert not old_path.exists()
    assert texts(chat.on_disk()) == [acts.COMPACTION, *texts(before)[-2:]]


@pytest.mark.parametrize("share", [0.0, 0.5])
@pytest.mark.parametrize("tear", [losses.tear, losses.tear_by_rename])
def test_torn_files(tmp_path: Path, tear: Callable[..., None], share: float) -> None:
    chat = a_chat(tmp_path)
    whole = chat.path.read_bytes()
    inode = chat.path.stat().st_ino
    tear(chat, share=share)
    torn = chat.path.read_bytes()
    assert torn == whole[: int(len(whole) * share)]
    assert (chat.path.stat().st_ino == inode) == (tear is losses.tear)
    with pytest.raises(ValueError, match=r"Expecting|Unterminated"):
        json.loads(torn)


def test_the_script_that_writes_in_place_keeps_the_inode(tmp_path: Path) -> None:
    chat = a_chat(tmp_path)
    before = os.stat(chat.path)
    losses.rewrite_in_place(chat, chat.messages[:-1])
    assert chat.path.stat().st_ino == before.st_ino
    assert len(chat.on_disk()["messages"]) == 9


def test_the_smaller_losses(tmp_path: Path) -> None:
    chat = a_chat(tmp_path)
    before = chat.on_disk()
    losses.collapse_to_tail(chat)
    assert chat.on_disk()["messages"] == before["messages"][-2:]
    losses.lose_message(chat, 3)
    assert chat.on_disk()["messages"] == before["messages"][:3] + before["messages"][4:]
    chat.send("Running")
    losses.empty_over_active_turn(chat)
    empty = chat.on_disk()
    assert empty["messages"] == []
    assert empty["active_stream_id"]
    assert empty["pending_user_message"] == "Running"
    losses.unfinished_shrink(chat, keep=4)
    short = chat.on_disk()
    assert short["messages"] == before["messages"][:4]
    assert short[GENERATION] != before[GENERATION]
    assert short["truncation_boundary"] == before["messages"][7]["timestamp"]
    losses.vanish(chat)
    assert names(tmp_path) == {"_index.json", chat.backup_path.name}
    chat.save()
    assert losses.all_vanish(chat.app) == 1
    assert not chat.path.exists()


@pytest.mark.parametrize(
    ("era", "loss"),
    [
        (Era.V720, lambda chat: losses.window_truncate(chat)),
        (Era.V720, lambda chat: losses.negative_keep(chat, 2)),
        (Era.V720, lambda chat: acts.truncate(chat, -2)),
        (Era.V137, lambda chat: losses.rename_destroys(chat)),
        (Era.OLD, lambda chat: losses.only_backup_left(chat)),
        (Era.OLD, lambda chat: losses.resurrect(chat)),
        (Era.V875, lambda chat: losses.unfinished_shrink(chat, keep=2)),
    ],
)
def test_no_loss_where_it_cannot_happen(tmp_path: Path, era: Era, loss: Callable[[Chat], None]) -> None:
    chat = a_chat(tmp_path, era)
    before = chat.path.read_bytes()
    with pytest.raises(ValueError, match=r"does not happen|must not be negative"):
        loss(chat)
    assert chat.path.read_bytes() == before


def test_a_negative_count_removes_the_newest_messages(tmp_path: Path) -> None:
    chat = a_chat(tmp_path, Era.V137)
    before = chat.on_disk()
    losses.negative_keep(chat, 3)
    assert chat.on_disk()["messages"] == before["messages"][:-3]


# What looks wrong and is not.


def test_partials_collapse_from_54_to_5_and_flip_back(tmp_path: Path) -> None:
    chat = a_chat(tmp_path, turns=2)
    quirks.pile_up_partials(chat, 50)
    index = (tmp_path / "_index.json").read_bytes()
    counts = [len(chat.on_disk()["messages"])]
    for _ in range(2):
        quirks.collapse_partials(chat)
        counts.append(len(chat.on_disk()["messages"]))
        losses.recover_from_backup(chat)
        counts.append(len(chat.on_disk()["messages"]))
        chat.reload()
    assert counts == [54, 5, 54, 5, 54]
    assert (tmp_path / "_index.json").read_bytes() == index


def test_scaffolding_goes_at_the_end_of_a_turn(tmp_path: Path) -> None:
    chat = a_chat(tmp_path, turns=4)
    before = chat.on_disk()
    quirks.add_scaffolding(chat)
    assert len(chat.on_disk()["messages"]) == 11
    quirks.drop_scaffolding(chat)
    assert chat.on_disk()["messages"] == before["messages"]
    assert chat.on_disk()[GENERATION] is None


def test_the_other_harmless_rewrites(tmp_path: Path) -> None:
    chat = a_chat(tmp_path, turns=1)
    quirks.double_prompt(chat)
    assert len(chat.on_disk()["messages"]) == 3
    quirks.drop_double_prompts(chat)
    assert len(chat.on_disk()["messages"]) == 2
    quirks.add_image(chat)
    quirks.replace_images(chat)
    assert chat.on_disk()["messages"][-1]["content"][1] == {"type": "text", "text": "[screenshot]"}
    chat.turn("Use a tool", 'Sure.\n<function_calls>\n<invoke name="x"/>\n</function_calls>')
    quirks.strip_xml(chat)
    assert texts(chat.on_disk())[-1] == "Sure."
    quirks.drop_timestamps(chat)
    assert not any("timestamp" in message for message in chat.on_disk()["messages"])
    quirks.stamp_timestamps(chat)
    assert all("timestamp" in message for message in chat.on_disk()["messages"])
    chat.send("Lost")
    chat.interrupt()
    wording = texts(chat.on_disk())[-1]
    quirks.reword_interruption(chat)
    assert texts(chat.on_disk())[-1] != wording
    assert chat.on_disk()["messages"][-1]["_error"]
    quirks.drop_interruption(chat)
    assert texts(chat.on_disk())[-1] == "Lost"


def test_padding_makes_real_sizes(tmp_path: Path) -> None:
    chat = an_app(tmp_path).create(turns=500, answer_characters=500)
    assert len(chat.messages) == 1000
    assert 600_000 < chat.path.stat().st_size < 900_000
