"""Who receives messages, on the loopback: an HTTP server as ntfy's, and a mail server. Both can fail in every way."""

import json
import socket
import ssl
import subprocess
import threading
import time
from email.message import Message as Mail
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller

from tests.helpers.quiet_server import QuietServer


class Http:
    """Takes what is posted, in `bodies`, and visits, in `visits` (method and path); `mood` is how it answers.

    "good", "refuse" (500), "busy" (429, Retry-After), "portal" (200, a page of HTML), "moved" (to `elsewhere`), "garbage",
    "trickle" (an answer that never ends), "deaf" (no answer, the connection is closed), or a number: seconds until it answers.
    """

    def __init__(self, port: int = 0, certificate: Path | None = None) -> None:
        """With `certificate` it speaks TLS, by one that it makes there."""
        self._certificate = certificate
        self.users: list[str] = []
        self.mood: str | float = "good"
        self.bodies: list[dict[str, Any]] = []
        self.visits: list[tuple[str, str, str]] = []
        self.port = port
        self.elsewhere = ""
        self.asked = 0
        self._ending = threading.Event()
        self._server: QuietServer | None = None
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

        self._server = QuietServer(("127.0.0.1", self.port), Handler)
        self.port = self._server.server_port
        if self._certificate:
            self._server.socket = _with_tls(self._server.socket, self._certificate)
        self._ending.clear()
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def _receive(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        mood = self.mood
        self.asked += 1
        if user := handler.headers.get("Authorization"):
            self.users.append(user)
        if mood == "trickle":
            handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
            while not self._ending.wait(0.05):
                try:
                    handler.wfile.write(b"X-More: x\r\n")
                except OSError:
                    break
            handler.close_connection = True
            return
        if mood == "busy":
            handler.send_response(429)
            handler.send_header("Retry-After", "3600")
            handler.end_headers()
            return
        if mood == "moved":
            handler.send_response(302)
            handler.send_header("Location", self.elsewhere)
            handler.end_headers()
            return
        if mood == "portal":
            handler.send_response(200)
            handler.send_header("Content-Type", "text/html")
            handler.end_headers()
            handler.wfile.write(b"<html><h1>Log in</h1></html>")
            return
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
        self._ending.set()
        if self._server:
            self._server.end()
            self._server = None


def _with_tls(listener: socket.socket, certificate: Path) -> socket.socket:
    """A listening socket that speaks TLS, by a certificate that nobody vouches for."""
    what = ["-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]
    where = ["-keyout", str(certificate), "-out", str(certificate.with_suffix(".crt"))]
    subprocess.run(["openssl", "req", *what, *where], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.with_suffix(".crt"), certificate)
    return context.wrap_socket(listener, server_side=True, do_handshake_on_connect=False)


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
