"""How a command must be typed here: with `sudo -u`, with `--store`, or inside its container, where it needs that.

Sentences are written with the bare word ("hermesguard explain 7"); whatever prints a remedy lets `as_typed` complete it.
"""

import os
import re
import shlex
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from hermesguard.config.paths import OUTSIDE_VARIABLE, default_store
from hermesguard.config.settings import Settings
from hermesguard.errors import GuardError
from hermesguard.events.event import complete_commands
from hermesguard.store.place import top_of, user_name

BARE: Final = "hermesguard"
VARIABLE: Final = OUTSIDE_VARIABLE

PROCESSES = Path("/proc")
_CONTAINER_ID: Final = re.compile(r"[0-9a-f]{12}")
_CONTAINER_MARKS: Final = {Path("/.dockerenv"): "docker", Path("/run/.containerenv"): "podman"}

_ARGUMENTS: Final = r"(?: (?:--[\w-]+|[A-Z]{3,}|\S*[\d@]\S*))*"

_OTHERS: Final = (
    r"\b(?:chmod|chown|sysctl|systemctl|journalctl|sudo|runuser|(?:pip|pipx|apt) in(?:stall|ject)) "
    r"[^;,()]*?(?=[;,()]|\.\s|\.?$)"
)
"""Another's command, as a remedy has it, to the end of what is said of it: "Do: chmod 600 PATH; or keep it elsewhere."."""

_PROFILE: Final = re.compile(r" --profile \S+")
_FOR_ALL: Final = re.compile(r"(?:run|config|demo)\b")
"""Verbs that are about all directories, and take no --profile."""

_here = BARE
_verbs = "(?!)"
_command = re.compile(_verbs)


def know(verbs: Iterable[str]) -> None:
    """Take a sentence's "hermesguard" for a command when one of these words follows it."""
    global _verbs, _command
    _verbs = rf"(?:{'|'.join(verbs)})\b"
    _command = re.compile(rf"\bhermesguard (?={_verbs})")


def use(command: str) -> None:
    """Let commands be typed so from now on, in reports too."""
    global _here
    _here = command
    complete_commands(as_typed)


def command() -> str:
    """Return what stands before the verb here: "hermesguard", or with what must stand around it."""
    return _here


def as_typed(text: str) -> str:
    """Return `text` with each of our commands in it as it must be typed here; one that is so already stays."""
    if _here == BARE:
        return text
    before = _here.removesuffix(BARE)

    def typed(found: re.Match[str]) -> str:
        if text.endswith(before, 0, found.start()):
            return found[0]
        return f"{_PROFILE.sub('', _here) if _FOR_ALL.match(text, found.end()) else _here} "

    return _command.sub(typed, text)


def unbroken(text: str, space: str) -> str:
    """Return `text` with `space` for each space within a command, so that no line ends there."""
    ours = rf"{re.escape(_here)} (?:{_verbs}{_ARGUMENTS}|--help\b)"
    return re.sub(f"{ours}|{_OTHERS}", lambda found: found[0].replace(" ", space), text)


def command_for(settings: Settings, environment: Mapping[str, str]) -> str:
    """Return how commands on the store of `settings` are typed by whoever typed this one."""
    if outside := environment.get(VARIABLE):
        return outside
    store = top_of(settings.store)
    owner = owner_of(store)
    typist = _typist(environment)
    is_other = owner is not None and owner != typist
    flags: list[str] = []
    if settings.sources and (config := settings.sources.flags.get("config")):
        flags += ["--config", str(Path(config).absolute())]
    elif is_other or settings.origins.get("store", "").startswith("flag"):
        flags += ["--store", str(store)]
    if settings.profile:
        flags += ["--profile", settings.profile]
    words = [
        *(_as_user(owner, is_for_root=typist == 0) if is_other and owner is not None else []),
        BARE,
        *flags,
    ]
    inside = _in_container(environment)
    return " ".join([inside, shlex.join(words)] if inside else [shlex.join(words)])


def _typist(environment: Mapping[str, str]) -> int:
    """Return the uid of whoever typed this command: sudo notes it, runuser and su wait for it to end."""
    if (uid := environment.get("SUDO_UID", "")).isdecimal():
        return int(uid)
    parent = PROCESSES / str(os.getppid())
    try:
        if (parent / "comm").read_text("utf-8", "replace").strip() in ("runuser", "su"):
            status = (parent / "status").read_text("utf-8", "replace")
            return int(next(line.split()[1] for line in status.splitlines() if line.startswith("Uid:")))
    except (OSError, ValueError, IndexError, StopIteration):
        pass
    return os.geteuid()


def command_in_reports(settings: Settings, environment: Mapping[str, str]) -> str:
    """Return how commands on the store of a guard are typed by whoever reads what it reports.

    Of a service (it has a state directory of systemd's) that is an administrator.
    """
    if outside := environment.get(VARIABLE):
        return outside
    is_service = settings.origins.get("store") == "environment STATE_DIRECTORY"
    words = [*(_as_user(os.geteuid(), is_for_root=True) if is_service else []), BARE]
    if settings.sources and (config := settings.sources.flags.get("config")):
        words += ["--config", str(Path(config).absolute())]
    elif is_service or not _is_own_place(settings, environment):
        words += ["--store", str(settings.store)]
    inside = _in_container(environment)
    return " ".join([inside, shlex.join(words)] if inside else [shlex.join(words)])


def _as_user(uid: int, is_for_root: bool) -> list[str]:
    """Return what stands before a command that another user is to run; root may have no sudo."""
    if is_for_root and not shutil.which("sudo"):
        return ["runuser", "-u", user_name(uid), "--"]
    return ["sudo", "-u", user_name(uid)]


def _is_own_place(settings: Settings, environment: Mapping[str, str]) -> bool:
    """Return whether the store is where commands of the same user look for it without being told."""
    try:
        return settings.store == default_store({**environment, "STATE_DIRECTORY": ""})[0]
    except GuardError:  # a user without a home
        return False


def as_user(uid: int) -> str:
    """Return what stands before a command that another user is to run."""
    return shlex.join(_as_user(uid, is_for_root=os.geteuid() == 0))


def owner_of(store: Path) -> int | None:
    """Return the uid that a store belongs to; None when there is none."""
    try:
        return store.stat().st_uid
    except OSError:
        return None


def _in_container(environment: Mapping[str, str]) -> str:
    """Return what leads into this container from outside; empty when this is none, or its name is not known."""
    name = environment.get("HOSTNAME", "")
    if _CONTAINER_ID.fullmatch(name):
        for mark, program in _CONTAINER_MARKS.items():
            if mark.exists():
                return f"{program} exec {name}"
    return ""
