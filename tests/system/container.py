"""The sidecar: what the Dockerfile makes, run as compose.yaml says, guards what another container writes.

Here no engine runs containers, systemd-nspawn does. HERMESGUARD_IMAGE is a directory with the image's files in tree/ and
what it says of itself in image.json.
"""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hermesguard.events.catalog import BY_NAME
from hermesguard.store.store import Store
from machine import show, until

IMAGE = Path(os.environ["HERMESGUARD_IMAGE"])
TREE = IMAGE / "tree"
SAYS = json.loads((IMAGE / "image.json").read_text("utf-8"))
CONFIG = SAYS["OCIv1"]["config"]
UID, GID = map(int, CONFIG["User"].split(":"))


class Container:
    """One process in a container as compose.yaml describes it: read-only, no network, no capabilities, no new privileges."""

    def __init__(
        self, name: str, command: list[str], binds: Mapping[Path, str], environment: Mapping[str, str]
    ) -> None:
        self.environment = dict(variable.split("=", 1) for variable in CONFIG["Env"]) | dict(environment)
        become = ["setpriv", f"--reuid={UID}", f"--regid={GID}", "--clear-groups", "--no-new-privs"]
        self.process = subprocess.Popen(
            [
                "systemd-nspawn",
                "--quiet",
                f"--directory={TREE}",
                f"--machine={name}",
                "--read-only",
                "--as-pid2",
                "--register=no",
                "--keep-unit",
                "--link-journal=no",
                "--console=pipe",
                "--private-network",
                "--resolv-conf=off",
                "--timezone=off",
                *(f"--setenv={name}={value}" for name, value in self.environment.items()),
                *(f"--bind={place}:{inside}" for place, inside in binds.items()),
                *(*become, "--inh-caps=-all", "--bounding-set=-all", "--", *command),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.said: list[str] = []
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        assert self.process.stderr
        for line in self.process.stderr:
            self.said.append(line.rstrip("\n"))

    def ask(self, order: str) -> str:
        """Send a line to the standard input and return the line that is the answer."""
        assert self.process.stdin
        assert self.process.stdout
        print(order, file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline().strip()
        assert answer, self.said
        return answer

    def reported(self, event: str) -> list[dict[str, Any]]:
        """The events of that name that came as JSON lines."""
        found = [json.loads(line) for line in list(self.said) if line.startswith("{")]
        return [record for record in found if record["event"] == event]

    @property
    def pid(self) -> int:
        """The guard's process as this side sees it; 0 when it is not there yet."""
        waiting = [self.process.pid]
        while waiting:
            pid = waiting.pop()
            try:
                waiting += map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
                if Path(f"/proc/{pid}/cmdline").read_bytes().endswith(b"/hermesguard\0run\0"):
                    return pid
            except OSError:
                continue
        return 0

    def enter(self, *command: str, seconds: float = 20.0) -> int:
        """Run a command beside the process, as `docker exec` does; return its exit code, 124 when it took too long."""
        inside = [
            "nsenter",
            f"--target={self.pid}",
            "--mount",
            "--net",
            "--ipc",
            "--uts",
            "--pid",
            "--root",
            "--wd",
        ]
        become = ["setpriv", f"--reuid={UID}", f"--regid={GID}", "--clear-groups", "--no-new-privs"]
        done = subprocess.run(
            [*inside, *become, "timeout", str(seconds), *command],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        show((done.stdout + done.stderr).partition("\n")[0])
        return done.returncode

    def is_healthy(self, seconds: float = 20.0) -> bool:
        """Return what the image's own health check says; an engine too takes no answer in time for a bad one."""
        kind, *command = SAYS["Docker"]["config"]["Healthcheck"]["Test"]
        assert kind == "CMD"
        return self.enter(*command, seconds=seconds) == 0

    def end(self) -> int:
        """End it as an engine does, with the image's signal; return its exit code."""
        os.kill(self.pid, signal.Signals[CONFIG["StopSignal"]])
        code = self.process.wait(20)
        self._listener.join(20)
        return code


@contextmanager
def _pod(
    more: Mapping[Path, str] | None = None, environment: Mapping[str, str] | None = None
) -> Iterator[tuple[Container, Path, Path]]:
    """The guard on a new store and a new /webui, which is empty; with both places."""
    place = Path(tempfile.mkdtemp(prefix="pod.", dir=IMAGE))
    webui, store = place / "webui", place / "store"
    webui.mkdir()
    os.chown(webui, UID, GID)
    # A new volume takes owner and mode from the image.
    store.mkdir()
    made = (TREE / "store").stat()
    os.chown(store, made.st_uid, made.st_gid)
    store.chmod(made.st_mode & 0o7777)
    binds = {webui: "/webui", store: "/store"} | dict(more or {})
    guard = Container("guard", [*CONFIG["Entrypoint"], *CONFIG["Cmd"]], binds, environment or {})
    try:
        yield guard, webui, store
    finally:
        guard.process.kill()
        guard.process.wait()
        shutil.rmtree(place)


@contextmanager
def _app(webui: Path) -> Iterator[Container]:
    """The application beside it; it has saved a session of 1000 messages."""
    scenarios = Path(__file__).parent
    command = ["/opt/hermesguard/bin/python", "/run/scenarios/container_app.py"]
    app = Container("app", command, {webui: "/webui", scenarios: "/run/scenarios"}, {})
    try:
        yield app
    finally:
        app.process.kill()
        app.process.wait()


def _keeps(store: Path, path: Path) -> bool:
    try:
        return Store(store).read_shadow(path.stem) == path.read_bytes()
    except OSError:
        return False


def _wiped_and_restored(app: Container, webui: Path, store: Path) -> tuple[str, float]:
    """Let the application lose a session; return its id and how many seconds later it was whole again."""
    name = app.ask("send")
    path = webui / "sessions" / f"{name}.json"
    until(lambda: _keeps(store, path), what="a copy")
    app.ask("wipe")
    began = time.monotonic()
    until(lambda: len(json.loads(path.read_bytes())["messages"]) == 1001, pause_seconds=0.001)
    took = time.monotonic() - began
    found = path.stat()
    assert (found.st_uid, found.st_gid) == (UID, GID)
    return name, took


def a_sidecar_guards_what_another_container_writes() -> None:
    """The guard waits for a directory that comes later; what the other container wipes is restored; JSON lines tell of it."""
    with _pod() as (guard, webui, store):
        began = time.monotonic()
        show(until(lambda: guard.reported("waiting"))[0]["message"])
        show(f"it answers {time.monotonic() - began:.1f} s after its start")
        assert not guard.is_healthy(), "not well as long as there is nothing to guard"
        with _app(webui) as app:
            until(lambda: guard.reported("ready"))
            name, took = _wiped_and_restored(app, webui, store)
            show(f"wiped by one container, restored by the other after {took * 1000:.1f} ms")
            record = until(lambda: guard.reported("restored"))[0]
            show(
                json.dumps(
                    {key: record[key] for key in ("event", "level", "session", "messages_lost", "undo")}
                )
            )
            assert record["session"] == name
            assert record["message_id"] == BY_NAME["restored"].message_id
        assert guard.is_healthy()
        assert guard.end() == 0
        assert guard.reported("stopped")
        others = [line for line in guard.said if not line.startswith("{")]
        assert not others, others


def it_may_do_nothing_else() -> None:
    """No capabilities, no new privileges, no network, a read-only root; a guard that hangs is not healthy."""
    with _pod() as (guard, webui, _), _app(webui):
        until(lambda: guard.reported("ready"))
        status = dict(
            line.split(":\t", 1)
            for line in Path(f"/proc/{guard.pid}/status").read_text().splitlines()
            if ":\t" in line
        )
        assert status["Uid"].split() == [str(UID)] * 4
        for kind in ("Inh", "Prm", "Eff", "Bnd", "Amb"):
            assert int(status[f"Cap{kind}"], 16) == 0, kind
        assert status["NoNewPrivs"] == "1"
        devices = Path(f"/proc/{guard.pid}/net/dev").read_text().splitlines()[2:]
        assert [line.split(":")[0].strip() for line in devices] == ["lo"]
        assert guard.enter("/bin/touch", "/opt/new") != 0
        assert guard.enter("/bin/touch", "/webui/new") == 0
        assert guard.is_healthy()
        os.kill(guard.pid, signal.SIGSTOP)
        assert not guard.is_healthy(seconds=2)
        os.kill(guard.pid, signal.SIGCONT)
        assert guard.end() == 0


def the_hosts_journal_hears_of_it() -> None:
    """With the socket of the host's journal the entries go there, and nothing to the standard error."""
    with tempfile.TemporaryDirectory() as place, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journald:
        address = Path(place, "socket")
        journald.bind(str(address))
        address.chmod(0o666)
        journald.settimeout(30)
        with _pod({address: "/run/systemd/journal/socket"}) as (guard, webui, store), _app(webui) as app:
            name, _ = _wiped_and_restored(app, webui, store)
            expected = f"MESSAGE_ID={BY_NAME['restored'].message_id}\n".encode()
            while expected not in (entry := journald.recv(65536)):
                pass
            show(entry.split(b"\n")[0].decode())
            assert f"HERMESGUARD_SESSION={name}\n".encode() in entry
            assert guard.end() == 0
            assert not guard.said


def a_volume_that_belongs_to_root() -> None:
    """As in kubernetes.yaml: the volume is root's, the store a directory in it; the probe is answered."""
    text = (Path(__file__).parents[2] / "packaging" / "container" / "kubernetes.yaml").read_text("utf-8")
    (probe,) = set(re.findall(r'command: \[/bin/sh, -c, "(.+)"\]', text))
    with tempfile.TemporaryDirectory(dir=IMAGE) as place:
        volume = Path(place, "volume")
        volume.mkdir()
        os.chown(volume, 0, GID)
        volume.chmod(0o2770)
        with _pod({volume: "/run/volume"}, {"HERMESGUARD_STORE": "/run/volume/hermesguard"}) as (
            guard,
            webui,
            _,
        ):
            until(lambda: guard.reported("waiting"))
            assert guard.enter("/bin/sh", "-c", probe.replace('\\"', '"')) == 0, "it answers, though it waits"
            with _app(webui) as app:
                until(lambda: guard.reported("ready"))
                _wiped_and_restored(app, webui, volume / "hermesguard")
            assert (volume / "hermesguard").stat().st_mode & 0o077 == 0
            assert guard.end() == 0
