"""Where the traces of a home are: the sessions directory, and the directories of hermes-agent around it, by listing alone."""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from hermesguard.config.paths import absolute_variable, home_directory
from hermesguard.webui.session import session_id

_LOG: Final = re.compile(r"session_(.+)\.json")
_DUMP: Final = re.compile(r"request_dump_(.+)_\d{8}[_T]\d{6}.*\.json")
# Names beside `<sid>.json` that hold, or held, a whole session file.
_COPY: Final = re.compile(
    r"(.+?)(?:\.json\.bak(?:\.tmp\..*)?|\.tmp\..*|\.json\.(?:recover|reconcile)\.tmp.*)"
)


@dataclass(slots=True)
class Listing:
    """The files that may hold something of a conversation, by session."""

    files: dict[str, Path] = field(default_factory=dict)
    copies: dict[str, list[Path]] = field(default_factory=dict)
    runs: dict[str, Path] = field(default_factory=dict)
    """Directories of run journals."""
    prompts: dict[str, list[Path]] = field(default_factory=dict)
    logs: dict[str, list[Path]] = field(default_factory=dict)
    dumps: dict[str, list[Path]] = field(default_factory=dict)
    databases: list[tuple[Path, str]] = field(default_factory=list)
    """state.db of each profile and of each snapshot, the default profile's first; with the profile's name."""
    archives: list[Path] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What could not be listed, in sentences."""

    def sessions(self) -> set[str]:
        """Return every session of which there is a file of its own."""
        return {*self.files, *self.copies, *self.runs, *self.prompts, *self.logs}


def agent_home(sessions: Path, given: Path | None, environment: Mapping[str, str]) -> Path | None:
    """Return the home of hermes-agent that belongs to a sessions directory (`~/.hermes`), None when it is not known."""
    if given:
        return given
    # Since v0.51.528 the sessions are in HOME/webui/sessions; before that too unless HERMES_WEBUI_STATE_DIR said otherwise.
    near = sessions.parent.parent
    if sessions.parent.name == "webui" and (near / "state.db").exists():
        return near
    if variable := absolute_variable(environment, "HERMES_HOME"):
        return variable
    if sessions.parent.name == "webui":
        return near
    home = home_directory(environment)
    return home / ".hermes" if home else None


def listed(sessions: Path, agent: Path | None) -> Listing:
    """Return what is there. What cannot be read is noted."""
    found = Listing()
    _list_sessions(sessions, found)
    for home, profile in _homes(agent) if agent else ():
        for name in _names(home / "sessions", found):
            if match := _LOG.fullmatch(name):
                found.logs.setdefault(match[1], []).append(home / "sessions" / name)
            elif match := _DUMP.fullmatch(name):
                found.dumps.setdefault(match[1], []).append(home / "sessions" / name)
        if (home / "state.db").exists():
            found.databases.append((home / "state.db", profile))
        for name in sorted(_names(home / "state-snapshots", found), reverse=True):
            if (path := home / "state-snapshots" / name / "state.db").exists():
                found.databases.append((path, profile))
        for name in sorted(_names(home / "backups", found), reverse=True):
            if name.endswith(".zip"):
                found.archives.append(home / "backups" / name)
    return found


def _list_sessions(sessions: Path, found: Listing) -> None:
    for name in _names(sessions, found):
        if name.startswith((".", "_")):
            continue
        if session := session_id(name):
            found.files[session] = sessions / name
        elif (match := _COPY.fullmatch(name)) and session_id(f"{match[1]}.json"):
            found.copies.setdefault(match[1], []).append(sessions / name)
    for name in _names(sessions / "_run_journal", found):
        if session_id(f"{name}.json"):
            found.runs[name] = sessions / "_run_journal" / name
    for name in _names(sessions / "_turn_journal", found):
        stem = name.removesuffix(".jsonl").split("~", 1)[0]
        if name.endswith(".jsonl") and session_id(f"{stem}.json"):
            found.prompts.setdefault(stem, []).append(sessions / "_turn_journal" / name)


def _homes(agent: Path) -> Iterator[tuple[Path, str]]:
    yield agent, "default"
    try:
        names = sorted(os.listdir(agent / "profiles"))
    except OSError:
        return
    for name in names:
        if (agent / "profiles" / name).is_dir():
            yield agent / "profiles" / name, name


def _names(directory: Path, found: Listing) -> list[str]:
    try:
        return os.listdir(directory)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        found.notes.append(f"{directory} cannot be read: {error.strerror}. Give the right to read it.")
        return []
