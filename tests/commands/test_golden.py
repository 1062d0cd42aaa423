"""What each command prints after the demo's story: kept in tests/golden, at 80, 120 and 200 columns and piped.

When output is meant to be another, write the files anew and read what changed: GOLDEN=write pytest tests/commands/test_golden.py
"""

import os
import re
from pathlib import Path

import pytest

from hermesguard.cli.output.terminal import columns_of
from hermesguard.cli.verbs import VERBS
from tests.helpers.reported import Reported, reported

GOLDEN = Path(__file__).parents[2] / "tests" / "golden"
WIDTHS = {"at 80 columns": 80, "at 120 columns": 120, "at 200 columns": 200, "piped": None}
WIPED, TORN, TAKEN_BACK = "91b72265b1f5", "cd61d8f16adf", "dcf4f4bea973"

COMMANDS = {
    "status": "status",
    "status-nagios": "status --nagios",
    "status-json": "status --json",
    "lost": "lost",
    "lost-json": "lost --json",
    "find": "find part 7 does",
    "find-title": "find parser for",
    "find-json": "find server room --json",
    "list": "list",
    "list-words": "list server room --state restored",
    "list-json": "list --json",
    "history": f"history {WIPED[:3]}",
    "history-intended": "history parser",
    "show": f"show {WIPED} --last 6",
    "show-version": f"show {TAKEN_BACK}@-1 --last 2",
    "show-markdown": "show bread --markdown --last 2",
    "show-json": f"show {TAKEN_BACK} --last 2 --json",
    "diff": f"diff {TAKEN_BACK}",
    "diff-wiped": f"diff {WIPED}@-2 @latest",
    "diff-json": f"diff {TAKEN_BACK} --json",
    "log": "log",
    "log-session": "log --session trip --since 1d",
    "explain-wipe": "explain 1",
    "explain-stale-writer": "explain 9",
    "explain-torn": "explain 11",
    "explain-event": "explain uncertain",
    "explain-fields": "explain uncertain --fields",
    "explain-intended": "explain 10",
    "explain-session": "explain parser",
    "restore-shortened": "restore parser",
    "diff-repaired": "diff trip",
    "restore": f"restore {TAKEN_BACK}@-1 --dry-run",
    "restore-all-missing": "restore --all-missing --dry-run",
    "undo": "undo 1 --dry-run",
    "accept": f"accept {WIPED} --dry-run",
    "purge": "purge trip --dry-run",
    "prune": "prune --dry-run",
    "verify": "verify",
    "drill": "drill",
    "salvage": "salvage --dry-run",
    "report": "report -o DIRECTORY/report.html",
    "completion": "completion sessions",
    "scan-check": "scan --check",
    "config-show": "config show",
    "config-check": "config check",
}
MISTAKES = {
    "mistake-verb": "shwo 91b",
    "mistake-session": "show gardn",
    "mistake-several": "show for --last 1",
    "mistake-version": f"show {TAKEN_BACK}@-7",
    "mistake-incident": "explain 99",
    "mistake-undo": "undo 11 --dry-run",
    "mistake-find": "find zeppelin",
    "mistake-sessions": "status --sessions /nowhere/sessions",
}


@pytest.fixture(scope="module")
def after_the_story():
    with reported() as scene:
        yield scene


def printed(scene: Reported, words: str) -> str:
    """What a command prints, at each width; what is the same as at the width before is not said again."""
    words = words.replace("DIRECTORY", str(scene.root))
    parts, before = [scene.made_stable(f"$ hermesguard {words}\n")], None
    for name, columns in WIDTHS.items():
        code, out, err = scene.run(*words.split(), columns=columns)
        text = scene.made_stable(out + (f"--- on stderr\n{err}" if err else "")) + f"--- exit code {code}\n"
        parts.append(
            f"\n=== {name}{': the same' if text == before else ''}\n" + ("" if text == before else text)
        )
        before = text
    return "".join(parts)


@pytest.mark.parametrize("name", [*COMMANDS, *MISTAKES])
def test_what_a_command_prints(after_the_story, name):
    text = printed(after_the_story, {**COMMANDS, **MISTAKES}[name])
    path = GOLDEN / f"{name}.txt"
    if os.environ.get("GOLDEN") == "write":
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, "utf-8")
    assert text == path.read_text("utf-8"), "see the first lines of this module"


def test_no_file_is_left_over():
    assert {path.stem for path in GOLDEN.iterdir()} == {*COMMANDS, *MISTAKES}


def test_every_verb_that_prints_is_there():
    shown = {words.split()[0] for words in COMMANDS.values()}
    # What serves, and what prints a link or a place of this machine, is tested in tests/page.
    assert {verb.name for verb in VERBS} - shown == {
        "run", "demo", "notify", "offsite", "serve", "open", "extension",
    }  # fmt: skip


@pytest.mark.parametrize("words", ["list", "history server", "log", "status", "explain 9", "prune --dry-run"])
@pytest.mark.parametrize("columns", [40, 60, 80])
def test_a_table_fits_the_terminal(after_the_story, words, columns):
    out = after_the_story.run(*words.split(), columns=columns)[1]
    paths = str(after_the_story.root)
    assert max(columns_of(line) for line in out.splitlines() if paths not in line) <= max(columns, 72)


@pytest.mark.parametrize("words", [words for words in COMMANDS.values() if "json" not in words])
def test_colours_are_all_that_a_terminal_gets_more(after_the_story, words):
    words = words.replace("DIRECTORY", str(after_the_story.root)).split()
    plain = after_the_story.run(*words, columns=80)
    coloured = after_the_story.run(*words, columns=80, NO_COLOR="")
    same = [after_the_story.made_stable(re.sub(r"\x1b\[\d*m", "", out)) for _, out, _ in (plain, coloured)]
    assert same[0] == same[1]
    assert "\x1b" not in plain[1]


@pytest.mark.parametrize("words", COMMANDS.values())
def test_an_ascii_locale_gets_ascii(after_the_story, words):
    words = words.replace("DIRECTORY", str(after_the_story.root)).split()
    code, out, err = after_the_story.run(*words, columns=80, LC_ALL="C")
    assert out.isascii()
    assert err.isascii()
    assert code in (0, 4)
