"""Every command that an output advises can be typed as it stands there, and does something."""

import re
import shlex

import pytest

from hermesguard.cli.verbs import VERBS
from hermesguard.errors import ExitCode
from tests.helpers import lost_home
from tests.helpers.cli_store import Scene

SAYING = [
    "status",
    "lost",
    "find part 20 does",
    "find landlord",
    "list",
    "log",
    "scan --check",
    "salvage --dry-run",
    *(f"history {name}" for name in ("parser", "boat", "present", "garden")),
    *(f"show {name}" for name in ("boat", "landlord", "trip")),
    *(f"diff {name}" for name in ("parser", "present", "landlord")),
    *(
        f"explain {name}"
        for name in (*range(1, 8), "parser", "boat", "present", "garden", "landlord", "trip")
    ),
    *(f"restore {name} --dry-run" for name in ("parser", "boat", "present", "landlord", "trip")),
    *(f"accept {name} --dry-run" for name in ("garden", "present", "landlord", "trip")),
    *(f"undo {number} --dry-run" for number in range(1, 8)),
    "find zeppelin",
    "show zeppelin",
    "restore",
    "undo 99",
    "salvage --show",
]
DRY = dict.fromkeys(("restore", "undo", "accept", "purge", "prune", "salvage"), "--dry-run")
ENDLESS = {"run", "serve", "open", "notify", "offsite", "demo"}
COMMAND = re.compile(rf"\bhermesguard ((?:{'|'.join(verb.name for verb in VERBS)})\b[^\n]*)")
PLACEHOLDERS = {"DIR", "SID", "TEXT", "TITLE", "VERSION", "NUMBER"}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = lost_home.make(tmp_path_factory.mktemp("home"))
    home.scene = Scene(home.root, home.app, "", "", "", "")
    home.run = lambda *words: home.scene.call(*words, HERMESGUARD_SESSIONS=str(home.sessions))
    home.run("scan")
    home.act()
    home.run("scan")
    return home


def advised(text):
    """Return the commands in an output, without what of the sentence stands behind them."""
    for line in COMMAND.findall(text):
        yield (
            re.split(r"[;,)]|\.(?:\s|$)|: | shows\b| lists\b| tells\b|  ", line)[0]
            .split(" hermesguard ")[0]
            .strip()
        )


def test_every_command_that_is_advised_works_as_it_is_typed(home):
    seen = {}
    for saying in SAYING:
        for command in advised("".join(home.run(*saying.split())[1:])):
            seen.setdefault(command, saying)
    assert len(seen) > 25
    wrong = []
    for command, saying in seen.items():
        words = shlex.split(command)
        if words[0] in ENDLESS:
            words = [words[0], "--help"]
        elif words[0] in DRY:
            words = [
                word
                for word in words
                if (words[0], word) not in {("salvage", "--restore"), ("salvage", "--show")}
            ]
            words += [DRY[words[0]]] if DRY[words[0]] not in words else []
        code, out, err = home.run(*words)
        if code not in (ExitCode.OK, ExitCode.PROBLEM) or PLACEHOLDERS & set(words):
            wrong.append(f"{saying!r} advises {command!r}: {code} {out[-200:]}{err}")
    assert not wrong, "\n".join(wrong)
