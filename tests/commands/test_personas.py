"""From "my chat is gone" to having it back: at most three commands, each typed as the output of the one before prints it.

The administrator of a service is in tests/system/people.py, on a booted system.
"""

import json
import re
import shlex
from pathlib import Path

import pytest

from hermesguard.demo.eras import Era
from hermesguard.salvage.places import Places
from hermesguard.salvage.survey import survey
from tests.helpers import lost_home
from tests.helpers.cli_store import Scene
from tests.helpers.home import Home, chat, told

MOST_COMMANDS = 3
DOCKER = "docker exec hermesguard hermesguard"
VERBS = "lost|salvage|restore|undo"
COMMAND = (
    rf"((?:docker exec hermesguard )?hermesguard (?:{VERBS})\b(?: (?:--[a-z]+|[0-9a-f]{{12}}[\w@-]*|\d+))*)"
)


class Typist:
    """Types commands and nothing but what was printed; counts them."""

    def __init__(self, scene: Scene, sessions: Path, **variables: str) -> None:
        self.said = ""
        self.typed: list[str] = []
        self._scene = scene
        self._variables = {"HERMESGUARD_SESSIONS": str(sessions), "COLUMNS": "80", **variables}

    def type(self, line: str) -> str:
        assert not self.typed or line in self.said, f"{line!r} was not printed:\n{self.said}"
        self.typed.append(line)
        before = DOCKER if "HERMESGUARD_COMMAND" in self._variables else "hermesguard"
        assert line.startswith(f"{before} "), "what is printed is typed outside of the container"
        code, out, err = self._scene.call(*shlex.split(line.removeprefix(before)), **self._variables)
        assert code in (0, 4), (line, out, err)
        self.said = out
        return out

    def printed(self, pattern: str = "") -> str:
        """The last command in what was printed, of the part that begins at `pattern`."""
        text = self.said[self.said.index(pattern) :] if pattern else self.said
        found = re.search(COMMAND, text)
        assert found, text
        return found[1]


def messages(path: Path) -> list[tuple[str, str]]:
    return told(json.loads(path.read_text("utf-8"))["messages"])


in_a_shell_or_docker = pytest.mark.parametrize("command", ["hermesguard", DOCKER], ids=["shell", "docker"])


def slipped(tmp_path: Path, command: str) -> tuple[lost_home.Home, dict[str, list[tuple[str, str]]], Typist]:
    """Return a home in which a user has deleted, undone or cleared by slip, what was said before, and who types there now."""
    home = lost_home.make(tmp_path)
    scene = Scene(home.root, home.app, "", "", "", "")
    before = {name: messages(home.chats[name].path) for name in lost_home.LIVING}
    variables = {} if command == "hermesguard" else {"HERMESGUARD_COMMAND": DOCKER}
    scene.call("scan", HERMESGUARD_SESSIONS=str(home.sessions))
    home.act()
    scene.call("scan", HERMESGUARD_SESSIONS=str(home.sessions))
    return home, before, Typist(scene, home.sessions, **variables)


@pytest.mark.parametrize("name", lost_home.LIVING)
@in_a_shell_or_docker
def test_a_slip_is_reversed(tmp_path: Path, name: str, command: str) -> None:
    """Who works in a shell, and who has the guard in a container, beside one who deleted, undid or cleared by slip."""
    home, before, typist = slipped(tmp_path, command)
    typist.type(f"{command} status")
    typist.type(typist.printed())
    typist.type(typist.printed(lost_home.LIVING[name]))
    assert len(typist.typed) <= MOST_COMMANDS
    assert messages(home.chats[name].path) == before[name]
    assert "To reverse it: " in typist.said


@in_a_shell_or_docker
def test_words_that_a_user_remembers_are_enough(tmp_path: Path, command: str) -> None:
    home, before, typist = slipped(tmp_path, command)
    typist.type(f"{command} find present for ada")
    typist.type(typist.printed("A present for Ada"))
    assert messages(home.chats["deleted"].path) == before["deleted"]


@pytest.mark.parametrize("index_count", [None, 0], ids=["the index still counts", "only state.db knows"])
def test_who_installs_it_too_late(tmp_path: Path, index_count: int | None) -> None:
    home = Home(tmp_path, Era.OLD)
    said = chat(6)
    path = home.save("4f2a61c09b7d", said)
    home.save("aaaaaaaaaaaa", chat(2))
    home.remember("4f2a61c09b7d", said)
    home.wipe("4f2a61c09b7d", index_count=index_count)
    assert len(list(survey(Places(home.sessions, home.agent)))) == 1
    scene = Scene(home.root, None, "", "", "", "")  # type: ignore[arg-type]
    scene.call("scan", HERMESGUARD_SESSIONS=str(home.sessions))
    typist = Typist(scene, home.sessions)
    typist.type("hermesguard status")
    while messages(path) != told(said) and len(typist.typed) < MOST_COMMANDS:
        typist.type(typist.printed("About 4f2a61c09b7d" if "About 4f2a61c09b7d" in typist.said else ""))
    assert messages(path) == told(said)
