"""A server that answers as docs/page-api.md says, from conversations in memory: on its own, and inside an application."""

import json
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import parse_qs, unquote, urlsplit

from tests.helpers.page_acts import Acts
from tests.helpers.page_answers import Refused
from tests.helpers.page_world import Conversation
from tests.helpers.quiet_server import QuietServer

ROOT: Final = Path(__file__).parents[2]
ASSETS: Final = ROOT / "hermesguard" / "page" / "assets"
EXTENSION: Final = ROOT / "packaging" / "webui-extension" / "hermesguard"
SIDECAR: Final = "/api/extensions/hermesguard/sidecar/"
KEY: Final = "key-of-the-test"
LARGEST: Final = 512 * 1024
_TYPES: Final = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)


class StandIn(Acts):
    """The server of the API and of the page's files; `asked` lists what was asked."""

    def __init__(self, conversations: list[Conversation]) -> None:
        super().__init__(conversations)
        self.asked: list[str] = []
        self.app_page = "<!doctype html><title>no application</title>"
        self.app_status: dict[str, Any] = {}
        self.app_answers: dict[str, Any] = {}
        stand_in = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                stand_in.serve(self, "GET")

            def do_POST(self) -> None:
                stand_in.serve(self, "POST")

            def do_DELETE(self) -> None:
                stand_in.serve(self, "DELETE")

            def log_message(self, *args: object) -> None:
                """Say nothing."""

        self._server = QuietServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.end()

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/"

    # The wire

    def serve(self, wire: BaseHTTPRequestHandler, method: str) -> None:
        """Answer one request, whatever it asks for."""
        parts = urlsplit(wire.path)
        length = int(wire.headers.get("Content-Length") or 0)
        body = json.loads(wire.rfile.read(length) or b"null")
        path = unquote(parts.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        self.asked.append(f"{method} {wire.path}")
        is_inside = path.startswith(SIDECAR)
        inner = path.removeprefix(SIDECAR).lstrip("/")
        try:
            if inner.startswith("api/v1/") or inner == "health":
                if not is_inside and inner != "health" and not self._is_known(wire):
                    raise Refused(401, "signed_out", "This page is not signed in", "Type: hermesguard open")
                found = self.answer(method, inner.removeprefix("api/v1/"), query, body)
                data = json.dumps({"schema_version": 2, **found}).encode()
                if len(data) > LARGEST:
                    raise Refused(500, "internal", f"{inner} is {len(data)} bytes: too large for an answer")
                self._send(wire, 200, data, "application/json")
            else:
                self._file(wire, path)
        except Refused as refused:
            self._send(
                wire,
                refused.status,
                json.dumps({"schema_version": 2, **refused.body}).encode(),
                "application/json",
            )

    def _file(self, wire: BaseHTTPRequestHandler, path: str) -> None:
        if path.startswith("/app"):
            self._send(wire, 200, self.app_page.encode(), "text/html", policy="")
            return
        if path == "/api/extensions/status":
            self._send(wire, 200, json.dumps(self.app_status).encode(), "application/json")
            return
        if path in self.app_answers:
            self._send(wire, 200, json.dumps(self.app_answers[path]).encode(), "application/json")
            return
        if path.startswith("/extensions/hermesguard/"):
            file = EXTENSION / path.removeprefix("/extensions/hermesguard/")
        else:
            file = ASSETS / (path.removeprefix("/assets/") if path.startswith("/assets/") else "index.html")
        if not file.is_file() or (path != "/" and not path.startswith(("/assets/", "/extensions/"))):
            self._send(wire, 404, b'{"error": "not found"}', "application/json")
            return
        self._send(wire, 200, file.read_bytes(), _TYPES.get(file.suffix, "application/octet-stream"))

    def _send(
        self, wire: BaseHTTPRequestHandler, status: int, data: bytes, kind: str, policy: str = _POLICY
    ) -> None:
        try:
            wire.send_response(status)
            wire.send_header("Content-Type", f"{kind}; charset=utf-8")
            wire.send_header("Content-Length", str(len(data)))
            wire.send_header("Cache-Control", "no-store")
            wire.send_header("X-Content-Type-Options", "nosniff")
            if policy:
                wire.send_header("Content-Security-Policy", policy)
            wire.end_headers()
            wire.wfile.write(data)
        except (BrokenPipeError, ConnectionResetError):
            pass

    def _is_known(self, wire: BaseHTTPRequestHandler) -> bool:
        return wire.headers.get("X-Hermesguard-Page") == KEY or bool(
            wire.headers.get("X-Hermes-Sidecar-Token")
        )
