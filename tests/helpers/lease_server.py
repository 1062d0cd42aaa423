"""The API server of a cluster as far as one Lease goes: TLS, tokens, rights, and versions of the object that must be named.

It answers as kube-apiserver does to `GET` and `PUT` of a Lease. What it lacks is the rest of the cluster.
"""

import json
import os
import signal
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, NamedTuple

from tests.helpers.daemon_process import END_SECONDS, Daemon
from tests.helpers.quiet_server import QuietServer
from tests.helpers.waiting import until

NAMESPACE, NAME = "chat", "hermesguard"
PATH = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases/{NAME}"
# As in a pod, the account's files are where a pod has them; the journal's socket, which /run has too, is not in a pod.
_IN_A_POD = (
    "mount -t tmpfs tmpfs /run; mkdir -p /run/secrets/kubernetes.io; "
    'ln -s "$0" /run/secrets/kubernetes.io/serviceaccount; exec "$@"'
)


class Change(NamedTuple):
    """The Lease was changed: who holds it since then, by the clock that everybody here shares."""

    holder: str
    at: float


class LeaseServer:
    """Holds one Lease; `moods` says for each pod how it is answered.

    "good", "deaf" (it takes the connection, and says nothing), "trickle" (an answer that never ends), "broken" (500), "forbidden"
    (403), "portal" (a page of HTML), "lost" (it does what is asked, and the answer is lost).
    """

    def __init__(self, root: Path, certificates: Path) -> None:
        """With files in `root`, and those of `make_certificates`."""
        root.mkdir()
        self._root, self.certificates = root, certificates
        self.moods: dict[str, str] = {}
        self.changes: list[Change] = []
        self.asked: list[tuple[str, str, int]] = []
        """Who asked (the token), how, and what it was answered."""
        self.received = 0
        """How often anybody asked, answered or not."""
        self.lease: dict[str, Any] | None = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": NAME, "namespace": NAMESPACE, "resourceVersion": "1"},
        }
        self._guard = threading.Lock()
        self._closing = threading.Event()
        self._server: QuietServer | None = None
        self.port = 0
        self.start()

    # -- the pods

    def pod(self, name: str) -> "Account":
        """A pod with a token of its own."""
        return Account(self, self._root / name)

    def daemon(self, root: Path, pod: "str | Account", *flags: str, duration: str = "1h") -> "InPod":
        """`hermesguard run --lease` in a pod, or in one of that name."""
        account = self.pod(pod) if isinstance(pod, str) else pod
        return InPod(
            root,
            *("--lease", f"{NAMESPACE}/{NAME}", "--lease-duration", duration, *flags),
            prefix=account.prefix,
            environment=self.environment,
        )

    @property
    def environment(self) -> dict[str, str]:
        return {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(self.port)}

    # -- the Lease

    @property
    def holder(self) -> str:
        """Who holds the Lease now; empty: nobody."""
        with self._guard:
            return str((self.lease or {}).get("spec", {}).get("holderIdentity", ""))

    def touch(self) -> None:
        """Change the object as kubectl label does: whoever wrote it last has to look at it again."""
        with self._guard:
            assert self.lease
            metadata = self.lease["metadata"]
            version = int(metadata["resourceVersion"]) + 1
            self.lease = {
                **self.lease,
                "metadata": {**metadata, "labels": {"v": str(version)}, "resourceVersion": str(version)},
            }

    def _answer(self, method: str, body: bytes) -> tuple[int, dict[str, Any]]:
        with self._guard:
            if self.lease is None:
                return 404, _status(404, f'leases.coordination.k8s.io "{NAME}" not found')
            if method == "GET":
                return 200, self.lease
            asked = json.loads(body)
            version = self.lease["metadata"]["resourceVersion"]
            if asked["metadata"]["resourceVersion"] != version:
                return 409, _status(409, "the object has been modified")
            if asked["spec"]["leaseDurationSeconds"] < 1:
                return 422, _status(422, "must be greater than 0")
            asked["metadata"]["resourceVersion"] = str(int(version) + 1)
            self.lease = asked
            self.changes.append(Change(asked["spec"]["holderIdentity"], time.time()))
            return 200, asked

    # -- the server

    def start(self) -> None:
        """Listen; after `stop` on the same port."""
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                server._receive(self)

            do_PUT = do_GET

            def log_message(self, *_: object) -> None:
                pass

        self._closing.clear()
        self._server = QuietServer(("127.0.0.1", self.port), Handler)
        self.port = self._server.server_port
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificates / "server.crt", self.certificates / "server.key")
        self._server.socket = context.wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        """Listen no more: connections are refused."""
        self._closing.set()
        if self._server:
            self._server.end()
            self._server = None

    def _receive(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        token = (handler.headers.get("Authorization") or "").removeprefix("Bearer ")
        pod = token.partition(".")[0]
        mood = self.moods.get(pod, "good")
        self.received += 1
        handler.close_connection = True
        if mood == "deaf":
            self._closing.wait()
            return
        if mood == "trickle":
            handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
            while not self._closing.wait(0.05):
                handler.wfile.write(b"X-More: x\r\n")
            return
        if mood == "portal":
            self._send(handler, 200, b"<html>Log in</html>")
            return
        if handler.path != PATH:
            status, said = 404, _status(404, f"no {handler.path} here")
        elif token not in Account.valid:
            status, said = 401, _status(401, "Unauthorized")
        elif mood == "forbidden":
            status, said = 403, _status(403, f'leases.coordination.k8s.io "{NAME}" is forbidden')
        elif mood == "broken":
            status, said = 500, _status(500, "etcdserver: request timed out")
        else:
            status, said = self._answer(handler.command, body)
        self.asked.append((token, handler.command, status))
        if mood != "lost":
            self._send(handler, status, json.dumps(said).encode())

    def _send(self, handler: BaseHTTPRequestHandler, status: int, body: bytes) -> None:
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)


class InPod(Daemon):
    """What holds a Lease, and the guard that it starts: a group of processes, of which none outlives the first."""

    def ended(self) -> int:
        """As any daemon's; and its guard has ended too."""
        assert self.process
        group = self.process.pid
        self.process.wait(END_SECONDS)
        try:
            until(lambda: not _exists(group))
        except AssertionError:
            os.killpg(group, signal.SIGKILL)
            super().ended()
            raise AssertionError("its guard outlives it") from None
        return super().ended()


def _exists(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


class Account:
    """The files of a pod's service account. Any token that was written here is good until `revoke`."""

    valid: set[str] = set()  # noqa: RUF012 - of all servers: a token is good for one pod alone

    def __init__(self, server: LeaseServer, directory: Path) -> None:
        directory.mkdir(exist_ok=True)
        self.directory, self._count = directory, 0
        (directory / "namespace").write_text(NAMESPACE)
        (directory / "ca.crt").write_bytes((server.certificates / "ca.crt").read_bytes())
        self.token = ""
        self.rotate()

    def rotate(self) -> str:
        """Give it a new token, as a kubelet does each hour; return the new one. The old one stays good."""
        self._count += 1
        self.token = f"{self.directory.name}.{time.time_ns()}.{self._count}"
        self.valid.add(self.token)
        fresh = self.directory / "token.new"
        fresh.write_text(self.token + "\n")
        fresh.rename(self.directory / "token")
        return self.token

    @property
    def prefix(self) -> tuple[str, ...]:
        """What to put before a command so that it runs in this pod."""
        return (
            *("unshare", "--user", "--map-root-user", "--mount", "sh", "-ec"),
            *(_IN_A_POD, str(self.directory)),
        )


def make_certificates(directory: Path) -> Path:
    """Make an authority and a certificate by it, as poor in extensions as those of many clusters; return the directory."""

    def openssl(words: str, key: str = "") -> None:
        made = ["-newkey", "rsa:2048", "-nodes", "-keyout", key] if key else []
        subprocess.run(["openssl", *words.split(), *made], cwd=directory, check=True, capture_output=True)

    openssl("req -x509 -days 2 -subj /CN=authority -out ca.crt", "ca.key")
    openssl("req -subj /CN=server -out server.csr", "server.key")
    (directory / "extensions").write_text("subjectAltName=IP:127.0.0.1\nauthorityKeyIdentifier=none\n")
    signed = "-CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile extensions -out server.crt"
    openssl(f"x509 -req -in server.csr {signed}")
    return directory


@contextmanager
def lease_server(root: Path, certificates: Path) -> Iterator[LeaseServer]:
    """Serve one Lease, with files in `root`."""
    server = LeaseServer(root, certificates)
    try:
        yield server
    finally:
        server.stop()


def _status(code: int, message: str) -> dict[str, Any]:
    return {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "code": code}
