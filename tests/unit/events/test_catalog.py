"""The catalogue is whole, says what the code says, and is what journald and people are given."""

import ast
import os
import random
import re
import shutil
import string
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hermesguard.events.catalog import BY_NAME, EVENTS, FIELDS, accepted
from hermesguard.events.event import Event, in_words, plain
from hermesguard.events.journald import journal_field
from tests.helpers.sources import SOURCES, nodes_of
from tools.docs.events import catalog, main, markdown

ROOT = Path(__file__).parents[3]
EXAMPLES = {str: "Something", int: 2, float: 2.5, bool: True, list[str]: ["one", "two"]}


def example(event: Event) -> dict[str, object]:
    return {name: EXAMPLES[FIELDS[name].kind] for name in event.fields}


def placeholders(template: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(template) if name}


def test_names_and_ids_are_used_once() -> None:
    assert len({event.name for event in EVENTS}) == len({event.message_id for event in EVENTS}) == len(EVENTS)


def test_an_id_is_a_random_uuid() -> None:
    uuid = re.compile(r"[0-9a-f]{12}4[0-9a-f]{3}[89ab][0-9a-f]{15}")
    assert [event.name for event in EVENTS if not uuid.fullmatch(event.message_id)] == []


def test_an_event_speaks_of_its_own_fields_only() -> None:
    for event in EVENTS:
        assert set(event.fields) <= FIELDS.keys(), event.name
        assert placeholders(event.sentence) | placeholders(event.advice) <= set(event.fields), event.name
        assert len(set(event.fields)) == len(event.fields), event.name


def test_a_sentence_is_whole_with_all_its_fields() -> None:
    for event in EVENTS:
        text = event.text(accepted(event, example(event))[0])
        assert text[0].isalnum(), event.name
        assert not set(text) & set("[]{}?\n"), event.name
        assert "  " not in text, event.name


def test_a_sentence_is_well_formed_whatever_is_known() -> None:
    odd = re.compile(r"  |[,;:(] ?[.,;:)]|\( |\.\.|^ | $")
    for event in EVENTS:
        values, chance = accepted(event, example(event))[0], random.Random(event.name)
        lacking = [{name} for name in values]
        known = [*lacking, *(values.keys() - one for one in lacking)]
        known += [{name for name in values if chance.random() < 0.5} for _ in range(30)]
        for names in known:
            text = event.text({name: values[name] for name in values if name in names})
            assert not odd.search(text), f"{event.name}: {text}"


def test_a_sentence_needs_no_field() -> None:
    for event in EVENTS:
        text = event.text({})
        assert text, event.name
        assert not set(text) & set("[]{}\n"), event.name


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
        passed, complaints = accepted(event, values)
        assert len(passed) + len(complaints) == len(values)
        assert passed.keys() <= set(event.fields)
        assert all(type(value) is FIELDS[name].kind for name, value in passed.items())
        for text in (event.text(passed), event.guidance(passed)):
            assert not re.search("[\x00-\x09\x0b-\x1f\x7f]", text)


REPORTING = {"report", "_report", "record", "_record", "found", "report_unreadable", "Incident"}
CATALOGUE = {"guard_events.py", "session_events.py"}


def calls() -> Iterator[tuple[str, str, ast.Call]]:
    """Yield each call that reports something, or builds an incident to report: where it stands, the name called, the call."""
    for path in SOURCES:
        if path.name in CATALOGUE or path.relative_to(ROOT).parts[1] in ("cli", "demo"):
            continue
        for node in nodes_of(path):
            if isinstance(node, ast.Call):
                called = (
                    node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                )
                if called in REPORTING:
                    yield f"{path.name}:{node.lineno}", called, node


def literals(*nodes: ast.expr) -> set[str]:
    """The strings anywhere in these."""
    return {
        inner.value
        for node in nodes
        for inner in ast.walk(node)
        if isinstance(inner, ast.Constant) and isinstance(inner.value, str)
    }


def chosen_names() -> set[str]:
    """The strings that are assigned to a variable `event`, which a report names then."""
    return {
        name
        for path in SOURCES
        for node in nodes_of(path)
        if isinstance(node, ast.Assign)
        and any(isinstance(target, ast.Name) and target.id == "event" for target in node.targets)
        for name in literals(node.value)
    }


def test_the_code_reports_only_what_the_catalogue_declares() -> None:
    wrong, seen = [], 0
    for where, called, call in calls():
        position = {"report_unreadable": 1, "Incident": 3}.get(called, 0)
        if len(call.args) <= position or not isinstance(call.args[position], ast.Constant):
            continue
        [name] = literals(call.args[position]) or {""}
        seen += 1
        declared = set(BY_NAME[name].fields) if name in BY_NAME else set()
        given = {keyword.arg for keyword in call.keywords if keyword.arg} if "report" in called else set()
        if name not in BY_NAME or (called in ("report", "_report") and not given <= declared | {"verdict"}):
            wrong.append(f"{where}: {name} {sorted(given - declared)}")
    assert seen > 30
    assert not wrong


def test_every_event_of_the_catalogue_is_reported_somewhere() -> None:
    reported = chosen_names()
    for _, _, call in calls():
        reported |= literals(*call.args, *(keyword.value for keyword in call.keywords))
    assert not [name for name in BY_NAME if name not in reported]


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
