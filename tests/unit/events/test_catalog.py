"""The catalogue is whole, says what the code says, and is what journald and people are given."""

import ast
import os
import re
import shutil
import string
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hermesguard.events.catalog import BY_NAME, EVENTS, FIELDS, accepted
from hermesguard.events.event import Event, in_words, plain
from hermesguard.events.journald import journal_field
from tools.docs.events import catalog, main, markdown

ROOT = Path(__file__).parents[3]
SOURCES = sorted((ROOT / "hermesguard").rglob("*.py"))
EACH = pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.name)
EXAMPLES = {str: "Something", int: 2, float: 2.5, bool: True, list[str]: ["one", "two"]}


def example(event: Event) -> dict[str, object]:
    return {name: EXAMPLES[FIELDS[name].kind] for name in event.fields}


def placeholders(template: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(template) if name}


def test_names_and_ids_are_used_once() -> None:
    assert len({event.name for event in EVENTS}) == len({event.message_id for event in EVENTS}) == len(EVENTS)


@EACH
def test_an_id_is_a_random_uuid(event: Event) -> None:
    assert re.fullmatch(r"[0-9a-f]{12}4[0-9a-f]{3}[89ab][0-9a-f]{15}", event.message_id)


@EACH
def test_an_event_speaks_of_its_own_fields_only(event: Event) -> None:
    assert set(event.fields) <= FIELDS.keys()
    assert placeholders(event.sentence) | placeholders(event.advice) <= set(event.fields)
    assert len(set(event.fields)) == len(event.fields)


@EACH
def test_a_sentence_is_whole_with_all_its_fields(event: Event) -> None:
    text = event.text(accepted(event, example(event))[0])
    assert text[0].isalnum()
    assert not set(text) & set("[]{}?\n")
    assert "  " not in text


@settings(max_examples=1000)
@given(st.data())
def test_a_sentence_is_well_formed_whatever_is_known(data: st.DataObject) -> None:
    event = data.draw(st.sampled_from(EVENTS))
    known = data.draw(st.sets(st.sampled_from(event.fields)) if event.fields else st.just(set()))
    values = {name: value for name, value in accepted(event, example(event))[0].items() if name in known}
    assert not re.search(r"  |[,;:(] ?[.,;:)]|\( |\.\.|^ | $", event.text(values))


@EACH
def test_a_sentence_needs_no_field(event: Event) -> None:
    text = event.text({})
    assert text
    assert not set(text) & set("[]{}\n")


def test_every_field_is_carried_by_an_event_and_fits_the_journal() -> None:
    assert FIELDS.keys() == {name for event in EVENTS for name in event.fields}
    assert all(re.fullmatch(r"[A-Z][A-Z0-9_]{0,63}", journal_field(name)) for name in FIELDS)


def test_no_field_hides_what_every_entry_carries() -> None:
    common = {"event", "time", "priority", "level", "message", "message_id", "schema_version"}
    assert not FIELDS.keys() & common


def test_the_sentence_of_a_repair() -> None:
    text = BY_NAME["restored"].text(
        {
            "session": "20260430_151231_7209a0",
            "messages_lost": 1000,
            "messages_before": 1000,
            "messages_live": 0,
            "messages_after": 1001,
            "duration_us": 912,
            "writer_pid": 4242,
            "writer_command": "python3",
            "evidence": ["the stream was closed", "the pending prompt was cleared"],
            "undo": "hermesguard undo 7",
        }
    )
    assert text == (
        "Restored 20260430_151231_7209a0: 1000 messages lost in one write; 1000 messages before, 0 found, 1001 now "
        "(0.9 ms); written by process 4242 (python3). Why: the stream was closed; the pending prompt was cleared. "
        "Undo: hermesguard undo 7"
    )


@pytest.mark.parametrize(
    ("value", "spec", "words"),
    [
        (1, "message", "1 message"),
        (0, "message", "0 messages"),
        (2, "log entry", "2 log entries"),
        (["a", "b"], "", "a; b"),
        (2.0, "", "2"),
        (68, "duration", "0.07 ms"),
        (912, "duration", "0.9 ms"),
        (1_234_000, "duration", "1.2 s"),
    ],
)
def test_words(value: int | float | list[str], spec: str, words: str) -> None:
    assert in_words(value, spec) == words


@given(st.text())
def test_a_sentence_can_do_nothing_to_a_terminal(text: str) -> None:
    shown = plain(text)
    assert all(character.isprintable() or character.isspace() for character in shown if character < "\xa0")
    assert not re.search("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]", shown)
    shown.encode()


def test_a_hostile_path_stays_on_its_line() -> None:
    text = BY_NAME["store_broken"].text({"path": "/x\n\x1b[2J\u202e\udcff", "error": "no"})
    assert text == r"Store /x\n\x1b[2J\u202e\udcff is not writable: no."


def test_only_what_is_declared_passes() -> None:
    values, complaints = accepted(
        BY_NAME["backing_off"],
        {
            "session": "s",
            "count": "ten",
            "messages": 3,
            "title": "My secret",
            "writer_pid": None,
            "seconds": 60,
        },
    )
    assert values == {"session": "s", "seconds": 60.0}
    assert complaints == [
        "backing_off: count is str",
        "backing_off has no field messages",
        "backing_off has no field title",
    ]


@given(
    st.dictionaries(
        st.sampled_from(list(FIELDS)), st.one_of(st.integers(), st.text(), st.floats(), st.binary())
    )
)
def test_nothing_that_is_told_breaks_the_gate(values: dict[str, object]) -> None:
    for event in EVENTS:
        passed, _ = accepted(event, values)
        event.text(passed).encode()
        event.guidance(passed).encode()


def reported() -> Iterator[tuple[str, str, set[str]]]:
    """Yield each telling in the sources: where it stands, the event, the fields it gives by name."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            if node.func.attr not in ("report", "_report", "record") or not node.args:
                continue
            first = node.args[0]
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                fields = (
                    {keyword.arg for keyword in node.keywords if keyword.arg}
                    if node.func.attr != "record"
                    else set()
                )
                yield f"{path.name}:{node.lineno}", first.value, fields


def test_the_code_tells_only_what_the_catalogue_declares() -> None:
    tellings = list(reported())
    assert len(tellings) > 10
    wrong = [
        f"{where}: {name} {sorted(fields - set(BY_NAME[name].fields) if name in BY_NAME else fields)}"
        for where, name, fields in tellings
        if name not in BY_NAME or not fields <= set(BY_NAME[name].fields)
    ]
    assert not wrong


@pytest.mark.parametrize(
    ("what", "text", "path"),
    [
        ("catalog", catalog, "packaging/catalog/hermesguard.catalog"),
        ("markdown", markdown, "docs/journal.md"),
    ],
)
def test_generated_files_are_current(
    what: str, text: object, path: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([what]) == 0
    assert capsys.readouterr().out == (ROOT / path).read_text(encoding="utf-8"), (
        f"run: python -m tools.docs.events {what} > {path}"
    )


def test_every_event_is_on_the_page() -> None:
    page = markdown()
    for event in EVENTS:
        assert f"### {event.name}\n" in page
        assert page.count(event.message_id) >= 2


def test_the_catalogue_refers_to_fields_of_the_journal() -> None:
    known = {journal_field(name) for name in FIELDS}
    assert {match[1] for match in re.finditer(r"@(\w+)@", catalog())} <= known


@pytest.mark.skipif(not shutil.which("journalctl"), reason="no journalctl here")
def test_journald_takes_the_catalogue(tmp_path: Path) -> None:
    directory = tmp_path / "usr/lib/systemd/catalog"
    directory.mkdir(parents=True)
    (tmp_path / "var/lib/systemd/catalog").mkdir(parents=True)
    shutil.copy(ROOT / "packaging/catalog/hermesguard.catalog", directory)
    environment = {**os.environ, "LC_ALL": "C.UTF-8", "SYSTEMD_LOG_TARGET": "console"}
    command = ["journalctl", f"--root={tmp_path}"]
    done = subprocess.run(
        [*command, "--update-catalog"], capture_output=True, text=True, env=environment, check=True
    )
    assert not done.stderr
    listed = subprocess.run(
        [*command, "--list-catalog"], capture_output=True, text=True, env=environment, check=True
    )
    for event in EVENTS:
        assert f"{event.message_id} hermesguard: {event.title}" in listed.stdout
