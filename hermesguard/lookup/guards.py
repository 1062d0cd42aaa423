"""Which stores and guards there are on this machine, and which of them a command is about.

This user's own store, those of the installed services (hermesguard.service, hermesguard@USER), and whatever runs: guards of
this user wherever their store is, and guards in containers. Whoever names a store is taken at his word.
"""

import contextlib
import os
import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple

from hermesguard.config.settings import Settings
from hermesguard.errors import ExitCode, GuardError
from hermesguard.lookup import typed
from hermesguard.store.directories.parts import part_for, parts_of
from hermesguard.store.lock import lock_holder
from hermesguard.store.place import Place, is_same_directory, top_of, user_name

SERVICE_STATES = Path("/var/lib")
PROCESSES = Path("/proc")
UNIT_FOLDERS = tuple(map(Path, ("/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system")))
USER_UNIT_FOLDERS = tuple(map(Path, ("/etc/systemd/user", "/usr/lib/systemd/user")))

_STANDING_ALONE: Final = frozenset({"run", "demo", "config"})
"""Verbs that take the places as configured, whatever else there is."""
_WAITING: Final = frozenset({"run", "scan", "config"})
"""Verbs that may be told of a directory that is not there yet."""
_UNNAMED_STORE: Final = frozenset({"default", "environment XDG_STATE_HOME"})
_UNNAMED_SESSIONS: Final = frozenset(
    {"default", "environment HERMES_WEBUI_STATE_DIR", "environment HERMES_HOME"}
)
_LONGEST_LINE_BYTES: Final = 64 * 1024
_GUARD_NAME: Final = re.compile(r"hermesguard(?:@(?P<user>[^/\s]+?))?(?P<suffix>\.service)?")
_CONTAINER: Final = re.compile(r"(docker|libpod|podman|cri-containerd|crio)[-/]([0-9a-f]{12})[0-9a-f]{52}")
_CONTAINER_PROGRAMS: Final = {"docker": "docker", "libpod": "podman", "podman": "podman"}


class Found(NamedTuple):
    """A guard of this machine. `store` is None where only its container has a name for it."""

    name: str
    store: Path | None
    sessions: Path | None
    command: str
    """What to type before the verb to speak of this one."""
    is_readable: bool = False
    is_running: bool = False
    is_makeshift: bool = False
    """It runs on a store at a place of its own: meant only by whoever names it, or has the sessions that it guards."""


def with_its_store(settings: Settings, verb: str, words: Sequence[str] = ()) -> Settings:
    """Return the settings with the store that a command is about, and the sessions directory that this store guards.

    Raises GuardError: several stores could be meant (exit code 2), only others may read the one there is (1), or the
    sessions directory that was named is not the one of this store (2).
    """
    if verb == "completion":  # a shell asks, and nobody reads what is wrong
        with contextlib.suppress(GuardError):
            return with_its_store(settings, "list", words)
        return settings
    if verb == "notify":  # it may be there before the guard, whose store will be where it is configured
        try:
            return with_its_store(settings, "list", words)
        except GuardError as error:
            if error.exit_code is not ExitCode.NO_STORE:
                raise
            return settings
    if verb in _STANDING_ALONE or (verb == "offsite" and "restore" in words):
        return settings
    if settings.origins["store"] in _UNNAMED_STORE:
        settings = _with_store(settings, words, is_for_all=verb == "scan")
    settings = _of_directory(settings)
    typed.use(typed.command_for(settings, os.environ))
    return settings


def _of_directory(settings: Settings) -> Settings:
    """Return the settings with the directory, and its part of the store, that are asked for; without a name, the first."""
    guarded = Place(settings.store).guarded()
    first = guarded or settings.sessions
    known = parts_of(settings.store, first)
    if settings.profile:
        part = next((part for part in known if part.name == settings.profile), None)
        if part is None:
            raise GuardError(
                f"The store {settings.store} has no directory {settings.profile}",
                f"It has: {', '.join(part.name for part in known)}",
                ExitCode.NOT_FOUND,
            )
        return _replaced(replace(settings, store=part.root), "sessions", part.sessions, "flag --profile")
    is_named = settings.origins["sessions"] not in _UNNAMED_SESSIONS and len(settings.directories) == 1
    if guarded and not is_same_directory(guarded, settings.sessions):
        part = part_for(known, settings.sessions) if is_named else None
        if part:
            return replace(settings, store=part.root, profile=part.name)
        if is_named:
            raise GuardError(
                f"The store {settings.store} is that of {guarded}, not of {settings.sessions} "
                f"({settings.origins['sessions']})",
                "Leave the sessions directory out, or name its own store with --store DIR",
                ExitCode.USAGE,
            )
        settings = _replaced(settings, "sessions", guarded, f"the store {settings.store}")
    return settings


def profile_named(text: str | None, verb: str) -> str:
    """Return the profile that `--sessions` names when it can be no path to a directory; empty when it names none."""
    is_name = text and verb not in _WAITING and "/" not in text and not os.path.lexists(text)
    return str(text) if is_name and text not in ("auto", ".", "..") else ""


def of_profile(settings: Settings, profile: str, verb: str) -> Settings:
    """Return the settings for one of several directories. GuardError (exit code 2) where that makes no sense."""
    if verb in _STANDING_ALONE:
        raise GuardError(
            f"{verb} takes no --profile",
            "To guard one directory alone, name it and a store of its own: --sessions DIR --store DIR",
            ExitCode.USAGE,
        )
    return replace(settings, profile=profile)


def store_named(text: str) -> str:
    """Return the store that `--store` names: a directory, or hermesguard@USER, hermesguard.service."""
    match = _GUARD_NAME.fullmatch(text)
    if match is None or not (match["user"] or match["suffix"]) or os.path.lexists(text):
        return text
    return str(SERVICE_STATES / ("hermesguard" + (f"-{match['user']}" if match["user"] else "")))


def _with_store(settings: Settings, words: Sequence[str], is_for_all: bool) -> Settings:
    """Return the settings with the store that is meant; `is_for_all` says that one may also be made for these sessions."""
    is_asked = is_for_all or settings.origins["sessions"] not in _UNNAMED_SESSIONS
    known = find(settings)
    readable = [one for one in known if one.store and one.is_readable]
    fitting = [
        one for one in readable if one.store and one.sessions and _has(one.store, one.sessions, settings)
    ] or [one for one in readable if one.store == settings.store and not (is_asked and one.sessions)]
    if not fitting and not is_asked:
        fitting = [one for one in readable if not one.is_makeshift]
    if len(fitting) > 1 and len(running := [one for one in fitting if one.is_running]) == 1:
        fitting = running
    if len(fitting) > 1:
        raise GuardError(
            f"{len(fitting)} guards could be meant:\n{listed(fitting, words)}\nNothing was done",
            "Type the line of the one you mean",
            ExitCode.USAGE,
        )
    if fitting and fitting[0].store:
        found = fitting[0]
        if found.store == settings.store:
            return settings
        return _replaced(settings, "store", fitting[0].store, f"the guard {found.name}")
    others = [one for one in known if one.is_makeshift or not one.is_readable]
    if others and not is_for_all:
        raise GuardError(
            f"There is no store at {settings.store}. Other guards are on this machine:\n{listed(others, words)}\n"
            "None of them guards the sessions of this user, or may be read by this user",
            f"Type the line of the one you mean, or begin a guard of your own: {install_command()}",
            ExitCode.NO_STORE,
        )
    return settings


def _has(store: Path, first: Path, settings: Settings) -> bool:
    """Return whether a store has a part for the sessions directory of `settings`."""
    return part_for(parts_of(store, first), settings.sessions) is not None


def _replaced(settings: Settings, field: str, path: Path, origin: str) -> Settings:
    origins = MappingProxyType({**settings.origins, field: origin})
    return replace(settings, **{field: path}, origins=origins)  # type: ignore[arg-type]


def listed(known: Sequence[Found], words: Sequence[str]) -> str:
    """Return a line for each guard: its name, whether it runs, and what to type to speak of it."""
    rest = shlex.join(words) or "status"
    states = [f"{one.name}{', running' if one.is_running else ''}" for one in known]
    width = max(map(len, states))
    return "\n".join(
        f"  {state.ljust(width)}  {one.command} {rest}" for state, one in zip(states, known, strict=True)
    )


def find(settings: Settings) -> list[Found]:
    """Return the guards of this machine, this user's own first: each store once, running or not."""
    stores: dict[str, Found] = {}
    containers = []
    for one in (*_own(settings), *_installed(settings), *_running(settings)):
        if one.store is None:
            containers.append(one)
        else:
            stores.setdefault(os.path.realpath(one.store), one)
    return [*stores.values(), *containers]


def _own(settings: Settings) -> Iterator[Found]:
    if (settings.store / "shadows").is_dir():
        yield _found("your own", settings.store, settings)


def _installed(settings: Settings) -> Iterator[Found]:
    try:
        names = sorted(os.listdir(SERVICE_STATES))
    except OSError:
        return
    for name in names:
        store = SERVICE_STATES / name
        if re.fullmatch(r"hermesguard(-.+)?(?<!\.notify)(?<!\.offsite)", name) and store.is_dir():
            service, _, user = name.partition("-")
            yield _found(f"{service}@{user}" if user else f"{service}.service", store, settings)


def _found(name: str, store: Path, settings: Settings) -> Found:
    is_readable = os.access(store, os.R_OK | os.X_OK)
    if is_readable and not (store / "shadows").is_dir():
        is_readable = False
    place = Place(store)
    origin = "flag --store" if store != settings.store else settings.origins["store"]
    command = typed.command_for(_replaced(settings, "store", store, origin), os.environ)
    is_running = is_readable and lock_holder(store / "lock") is not None
    return Found(name, store, place.guarded() if is_readable else None, command, is_readable, is_running)


def _running(settings: Settings) -> Iterator[Found]:
    for folder in _guard_processes():
        if container := _container_of(folder):
            program, number = container
            command = f"{program} exec {number} hermesguard"
            yield Found(f"the container {number}", None, None, command, is_running=True)
        elif store := _store_of(folder):
            yield _found(f"process {folder.name}", store, settings)._replace(
                is_running=True, is_makeshift=True
            )


def guarded_by_others(strangers: dict[str, int] | None = None) -> dict[Path, Path]:
    """Return the sessions directories that other running guards have as their first or only one, each with its store.

    As far as this process may see them; those of containers are not seen. `strangers`: how often a process (by its number) was
    found to be no guard; one that was twice is not asked again. It is kept up to date.
    """
    found = {}
    for folder in _guard_processes(strangers):
        if folder.name != str(os.getpid()):
            store = _store_of(folder)
            if store and (sessions := Place(top_of(store)).guarded()):
                found[sessions] = top_of(store)
    return found


def _guard_processes(strangers: dict[str, int] | None = None) -> list[Path]:
    """Return the folders of the processes that run as guards, by their command lines; `strangers` as above."""
    # A guard asks each minute, on machines with thousands of processes: no object for each.
    found, names, strangers = [], [], {} if strangers is None else strangers
    with contextlib.suppress(OSError):
        names = sorted(filter(str.isdigit, os.listdir(PROCESSES)))
    for gone in strangers.keys() - set(names):  # numbers are given again
        del strangers[gone]
    for name in names:
        # Twice: a process has the command line of the one that started it until it runs its program.
        if (times := strangers.get(name, 0)) == 2:
            continue
        strangers[name] = times + 1
        with contextlib.suppress(OSError):
            descriptor = os.open(f"{PROCESSES}/{name}/cmdline", os.O_RDONLY | os.O_CLOEXEC)
            try:
                line = os.read(descriptor, _LONGEST_LINE_BYTES)
            finally:
                os.close(descriptor)
            if b"hermesguard" in line:
                words = line.split(b"\0")
                if b"run" in words and any(b"hermesguard" in word for word in words[:4]):
                    found.append(PROCESSES / name)
                    del strangers[name]
    return found


def _container_of(folder: Path) -> tuple[str, str] | None:
    """Return (program, short id) of the container that another process is in; None when it is in none, or in our own."""
    try:
        group = (folder / "cgroup").read_text("utf-8", "replace")
        ours = (PROCESSES / "self/cgroup").read_text("utf-8", "replace")
    except OSError:
        return None
    match = _CONTAINER.search(group)
    if match is None or match[2] in ours:
        return None
    return _CONTAINER_PROGRAMS.get(match[1], "crictl"), match[2]


def _store_of(folder: Path) -> Path | None:
    """Return the store whose lock a process has open; None when that may not be seen."""
    try:
        descriptors = os.listdir(folder / "fd")
    except OSError:
        return None
    for descriptor in descriptors:
        try:
            target = Path(os.readlink(folder / "fd" / descriptor))
        except OSError:
            continue
        if target.name == "lock" and (target.parent / "shadows").is_dir():
            return target.parent
    return None


def start_command(store: Path) -> str:
    """Return what starts the guard of a store, by what is installed for it."""
    store = top_of(store)
    sudo = "" if os.geteuid() == 0 and not os.environ.get("SUDO_UID") else "sudo "
    if store.parent == SERVICE_STATES and store.name.startswith("hermesguard"):
        return f"{sudo}systemctl start {store.name.replace('-', '@', 1)}"
    if os.environ.get(typed.VARIABLE):
        return "start its container again"
    home = Path(os.environ.get("HOME") or "/")
    if any((folder / "hermesguard.service").exists() for folder in (home / ".config/systemd/user",)):
        return "systemctl --user start hermesguard"
    return typed.as_typed("hermesguard run")


def install_command() -> str:
    """Return what makes a guard where there is none yet: a service where the package has brought its unit."""
    if any((folder / "hermesguard@.service").exists() for folder in UNIT_FOLDERS):
        uid = os.environ.get("SUDO_UID", "")
        user = user_name(int(uid) if uid.isdecimal() else os.geteuid())
        return f"sudo systemctl enable --now hermesguard@{user}"
    if any((folder / "hermesguard.service").exists() for folder in USER_UNIT_FOLDERS):
        return "systemctl --user enable --now hermesguard"
    return "hermesguard run"
