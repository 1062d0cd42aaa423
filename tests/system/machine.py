"""What a scenario does on the booted system: users who chat, units, and what the journal says."""

import http.server
import itertools
import json
import os
import pwd
import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

from hermesguard.demo import losses
from hermesguard.demo.app import App
from hermesguard.demo.chat import Chat
from hermesguard.demo.eras import Era
from hermesguard.events.catalog import BY_NAME
from hermesguard.store.store import Store

T = TypeVar("T")
Entry = dict[str, Any]

_SEEDS = itertools.count()
EXAMPLES = Path("/usr/share/doc/hermesguard/examples")


def until(
    condition: Callable[[], T], seconds: float = 30.0, what: str = "", pause_seconds: float = 0.02
) -> T:
    """Return the first truthy result of `condition`; AssertionError when none came within `seconds`."""
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {what or condition}"
        time.sleep(pause_seconds)
    return result


def run(*command: str | Path, check: bool = True, **options: Any) -> str:
    """Run a command to its end and return what it printed, both streams; AssertionError with that when it failed."""
    done = subprocess.run(
        [str(word) for word in command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        **options,
    )
    assert not check or done.returncode == 0, f"{command} ended with {done.returncode}: {done.stdout}"
    return done.stdout


def exit_code(*command: str | Path) -> int:
    """Run a command to its end and return its exit code."""
    return subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, timeout=120).returncode


def show(text: str) -> None:
    """Print what a scenario has seen, below its name."""
    for line in text.rstrip().splitlines():
        print(f"    {line}", flush=True)


class User:
    """Someone with a home and a hermes-webui in it."""

    def __init__(self, name: str) -> None:
        self.name = name
        if not Path("/home", name).exists():
            run("useradd", "--create-home", name)
        entry = pwd.getpwnam(name)
        self.uid, self.gid, self.home = entry.pw_uid, entry.pw_gid, Path(entry.pw_dir)
        self.webui = self.home / ".hermes" / "webui"
        self.sessions = self.webui / "sessions"
        self.store = Path(f"/var/lib/hermesguard-{name}")

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Let everything in the context be done by this user."""
        os.setegid(self.gid)
        os.seteuid(self.uid)
        try:
            yield
        finally:
            os.seteuid(0)
            os.setegid(0)

    def app(self, era: Era = Era.OLD) -> App:
        """Return a hermes-webui of this user; the sessions directory is there then."""
        with self.at_work():
            return App(self.sessions, era, seed=next(_SEEDS))

    def chats(self, count: int = 1, turns: int = 5) -> list[Chat]:
        """Return new sessions, saved once."""
        app = self.app()
        with self.at_work():
            return [app.create(turns=turns) for _ in range(count)]

    def keeps(self, chat: Chat) -> bool:
        """Return whether the newest good copy of a session in the store is its file, byte for byte."""
        try:
            return Store(self.store).read_shadow(chat.session_id) == chat.path.read_bytes()
        except OSError:
            return False

    def wipe(self, chat: Chat) -> None:
        """Send a prompt, and when the guard has seen that, let #1558 destroy the session."""
        with self.at_work():
            chat.send("What was that about?")
        until(lambda: self.keeps(chat), what=f"a copy of {chat.session_id}")
        with self.at_work():
            losses.wipe(chat)

    def run(self, *command: str | Path, check: bool = True) -> str:
        """Run a command as this user."""
        environment = {
            "HOME": str(self.home),
            "PATH": os.environ["PATH"],
            "XDG_RUNTIME_DIR": f"/run/user/{self.uid}",
        }
        return run(
            *command,
            check=check,
            user=self.uid,
            group=self.gid,
            extra_groups=[],
            env=environment,
            cwd=self.home,
        )


def messages(chat: Chat) -> int:
    """Return how many messages the file of a session holds; -1 when it is none at this instant."""
    try:
        return len(json.loads(chat.path.read_text("utf-8"))["messages"])
    except (FileNotFoundError, ValueError):
        return -1


def until_whole(chat: Chat, seconds: float = 30.0) -> float:
    """Wait until the file holds what the chat in memory holds and more; return how many seconds that took."""
    began = time.monotonic()
    until(lambda: messages(chat) >= len(chat.messages), seconds, f"{chat.path} whole", pause_seconds=0.001)
    return time.monotonic() - began


class Unit:
    """One unit of the system's manager."""

    def __init__(self, name: str) -> None:
        self.name = name

    def value(self, name: str) -> str:
        """Return a property of the unit."""
        return run("systemctl", "show", "--property", name, "--value", self.name).strip()

    @property
    def pid(self) -> int:
        """The main process."""
        return int(self.value("MainPID"))

    def start(self) -> None:
        """Start it and return when it says that it is ready."""
        run("systemctl", "start", self.name)

    def stop(self) -> None:
        """Stop it."""
        run("systemctl", "stop", self.name)

    def entries(self, event: str = "", **fields: str) -> list[Entry]:
        """Return the unit's entries in the journal, of one event if one is named."""
        matches = [f"_SYSTEMD_UNIT={self.name}"]
        if event:
            matches.append(f"MESSAGE_ID={BY_NAME[event].message_id}")
        matches += [f"HERMESGUARD_{name.upper()}={value}" for name, value in fields.items()]
        return journal(*matches)

    def until_reported(self, event: str, seconds: float = 30.0, after: int = 0, **fields: str) -> Entry:
        """Wait until more than `after` entries of an event are in the journal, and return the newest."""
        return until(lambda: self.entries(event, **fields)[after:], seconds, f"{event} of {self.name}")[-1]

    def reload(self) -> Entry:
        """Have the configuration read again and return what is reported of it: the signal itself is waited for by nobody."""
        known = len(self.entries("reloaded"))
        run("systemctl", "reload", self.name)
        return self.until_reported("reloaded", after=known)

    def until_said(self, words: str) -> str:
        """Wait until a message of it in the journal has these words, and return the newest: it comes later than a unit's end."""
        return until(
            lambda: [text for entry in self.entries() if words in (text := entry["MESSAGE"])], what=words
        )[-1]

    def drop_in(self, *lines: str) -> None:
        """Let these lines of [Service] hold from now on, also for a template; without any, none hold any more."""
        path = Path("/run/systemd/system", f"{self.name}.d", "test.conf")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(["[Service]", *lines, ""]))
        run("systemctl", "daemon-reload")

    def status(self) -> str:
        """Return the words in `systemctl status`."""
        return self.value("StatusText")


def guard_of(user: User) -> Unit:
    """Return the packaged template unit for a user."""
    return Unit(f"hermesguard@{user.name}.service")


class Receiver:
    """Somebody on the loopback address who hears what is posted (`heard`), and is visited (`visited`), until it is closed."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.visited: list[str] = []
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                receiver.heard.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
                self.send_response(200)
                self.end_headers()

            def do_GET(self) -> None:
                receiver.visited.append(self.path)
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.place = f"127.0.0.1:{self._server.server_port}"

    @property
    def messages(self) -> list[str]:
        """What the notifier said, as Apprise posts it to a json:// address."""
        return [json.loads(text)["message"] for text in self.heard]

    def close(self) -> None:
        """Nobody listens there any more."""
        self._server.shutdown()
        self._server.server_close()


def journal(*matches: str) -> list[Entry]:
    """Return the entries of the journal that match (sd_journal_add_match(3)), oldest first, each field as text."""
    from systemd.journal import Reader

    with closing(Reader()) as reader:
        for match in matches:
            reader.add_match(match)
        return [{name: _text(value) for name, value in entry.items()} for entry in reader]


def _text(value: object) -> str:
    """Return what the journal holds; `Reader` makes numbers, times and ids of some fields."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    return value.hex if isinstance(value, UUID) else str(value)


def exposure(*options: str, unit: str, prefix: Iterable[str] = ()) -> float:
    """Return the exposure level that systemd-analyze finds for a unit; `prefix` is what runs it as someone else."""
    verdict = run(*prefix, "systemd-analyze", *options, "security", "--no-pager", unit)
    found = re.search(r"Overall exposure level for .*: ([\d.]+)", verdict)
    assert found, verdict
    return float(found[1])
