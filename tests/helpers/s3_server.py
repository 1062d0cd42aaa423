"""Real S3 servers on the loopback address, and a proxy in front of them that misbehaves."""

import contextlib
import os
import random
import shutil
import socket
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from hermesguard.offsite.access import Credentials
from tests.helpers.waiting import until

KEY = Credentials("HERMESGUARDTESTKEY", "hermesguard-test-secret", None, "the test")
BUCKET = "copies"


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


class S3Server:
    """`rclone serve s3` over a directory, or moto's server; may be killed and started again on the same port."""

    def __init__(self, kind: str, root: Path) -> None:
        self.kind, self.root, self.port = kind, root, free_port()
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None
        (root / BUCKET).mkdir(parents=True, exist_ok=True)
        self.start()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        binaries = Path(sys.executable).parent
        if self.kind == "rclone":
            key = f"{KEY.access_key_id},{KEY.secret_access_key}"
            address = f"127.0.0.1:{self.port}"
            command = [
                str(binaries / "rclone"),
                "serve",
                "s3",
                "--addr",
                address,
                "--auth-key",
                key,
                str(self.root),
            ]
        else:
            command = [str(binaries / "moto_server"), "-H", "127.0.0.1", "-p", str(self.port)]
        environment = os.environ | {"RCLONE_CONFIG": str(self.root / "none"), "HOME": str(self.root)}
        self.process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment
        )
        until(self._answers)
        if self.kind == "moto":
            import urllib.request

            urllib.request.urlopen(
                urllib.request.Request(f"{self.endpoint}/{BUCKET}", method="PUT"), timeout=10
            ).close()

    def _answers(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
            return True
        return False

    def kill(self) -> None:
        """End it as a power cut would."""
        if self.process:
            self.process.kill()
            self.process.wait()


@contextlib.contextmanager
def s3_server(kind: str, root: Path) -> Iterator[S3Server]:
    """A server while the block runs."""
    server = S3Server(kind, root)
    try:
        yield server
    finally:
        server.kill()
        shutil.rmtree(root, ignore_errors=True)


REFUSALS = {
    "error": b"HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    "full": b"HTTP/1.1 507 Insufficient Storage\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    "refused": b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    "garbage": b"\x00\xff\x13no server of any kind\r\n\r\n\r\n",
    "portal": b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 13\r\nConnection: close\r\n\r\n<h1>Login</h1",
}


class BadLine:
    """A proxy before a server. `mood` is how it behaves now: "good", a refusal, or where it cuts a connection.

    "silence" takes the request and never answers; "half" cuts after a part of the request; "deaf" passes the request on and
    cuts before the answer, so that what was done is not known.
    """

    def __init__(self, server: S3Server, chooser: random.Random | None = None) -> None:
        self.mood = "good"
        self.connections = 0
        line = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                line.connections += 1
                with contextlib.suppress(OSError):
                    line.talk(self.request, chooser.choice(MOODS) if chooser else line.mood)

        class Proxy(socketserver.ThreadingTCPServer):
            allow_reuse_address, daemon_threads, block_on_close = True, True, False

        self._server = server
        self._proxy = Proxy(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self._proxy.server_address[1]}"
        self._closing = threading.Event()
        threading.Thread(
            target=self._proxy.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        ).start()

    def talk(self, client: socket.socket, mood: str) -> None:
        """Handle one connection in a mood."""
        if mood == "silence":
            client.recv(65536)
            self._closing.wait(20)
            return
        if mood in REFUSALS:
            client.settimeout(0.2)
            with contextlib.suppress(OSError):
                while client.recv(65536):
                    pass
            client.sendall(REFUSALS[mood])
            return
        with socket.create_connection(("127.0.0.1", self._server.port), timeout=10) as behind:
            back = threading.Thread(target=self._pump, args=(behind, client, mood == "deaf"), daemon=True)
            back.start()
            with contextlib.suppress(OSError):
                while data := client.recv(4096 if mood == "half" else 65536):
                    if mood == "half":  # never all of it: to that there may be an answer before it is cut
                        behind.sendall(data[: len(data) // 2])
                        return
                    behind.sendall(data)
            back.join(timeout=10)

    def _pump(self, behind: socket.socket, client: socket.socket, is_deaf: bool) -> None:
        with contextlib.suppress(OSError):
            while data := behind.recv(65536):
                if is_deaf:
                    client.shutdown(socket.SHUT_RDWR)
                    return
                client.sendall(data)
            client.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Stop listening."""
        self._closing.set()
        self._proxy.shutdown()
        self._proxy.server_close()


MOODS = ("good", "good", "good", "error", "full", "refused", "garbage", "portal", "half", "deaf")
