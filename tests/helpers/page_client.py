"""The page asked as a browser, hermes-webui's proxy, or another user would ask it: within this process, or by its port."""

import io
import json
import re
import socket
import subprocess
import sys
from collections.abc import Mapping
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, unquote_to_bytes

from hermesguard.config.settings import Settings
from hermesguard.page import access
from hermesguard.page.app import build
from tests.helpers.daemon_process import REPOSITORY, environment_for
from tests.helpers.waiting import until

TOKEN = "a-token-that-hermes-webui-made-0123456789"
BASE = "/api/v1"


class Reply(NamedTuple):
    """One answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """Asks the application within this process, as whoever `headers` say."""

    def __init__(self, settings: Settings, token_file: Path, **headers: str) -> None:
        self.settings = settings
        self.token_file = token_file
        self.gate, self.jobs, _ = build(settings, token_file)
        self.headers = dict(headers)

    def ask(
        self,
        path: str,
        method: str = "GET",
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        raw: bytes | None = None,
    ) -> Reply:
        """Return the answer to one request; `headers` with an empty value are left out."""
        data = raw if raw is not None else b"" if body is None else json.dumps(body).encode()
        place, _, query = path.partition("?")
        sent = {"Host": "127.0.0.1:17893"} | self.headers | dict(headers or {})
        if data and "Content-Type" not in sent:
            sent["Content-Type"] = "application/json"
        environ: dict[str, Any] = {
            "REQUEST_METHOD": method,
            "PATH_INFO": unquote_to_bytes(place).decode("latin-1"),
            "QUERY_STRING": query,
            "SERVER_NAME": "127.0.0.1",
            "SERVER_PORT": "17893",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "CONTENT_LENGTH": str(len(data)),
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(data),
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
        }
        for name, value in sent.items():
            if value:
                key = name.upper().replace("-", "_")
                environ[key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"] = value
        begun: list[Any] = []
        parts = self.gate(environ, lambda *given: begun.extend(given))
        status, found = begun[:2]
        return Reply(int(status.split()[0]), {name.lower(): value for name, value in found}, b"".join(parts))

    def get(self, path: str, **parameters: object) -> Any:
        """Return the object of an answer that is none of a problem."""
        query = "&".join(f"{name.rstrip('_')}={quote(str(value))}" for name, value in parameters.items())
        reply = self.ask(f"{BASE}{path}?{query}")
        assert reply.status == 200, reply.body[:500]
        return reply.json

    def post(self, path: str, body: Any) -> Reply:
        return self.ask(f"{BASE}{path}", "POST", body)

    def result(self, reply: Reply) -> Any:
        """Return the result of a job, waited for."""
        job = reply.json
        assert job["kind"] == "job", job
        if job["state"] == "running":
            job = until(lambda: (now := self.get(f"/jobs/{job['job']}"))["state"] != "running" and now)
        assert job["state"] == "done", job
        return job["result"]


def by_webui(settings: Settings, root: Path) -> Client:
    """Return a client that is hermes-webui's proxy, with the token that is in its file."""
    path = root / "sidecar-auth" / "hermesguard.token"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(TOKEN)
    return Client(settings, path, **{"X-Hermes-Sidecar-Token": TOKEN})


def signed_in(settings: Settings, root: Path) -> Client:
    """Return a client that is a browser, signed in by a link."""
    client = Client(settings, root / "no.token", Origin="http://127.0.0.1:17893")
    key = access.ensure_key(settings.store)
    reply = client.ask(f"/open?token={access.new_link_token(key)}")
    assert reply.status == 200, reply.body
    client.headers["Cookie"] = reply.headers["set-cookie"].partition(";")[0]
    match = re.search(rb'name="hermesguard-key" content="([0-9a-f]+)"', reply.body)
    assert match
    client.headers["X-Hermesguard-Page"] = match[1].decode()
    return client


def free_port() -> int:
    """Return a port of the loopback address that nobody has."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


class Serving:
    """`hermesguard serve` as a process; leaving the context ends it."""

    def __init__(self, root: Path, store: Path, sessions: Path, *flags: str, **environment: str) -> None:
        self.port = free_port()
        words = ["--store", str(store), "--sessions", str(sessions), "--page-port", str(self.port), *flags]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "hermesguard", "serve", *words],
            env=environment_for(root, **environment),
            cwd=REPOSITORY,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )

    def __enter__(self) -> "Serving":
        until(self._answers, 30.0)
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(20)
        assert self.process.stderr
        self.process.stderr.close()

    def _answers(self) -> bool:
        assert self.process.poll() is None, self.process.stderr and self.process.stderr.read().decode()
        try:
            return self.ask("/health").status == 200
        except ConnectionRefusedError:
            return False

    def ask(self, path: str, method: str = "GET", body: Any = None, **headers: str) -> Reply:
        """Return the answer to one request over a connection of its own."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            sent = {name.replace("_", "-"): value for name, value in headers.items()}
            data = None if body is None else json.dumps(body).encode()
            if data:
                sent["Content-Type"] = "application/json"
            connection.request(method, path, data, sent)
            response = connection.getresponse()
            found = {name.lower(): value for name, value in response.getheaders()}
            return Reply(response.status, found, response.read())
        finally:
            connection.close()
