"""Who receives messages, on the loopback: an HTTP server as ntfy's, and a mail server. Both can fail in every way."""

import json
import threading
import time
from email.message import Message as Mail
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.controller import Controller


class Http:
    """Takes what is posted, in `bodies`, and visits, in `visits` (method and path); `mood` is how it answers.

    "good", "refuse" (500), "garbage", "deaf" (no answer, the connection is closed), or a number: seconds until it answers.
    """

    def __init__(self, port: int = 0) -> None:
        self.mood: str | float = "good"
        self.bodies: list[dict[str, Any]] = []
        self.visits: list[tuple[str, str, str]] = []
        self.port = port
        self._server: ThreadingHTTPServer | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"ntfy://127.0.0.1:{self.port}/topic-of-mine"

    @property
    def titles(self) -> list[str]:
        return [str(body["title"]) for body in self.bodies]

    def start(self) -> None:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                receiver._receive(self)

            do_GET = do_POST

            def log_message(self, *_: object) -> None:
                pass

        ThreadingHTTPServer.allow_reuse_address = True
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]  # a client that was killed
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def _receive(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        mood = self.mood
        if isinstance(mood, float):
            time.sleep(mood)
        if mood == "garbage":
            handler.wfile.write(b"\0\xff no HTTP at all\r\n\r\n")
            handler.close_connection = True
            return
        if mood == "deaf":
            handler.close_connection = True
            return
        if mood == "refuse":
            handler.send_response(500)
            handler.end_headers()
            return
        self.visits.append((handler.command, handler.path, body.decode("utf-8", "replace")))
        if body.startswith(b"{"):
            self.bodies.append(json.loads(body))
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(b'{"id": "x"}')

    def stop(self) -> None:
        """As if it was killed: nobody listens there any more."""
        if self._server:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


class Smtp:
    """A mail server that keeps what it takes in `mails`; `mood` "refuse" answers each mail with 451."""

    def __init__(self, port: int) -> None:
        self.mails: list[Mail] = []
        self.mood = "good"
        self._port = port
        self.start()

    @property
    def url(self) -> str:
        return f"mailto://127.0.0.1:{self._port}?from=guard@example.org&to=me@example.org"

    def start(self) -> None:
        self._controller = Controller(self, hostname="127.0.0.1", port=self._port)
        self._controller.start()

    async def handle_DATA(self, server: object, session: object, envelope: Any) -> str:
        if self.mood == "refuse":
            return "451 not now"
        self.mails.append(BytesParser().parsebytes(envelope.content))
        return "250 taken"

    def stop(self) -> None:
        self._controller.stop()
