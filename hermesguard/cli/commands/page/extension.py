"""`extension`: puts the extension where hermes-webui finds it, takes it away again, says what is there."""

import argparse
import json
import os
import shutil
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from hermesguard import files
from hermesguard.cli.commands.page.serve import how_to_listen
from hermesguard.cli.output import terminal as screen
from hermesguard.cli.output.json import print_json
from hermesguard.config.settings import Settings
from hermesguard.errors import ExitCode, GuardError
from hermesguard.lookup.typed import as_typed
from hermesguard.page.access import EXTENSION, token_file

INSTALLED_FILE: Final = "extension-install-manifest.json"
"""hermes-webui's own list of the extensions that it loads (since v0.51.564), in its state directory."""
_LONGEST_LIST_BYTES: Final = 128 * 1024
_SUFFIXES: Final = frozenset({".js", ".css", ".json", ".md", ".png", ".svg"})
_SOURCES: Final = (
    Path(__file__).parents[4] / "packaging" / "webui-extension" / EXTENSION,
    *(
        Path(base) / "share" / "hermesguard" / "webui-extension" / EXTENSION
        for base in (sys.prefix, "/usr/local", "/usr")
    ),
)
_CONSENT: Final = (
    "One click is left, which only you can do: in hermes-webui, Settings, Extensions, approve the connection of hermesguard, "
    "then load the page again. hermes-webui must have a password for that (Settings, Password)."
)


def extension(arguments: argparse.Namespace, settings: Settings) -> int:
    """Install, remove, or tell."""
    state = token_file(settings.sessions, {}).parent.parent
    if os.environ.get("HERMES_WEBUI_STATE_DIR") or os.environ.get("HERMES_HOME"):
        state = token_file(settings.sessions, os.environ).parent.parent
    root = Path(arguments.directory).absolute() if arguments.directory else _root(state)
    target = root / EXTENSION
    if arguments.action == "status":
        return _tell(arguments, settings, state, target)
    if not state.is_dir():
        raise GuardError(
            f"There is no state directory of hermes-webui at {state}",
            "Start hermes-webui once, or name the sessions directory with --sessions DIR",
            ExitCode.NOT_FOUND,
        )
    owner = state.stat()
    if owner.st_uid != os.geteuid() and os.geteuid() != 0:
        raise GuardError(
            f"{state} belongs to another user (uid {owner.st_uid})",
            "Type it as that user, or with sudo -u",
            ExitCode.REFUSED,
        )
    try:
        if arguments.action == "install":
            _install(settings, state, target, owner)
            done = f"The extension is in {target}, for the page at 127.0.0.1:{settings.page_port}."
            return _report(arguments, "install", target, [done, *_what_is_left(settings), _CONSENT])
        _remove(state, target, owner)
    except OSError as error:
        raise GuardError(
            f"{error.filename or target}: {error.strerror}", "Give the right to write there"
        ) from None
    return _report(
        arguments, "remove", target, [f"The extension is no longer in {root}. Load hermes-webui again."]
    )


def _root(state: Path) -> Path:
    """Return where hermes-webui looks for extensions."""
    given = os.environ.get("HERMES_WEBUI_EXTENSION_DIR", "").strip()
    return Path(given).expanduser().absolute() if given else state / "extensions"


def source() -> Path:
    """Return the folder of the extension. Raises GuardError when the installation has none."""
    found = next((path for path in _SOURCES if (path / "manifest.json").is_file()), None)
    if found is None:
        raise GuardError("This installation has no extension", "Install hermesguard again, whole")
    return found


def _install(settings: Settings, state: Path, target: Path, owner: os.stat_result) -> None:
    folder = source()
    if target.is_symlink() or target.parent.is_symlink():
        raise GuardError(f"{target} is a symbolic link", "Remove it first", ExitCode.REFUSED)
    names = sorted(_names(folder))
    version = json.loads((folder / "extension.json").read_bytes())["version"]
    for name in names:
        data = (folder / name).read_bytes()
        if name in ("manifest.json", "extension.json"):
            data = _with_port(data, settings.page_port)
        _write(target / name, data, target.parent.parent, owner)
    for name in set(_names(target)) - set(names):  # of an earlier version
        files.remove(target / name)
    listed = _listed(state)
    listed["installed"][EXTENSION] = {
        "version": version,
        "files": names,
        "installed_at": datetime.now(UTC).isoformat(),
    }
    _write_list(state, listed, owner)


def _names(folder: Path) -> Iterator[str]:
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink() and path.suffix in _SUFFIXES:
            yield path.relative_to(folder).as_posix()


def _with_port(data: bytes, port: int) -> bytes:
    """Return a manifest whose sidecar is at that port."""

    def changed(value: Any) -> Any:
        if isinstance(value, dict):
            if isinstance(value.get("sidecar"), dict):
                value["sidecar"]["origin"] = f"http://127.0.0.1:{port}"
            for entry in value.get("extensions", ()):
                changed(entry)
        return value

    return json.dumps(changed(json.loads(data)), ensure_ascii=False, indent=2).encode() + b"\n"


def _write(path: Path, data: bytes, base: Path, owner: os.stat_result) -> None:
    """Write one file for hermes-webui to read, and the directories above it that are not there yet."""
    missing = [
        it for it in (path.parent, *path.parent.parents) if not it.exists() and it.is_relative_to(base)
    ]
    for directory in reversed(missing):
        directory.mkdir(mode=0o755)
        _give(directory, owner)
    files.write_durably(path, data)
    _give(path, owner)


def _give(path: Path, owner: os.stat_result) -> None:
    if owner.st_uid != os.geteuid():
        os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)


def _listed(state: Path) -> dict[str, Any]:
    """Return hermes-webui's list of installed extensions. Raises GuardError when it is none that we understand."""
    try:
        data = files.read(state / INSTALLED_FILE, _LONGEST_LIST_BYTES)[0]
        value = json.loads(data)
        if isinstance(value, dict) and isinstance(value.get("installed"), dict):
            return value
    except FileNotFoundError:
        return {"version": 1, "installed": {}}
    except (ValueError, RecursionError):
        pass
    raise GuardError(
        f"{state / INSTALLED_FILE} is not as hermes-webui writes it",
        "Look at it, and remove it if it is broken: hermes-webui then forgets which extensions are installed",
        ExitCode.REFUSED,
    )


def _write_list(state: Path, listed: dict[str, Any], owner: os.stat_result) -> None:
    data = json.dumps(listed, ensure_ascii=False, indent=2).encode()
    files.write_durably(state / INSTALLED_FILE, data)
    _give(state / INSTALLED_FILE, owner)


def _remove(state: Path, target: Path, owner: os.stat_result) -> None:
    listed = _listed(state)
    if listed["installed"].pop(EXTENSION, None) is not None:
        _write_list(state, listed, owner)
    if target.is_dir() and not target.is_symlink():
        shutil.rmtree(target)


def _tell(arguments: argparse.Namespace, settings: Settings, state: Path, target: Path) -> int:
    try:
        version = json.loads((target / "extension.json").read_bytes())["version"]
    except (OSError, ValueError, KeyError, TypeError):
        version = ""
    try:
        is_listed = EXTENSION in _listed(state)["installed"]
    except (GuardError, OSError):
        is_listed = False
    has_token = token_file(settings.sessions, os.environ).is_file()
    if arguments.json:
        known = {"version": version, "is_listed": is_listed, "has_token": has_token, "directory": str(target)}
        print_json("extension", {"action": "status", **known})
        return ExitCode.OK if version and is_listed else ExitCode.PROBLEM
    here = screen.of()
    if not version or not is_listed:
        here.write(
            here.safe(
                as_typed(
                    f"The extension is not installed in {target.parent}. To install it: hermesguard extension install"
                )
            )
        )
        return ExitCode.PROBLEM
    here.write(here.safe(f"The extension {version} is in {target}."))
    for line in (*_what_is_left(settings), "Its connection is approved." if has_token else _CONSENT):
        here.write(here.safe(as_typed(line)))
    return ExitCode.OK


def _what_is_left(settings: Settings) -> list[str]:
    """Return what has to be started for the extension to get an answer."""
    return [line] if (line := how_to_listen(settings)) else []


def _report(arguments: argparse.Namespace, action: str, target: Path, lines: list[str]) -> int:
    if arguments.json:
        print_json("extension", {"action": action, "directory": str(target)})
    else:
        here = screen.of()
        for line in lines:
            here.write(here.safe(as_typed(line)))
    return ExitCode.OK
