"""`serve` and `open`: the page's process, and the link that leads to its page."""

import argparse
import contextlib
import json
import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import hermesguard
from hermesguard import files
from hermesguard.cli.output import terminal as screen
from hermesguard.cli.output.json import print_json
from hermesguard.config.paths import absolute_variable
from hermesguard.config.settings import Settings
from hermesguard.errors import ExitCode, GuardError
from hermesguard.lookup.directories.together import library_of
from hermesguard.lookup.guards import SERVICE_STATES
from hermesguard.lookup.typed import owner_of
from hermesguard.page import access
from hermesguard.store.place import top_of, user_name

_HOST: Final = "127.0.0.1"
_START_SECONDS: Final = 15.0
_ANSWER_SECONDS: Final = 5.0
_REDIRECT: Final = (
    '<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0;url={link}">'
    "<title>hermesguard</title>\n"
)


def serve(arguments: argparse.Namespace, settings: Settings) -> int:
    """Serve the page until nobody asks any more."""
    _require_libraries()
    from hermesguard.page.server import serve as answer

    def ready(address: str) -> None:
        if sys.stdout.isatty():
            here = screen.of()
            here.write(here.safe(f"The page is at {address}; to get into it: hermesguard open"))

    return answer(settings, access.token_file(settings.sessions, os.environ), ready)


def open_page(arguments: argparse.Namespace, settings: Settings) -> int:
    """Print a link to the page that is good once, and open it where there is a browser."""
    _require_libraries()
    library_of(settings)  # there is a store, and this user may read it
    try:
        key = access.ensure_key(settings.store, is_new=arguments.new_key)
    except OSError as error:
        raise GuardError(
            f"The key of the page cannot be written into {settings.store}: {error.strerror}",
            "Type it as the user of the store",
        ) from None
    port = settings.page_port
    if not _is_ours(key, port):
        _start(settings)
        _wait(key, port)
    link = f"http://{_HOST}:{port}/open?token={access.new_link_token(key)}"
    if arguments.json:
        print_json("link", {"link": link, "seconds": access.LINK_SECONDS})
        return ExitCode.OK
    here = screen.of()
    here.write(here.safe(link))
    print("This link is good once, for two minutes.", file=sys.stderr)
    if not arguments.no_browser and _has_screen():
        _show(link)
    return ExitCode.OK


def _require_libraries() -> None:
    missing = [name for name in ("bottle", "waitress") if find_spec(name) is None]
    if missing:
        raise GuardError(
            f"The page needs {' and '.join(missing)}",
            "In Debian: apt install python3-bottle python3-waitress; with pipx: pipx inject hermesguard bottle waitress; "
            "in a clone: script/setup",
        )


def _is_ours(key: bytes, port: int) -> bool:
    """Return whether the page of this store answers at the port. Raises GuardError when something else does."""
    nonce = secrets.token_hex(16)
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
            f"http://{_HOST}:{port}/open?check={nonce}", timeout=_ANSWER_SECONDS
        ) as response:
            found = json.loads(response.read(4096))
        if secrets.compare_digest(
            str(found["proof"]).encode(), access.proof_of(key, nonce, str(port)).encode()
        ):
            return True
    except urllib.error.HTTPError:
        pass
    except (ConnectionError, urllib.error.URLError):
        return False
    except (OSError, ValueError, KeyError, TypeError):
        pass
    raise GuardError(
        f"Port {port} of {_HOST} is taken by something else, perhaps the page of another user",
        "Choose another port: page_port in the configuration, ListenStream= of the socket unit",
    )


def _start(settings: Settings) -> None:
    """Start a page of our own where systemd has no socket for it. Raises GuardError when it would run as the wrong user."""
    owner = owner_of(top_of(settings.store))
    if owner is not None and owner != os.geteuid():
        unit = socket_unit(settings.store, owner)
        raise GuardError(
            f"The page of {user_name(owner)} does not run", f"Start its socket: systemctl enable --now {unit}"
        )
    program = "import sys; sys.path.insert(0, sys.argv.pop(1)); from hermesguard.cli.main import main; raise SystemExit(main())"
    words = [sys.executable, "-c", program, str(Path(hermesguard.__file__).parents[1]), "serve"]
    words += ["--store", str(top_of(settings.store))]
    if settings.profile:
        words += ["--profile", settings.profile]
    elif len(settings.directories) == 1:
        words += ["--sessions", str(settings.sessions)]
    words += ["--page-port", str(settings.page_port), "--page-idle", f"{settings.page_idle_seconds or 0}s"]
    subprocess.Popen(
        words if settings.page_idle_seconds else [*words[:-1], "0"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        cwd="/",
    )


def socket_unit(store: Path, owner: int) -> str:
    """Return the unit that listens for the page of a store: of a user's service it is named after the user."""
    is_of_template = store.parent == SERVICE_STATES and "-" in store.name
    return f"hermesguard-page@{user_name(owner)}.socket" if is_of_template else "hermesguard-page.socket"


def how_to_listen(settings: Settings) -> str:
    """Return a sentence about what starts the page for the extension; empty where something listens already."""
    with contextlib.suppress(OSError), socket.create_connection((_HOST, settings.page_port), _ANSWER_SECONDS):
        return ""
    store = top_of(settings.store)
    said = f"Nothing listens at {_HOST}:{settings.page_port} yet, and the extension asks there. "
    if store.parent == SERVICE_STATES and (owner := owner_of(store)) is not None:
        return f"{said}Type: sudo systemctl enable --now {socket_unit(store, owner)}"
    return f"{said}Type: systemctl --user enable --now hermesguard-page.socket; without systemd: hermesguard serve --page-idle 0"


def _wait(key: bytes, port: int) -> None:
    until = time.monotonic() + _START_SECONDS
    while not _is_ours(key, port):
        if time.monotonic() > until:
            raise GuardError(
                f"The page does not answer at {_HOST}:{port}", "See what it says: hermesguard serve"
            )
        time.sleep(0.05)


def _has_screen() -> bool:
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _show(link: str) -> None:
    """Open the link in the browser, by a file of mode 0600: the arguments of a process can be read by everybody."""
    directory = absolute_variable(os.environ, "XDG_RUNTIME_DIR")
    if directory is None or not directory.is_dir():
        return
    path = Path(directory) / "hermesguard-open.html"
    try:
        files.write_durably(path, _REDIRECT.format(link=link).encode())
    except OSError:
        return
    import webbrowser  # few need it

    webbrowser.open(path.as_uri())
