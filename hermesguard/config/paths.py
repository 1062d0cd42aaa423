"""Where things are, by the rules of hermes-webui, systemd and XDG; nothing here is created or written."""

import os
import stat
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Final

from hermesguard.errors import ExitCode, GuardError

SYSTEM_FILE: Final = Path("/etc/hermesguard/hermesguard.toml")
OUTSIDE_VARIABLE: Final = "HERMESGUARD_COMMAND"
"""Names the command as it is typed outside, for the guard in a container: "docker exec hermesguard hermesguard"."""
PROFILES: Final = "profiles"


def configuration_files(environment: Mapping[str, str]) -> tuple[Path, ...]:
    """Return the configuration files that are read when none is named, the winning one last; they need not exist."""
    base = absolute_variable(environment, "XDG_CONFIG_HOME")
    if base is None:
        home = home_directory(environment)
        base = home / ".config" if home else None
    return (SYSTEM_FILE, base / "hermesguard" / "config.toml") if base else (SYSTEM_FILE,)


def volume_given(directory: Path) -> str:
    """Return what gives a volume of our container to the container's user."""
    return (
        f"Give the volume to the container's user: docker run --rm --user 0 --volumes-from hermesguard "
        f"--entrypoint chown hermesguard -R {os.geteuid()}:{os.getegid()} {directory}"
    )


def default_sessions(environment: Mapping[str, str]) -> tuple[Path, str]:
    """Return the sessions directory by hermes-webui's own rules (`api/config.py`, since v0.51.528), and its origin."""
    if state := environment.get("HERMES_WEBUI_STATE_DIR"):
        return expanded(state, environment).absolute() / "sessions", "environment HERMES_WEBUI_STATE_DIR"
    if hermes := environment.get("HERMES_HOME"):
        return expanded(hermes, environment).absolute() / "webui" / "sessions", "environment HERMES_HOME"
    home = home_directory(environment)
    if home is None:
        raise GuardError(
            "The sessions directory is not known: this user has no home directory",
            "Name it with --sessions DIR or HERMESGUARD_SESSIONS",
            ExitCode.CONFIG,
        )
    return home / ".hermes" / "webui" / "sessions", "default"


def agent_homes(environment: Mapping[str, str]) -> list[Path]:
    """Return the homes of hermes-agent that this user may have: $HERMES_HOME (of a profile, the home around it), ~/.hermes."""
    found = []
    if hermes := environment.get("HERMES_HOME"):
        home = expanded(hermes, environment).absolute()
        found.append(home.parent.parent if home.parent.name == PROFILES else home)
    if user := home_directory(environment):
        found.append(user / ".hermes")
    return list(dict.fromkeys(found))


def may_be_sessions(sessions: Path, environment: Mapping[str, str]) -> bool:
    """Return whether hermes-webui of this user may keep sessions there, by its own rules; it need not exist."""
    if sessions == default_sessions(environment)[0]:
        return True
    homes = agent_homes(environment)
    home = sessions.parent.parent
    is_state = sessions.name == "sessions" and sessions.parent.name == "webui"
    return is_state and (home in homes or (home.parent.name == PROFILES and home.parent.parent in homes))


def found_sessions(environment: Mapping[str, str], known: Collection[Path] = ()) -> list[Path]:
    """Return the sessions directories of this user that are there, by hermes-webui's own rules, those of profiles included.

    The first is the default one, whether it is there or not. `known` ones are not touched: they may be slow to answer.
    """
    first = default_sessions(environment)[0]
    others = []
    for home in agent_homes(environment):
        others.append(home / "webui" / "sessions")
        others += [home / PROFILES / name / "webui" / "sessions" for name in _profiles(home)]
    return list(dict.fromkeys([first, *(one for one in others if one in known or _may_be_there(one))]))


def birthplaces(environment: Mapping[str, str], known: Collection[Path] = ()) -> list[Path]:
    """Return the directories in which one more sessions directory of this user would show itself, beside the `known` ones."""
    found: list[Path] = []
    for home in agent_homes(environment):
        if not os.path.isdir(home / PROFILES):
            found.append(home)
        found.append(home / PROFILES)
        for one in (home, *(home / PROFILES / name for name in _profiles(home))):
            sessions = one / "webui" / "sessions"
            if sessions not in known and not os.path.isdir(sessions):
                found += [one, one / "webui"]
    return list(dict.fromkeys(found))


def _profiles(home: Path) -> list[str]:
    """Return the profiles, those that are links to others last; what begins with a dot is none."""
    try:
        names = [name for name in os.listdir(home / PROFILES) if not name.startswith(".")]
    except OSError:
        return []
    return sorted(names, key=lambda name: (os.path.islink(home / PROFILES / name), name))


def _may_be_there(sessions: Path) -> bool:
    """Return whether there is a directory, or this user may not see whether there is one."""
    try:
        return stat.S_ISDIR(os.stat(sessions).st_mode)
    except PermissionError:
        return True
    except OSError:
        return False


def default_store(environment: Mapping[str, str]) -> tuple[Path, str]:
    """Return the store's directory and its origin: systemd's state directory, else the XDG one (basedir-spec 0.8)."""
    if directories := environment.get("STATE_DIRECTORY"):  # systemd.exec(5): several are separated by colons
        return Path(directories.split(":")[0]), "environment STATE_DIRECTORY"
    if base := absolute_variable(environment, "XDG_STATE_HOME"):
        return base / "hermesguard", "environment XDG_STATE_HOME"
    home = home_directory(environment)
    if home is None:
        raise GuardError(
            "The store's directory is not known: this user has no home directory",
            "Name it with --store DIR or HERMESGUARD_STORE",
            ExitCode.CONFIG,
        )
    return home / ".local" / "state" / "hermesguard", "default"


def is_inside(inner: Path, outer: Path) -> bool:
    """Return whether `inner` is `outer` or below it, symbolic links and bind mounts included; neither need exist."""
    return Whereabouts(inner).is_inside(Whereabouts(outer))


class Whereabouts:
    """Where a directory really is, links and bind mounts included; asked once, to be compared with many. It need not exist."""

    def __init__(self, directory: Path) -> None:
        real = os.path.realpath(directory)
        self._itself = _marks(real)
        self._around = self._itself.union(*(_marks(str(ancestor)) for ancestor in Path(real).parents))

    def is_inside(self, outer: "Whereabouts") -> bool:
        """Return whether this directory is `outer`, or below it."""
        return not self._around.isdisjoint(outer._itself)


def _marks(real: str) -> set[str | tuple[int, int]]:
    """Return what tells a directory from others: its name and, for a bind mount has another name, its device and inode."""
    try:
        found = os.stat(real)
    except OSError:
        return {real}
    return {real, (found.st_dev, found.st_ino)}


def home_directory(environment: Mapping[str, str]) -> Path | None:
    """Return the user's home directory: $HOME, else the one of the user database, else None."""
    if home := absolute_variable(environment, "HOME"):
        return home
    import pwd  # a service without HOME

    try:
        return Path(pwd.getpwuid(os.getuid()).pw_dir)
    except KeyError:
        return None


def expanded(text: str, environment: Mapping[str, str]) -> Path:
    """Return `text` as a path, a leading ~/ being the user's home directory."""
    home = home_directory(environment) if text == "~" or text.startswith("~/") else None
    return home / text[2:] if home else Path(text)


def absolute_variable(environment: Mapping[str, str], name: str) -> Path | None:
    """Return the variable as a path; relative ones are ignored, as the XDG basedir-spec asks."""
    path = Path(environment.get(name) or ".")
    return path if path.is_absolute() else None
