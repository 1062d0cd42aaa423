"""The web application: one gate through which every request goes, and behind it a route for each answer of the API."""

import contextlib
import io
import json
import sys
import threading
import time
from collections.abc import Callable, Iterable
from functools import wraps
from importlib import resources
from pathlib import Path
from typing import Any, Final

import bottle

from hermesguard.config.settings import Settings
from hermesguard.errors import GuardError
from hermesguard.page import acts, messages, reads
from hermesguard.page.access import (
    COOKIE_SECONDS,
    SIGNED_OUT,
    Access,
    Refusal,
    cookie_name,
)
from hermesguard.page.answers import MOST_BYTES, Problem, answer, encoded, error, refusal_of, whole_number
from hermesguard.page.jobs import Jobs, job_object
from hermesguard.page.read_cache import ReadCache

Environ = dict[str, Any]
Start = Callable[..., Any]

LONGEST_BODY_BYTES: Final = 64 * 1024
_JSON: Final = "application/json; charset=utf-8"
_HTML: Final = "text/html; charset=utf-8"
_ACT_SECONDS: Final = 2.0
_HOME: Final = "hermesguard.home"

_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = (
    ("Cache-Control", "no-store"),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Frame-Options", "DENY"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Content-Security-Policy", _POLICY),
    ("Permissions-Policy", "camera=(), geolocation=(), microphone=()"),
)
_OWN_HEADERS: Final = (("Cross-Origin-Resource-Policy", "same-origin"),)

_WORDS: Final = {
    404: Refusal(404, "not_found", "There is nothing at this address"),
    405: Refusal(405, "method", "This address is not asked in this way"),
    400: Refusal(400, "usage", "The request makes no sense"),
}

_OPENED: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>hermesguard</title>
<meta name="hermesguard-key" content="{key}"><script type="module" src="/assets/open.js"></script></head>
<body><p>hermesguard is being opened.</p><noscript><p>The page needs JavaScript.</p></noscript></body></html>
"""
_CLOSED: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><title>hermesguard</title></head>
<body><h1>hermesguard</h1><p>This page is not signed in, or no longer, or the link was used already.</p>
<p>Type <code>hermesguard open</code> in a terminal: it prints a link that is good once.</p></body></html>
"""


class Gate:
    """The WSGI application. Decides first whether a request is answered at all; then nothing leaves that is too large."""

    def __init__(
        self,
        access: Access,
        inner: Callable[[Environ, Start], Iterable[bytes]],
        warm: Callable[[], None] = lambda: None,
    ) -> None:
        self._access = access
        self._inner = inner
        self._warm: Callable[[], None] | None = warm
        """Reads ahead, after the first request that was allowed."""
        self.last_request = time.monotonic()

    def __call__(self, environ: Environ, start: Start) -> Iterable[bytes]:
        found = self._access.of(environ)
        if isinstance(found, Refusal):
            if environ["PATH_INFO"] == "/" and found.code == "signed_out":
                return _reply(start, found.status, _CLOSED.encode(), _HTML)
            return _problem(start, found)
        self.last_request = time.monotonic()
        if found is None:
            body = encoded({"ok": True, "service": "hermesguard", "api": reads.API})
            return _reply(start, 200, body, _JSON, [("Access-Control-Allow-Origin", "*")], is_own=False)
        if refusal := _unfit(environ):
            return _problem(start, refusal)
        environ[_HOME] = found
        environ["wsgi.errors"] = io.StringIO()  # bottle would write down what was asked
        begun: list[Any] = []
        try:
            parts = self._inner(environ, lambda *given: begun.extend(given[:2]))
            body = b"".join(parts)
            if close := getattr(parts, "close", None):
                close()
        except Exception as problem:  # noqa: BLE001 - no traceback leaves, whatever happened
            return _problem(start, fault(problem))
        if len(body) > MOST_BYTES:
            return _problem(start, Refusal(500, "internal", "The answer is larger than hermes-webui takes"))
        status, headers = begun
        if (warm := self._warm) is not None:
            self._warm = None
            threading.Thread(target=warm, name="warm", daemon=True).start()
        given = {name.lower() for name, _ in headers}
        more = [header for header in (*_HEADERS, *_OWN_HEADERS) if header[0].lower() not in given]
        start(status, [*headers, *more])
        return [body]


def _unfit(environ: Environ) -> Refusal | None:
    """Return what is wrong with the body of a request, by its headers alone."""
    if environ["REQUEST_METHOD"] != "POST":
        return None
    try:
        length = int(environ.get("CONTENT_LENGTH") or 0)
    except ValueError:
        return _WORDS[400]
    if length > LONGEST_BODY_BYTES:
        return Refusal(413, "too_large", "The request is too large")
    kind = environ.get("CONTENT_TYPE", "").partition(";")[0].strip().lower()
    return None if kind == "application/json" else Refusal(415, "media_type", "The request must be JSON")


def _problem(start: Start, refusal: Refusal) -> Iterable[bytes]:
    return _reply(start, refusal.status, encoded(error(refusal)), _JSON)


def _reply(
    start: Start,
    status: int,
    body: bytes,
    kind: str,
    more: Iterable[tuple[str, str]] = (),
    *,
    is_own: bool = True,
) -> Iterable[bytes]:
    from http.client import responses

    headers = [("Content-Type", kind), ("Content-Length", str(len(body))), *more, *_HEADERS]
    start(f"{status} {responses.get(status, '')}", headers + (list(_OWN_HEADERS) if is_own else []))
    return [body]


def fault(problem: Exception) -> Refusal:
    """Note an unexpected error in the log, by its kind and its place alone; return what is said of it."""
    last = problem.__traceback__
    while last and last.tb_next:
        last = last.tb_next
    place = f"{Path(last.tb_frame.f_code.co_filename).name}:{last.tb_lineno}" if last else "?"
    with contextlib.suppress(OSError, ValueError):
        print(
            f"hermesguard: internal error in the page: {type(problem).__name__} at {place}", file=sys.stderr
        )
    return Refusal(
        500,
        "internal",
        f"hermesguard met an error of its own ({place})",
        "Report it to the people who make it",
    )


def _said(refusal: Refusal) -> Any:
    return bottle.HTTPResponse(encoded(error(refusal)), refusal.status, {"Content-Type": _JSON})


def _answering(callback: Callable[..., Any]) -> Callable[..., Any]:
    """Turn what a route returns, (kind, members), into an answer, and whatever it raises into a sentence."""

    @wraps(callback)
    def wrapped(*given: Any, **named: Any) -> Any:
        try:
            found = callback(*given, **named)
        except bottle.HTTPResponse:
            raise
        except Problem as problem:
            return _said(problem.refusal)
        except GuardError as problem:
            return _said(refusal_of(problem))
        except FileNotFoundError:
            return _said(Refusal(404, "not_found", "It is not there any more", "Look again"))
        except Exception as problem:  # noqa: BLE001 - no traceback leaves, whatever happened
            return _said(fault(problem))
        if not isinstance(found, tuple):
            return found
        kind, members, *status = found
        return bottle.HTTPResponse(
            encoded(answer(kind, members)), status[0] if status else 200, {"Content-Type": _JSON}
        )

    return wrapped


class _App(bottle.Bottle):  # type: ignore[misc]
    """Bottle, but that its own errors are sentences too."""

    def default_error_handler(self, problem: Any) -> Any:
        refusal = _WORDS.get(problem.status_code) or Refusal(
            500, "internal", "hermesguard met an error of its own"
        )
        bottle.response.content_type = _JSON
        return encoded(error(refusal))


def build(settings: Settings, token_file: Path) -> tuple[Gate, Jobs, ReadCache]:
    """Return the application on the store of `settings`, the jobs that it has, and what it has read."""
    app, cache, access, jobs = _App(), ReadCache(settings), Access(settings.store, token_file), Jobs(fault)
    app.install(_answering)
    _own_routes(app, access)
    _reading_routes(app, cache)
    _acting_routes(app, cache, jobs)
    return Gate(access, app, cache.warm), jobs, cache


def _own_routes(app: Any, access: Access) -> None:
    assets = str(resources.files("hermesguard.page") / "assets")

    def opened() -> Any:
        if nonce := _text("check"):
            proof = access.proof(nonce, bottle.request.environ)
            return ("proof", {"proof": proof}) if proof else _said(SIGNED_OUT)
        signed = access.sign_in(_text("token"))
        if signed is None:  # a person sees it, in the browser in which the link was opened
            return bottle.HTTPResponse(_CLOSED, SIGNED_OUT.status, {"Content-Type": _HTML})
        response = bottle.HTTPResponse(_OPENED.format(key=signed.key), 200, {"Content-Type": _HTML})
        response.set_cookie(
            cookie_name(bottle.request.environ),
            signed.cookie,
            max_age=COOKIE_SECONDS,
            path="/",
            httponly=True,
            samesite="strict",
        )
        return response

    def sign_out() -> Any:
        access.sign_out(bottle.request.environ)
        response = bottle.HTTPResponse(encoded(answer("signed_out", {})), 200, {"Content-Type": _JSON})
        response.delete_cookie(cookie_name(bottle.request.environ), path="/")
        return response

    def asset(name: str) -> Any:
        found = bottle.static_file(name, root=assets)
        found.set_header("Cache-Control", "no-cache")
        if found.status_code >= 400:
            return _said(_WORDS[404])
        return found

    app.route("/open", "GET", opened)
    app.route("/sign-out", "POST", sign_out)
    app.route("/", "GET", lambda: asset("index.html"))
    app.route("/assets/<name:re:[A-Za-z0-9][A-Za-z0-9._-]*>", "GET", asset)


def _reading_routes(app: Any, cache: ReadCache) -> None:
    def messages_of(sid: str, version: str) -> Any:
        view = cache.view()
        read = view.read(sid, view.chosen(sid, version))
        count, limit = len(read.copy.document.messages), _number("limit", 100, 1, 500)
        first = _number("from", 1, 1, 10**9)
        if _text("around"):
            first = _number("around", 1, 1, 10**9) - limit // 2
        elif _text("last"):
            limit = _number("last", 100, 1, 500)
            first = count - limit + 1
        return "conversation", messages.conversation(read, first, limit)

    def message(sid: str, version: str, number: str) -> Any:
        view = cache.view()
        part = _text("part") or "text"
        if part not in ("text", "reasoning", "tool"):
            raise Problem(400, "usage", "part is text, reasoning or tool")
        read = view.read(sid, view.chosen(sid, version))
        return "message", messages.piece(
            read,
            whole_number(number, 0, 0, 10**9, "The number of a message"),
            part,
            _number("tool", 0, 0, 10**6),
            _number("offset", 0, 0, 10**9),
            _number("length", 50_000, 1, 80_000),
        )

    def diff(sid: str) -> Any:
        view = cache.view()
        a = view.chosen(sid, _text("a")) if _text("a") else None
        b = view.chosen(sid, _text("b") or "live")
        return "difference", messages.difference(
            view, sid, a, b, _number("from", 0, 0, 10**9), _number("limit", 200, 1, 500)
        )

    def pulse() -> Any:
        return "pulse", reads.pulse(cache.view(), _text("session"))

    def status() -> Any:
        return "status", reads.status(cache.view(), bottle.request.environ[_HOME])

    def now() -> Any:
        lately = _number("lately", 20, 1, 100)
        return "now", reads.now(cache.view(), bottle.request.environ[_HOME], lately)

    def sessions() -> Any:
        page = (_number("offset", 0, 0, 10**9), _number("limit", 50, 1, 200))
        return "sessions", reads.sessions(
            cache.view(), _text("search"), _text("state"), _text("sort") or "changed", *page
        )

    def session(sid: str) -> Any:
        return "session", reads.session(cache.view(), sid)

    def timeline(sid: str) -> Any:
        return "timeline", messages.timeline(cache.view(), sid, _number("points", 600, 2, 1000))

    def incidents() -> Any:
        limit = _number("limit", 50, 1, 200)
        return "events", reads.incidents(cache.view(), _text("session"), _text("before"), limit)

    def incident(number: str) -> Any:
        return "explanation", reads.explanation(cache.view(), number)

    def lost() -> Any:
        page = (_number("offset", 0, 0, 10**9), _number("limit", 50, 1, 200))
        return "lost", reads.lost(cache.view(), _text("kind"), *page)

    for path, route in (
        ("/pulse", pulse),
        ("/status", status),
        ("/now", now),
        ("/sessions", sessions),
        ("/sessions/<sid>", session),
        ("/sessions/<sid>/timeline", timeline),
        ("/sessions/<sid>/diff", diff),
        ("/sessions/<sid>/versions/<version>/messages", messages_of),
        ("/sessions/<sid>/versions/<version>/messages/<number>", message),
        ("/incidents", incidents),
        ("/incidents/<number>", incident),
        ("/lost", lost),
    ):
        app.route(f"/api/v{reads.API}{path}", "GET", route)


def _acting_routes(app: Any, cache: ReadCache, jobs: Jobs) -> None:
    def find() -> Any:
        words = reads.require_words(_body())
        job = jobs.begin("find", lambda job: reads.find(cache, words, job), is_only=True)
        return "job", job_object(job), 202

    def preview() -> Any:
        return "preview", acts.preview(cache.view(), acts.require_act(_body()))

    def act() -> Any:
        wanted = acts.require_act(_body())
        job = jobs.begin("act", lambda job: acts.perform(cache.view(), wanted))
        job.wait(_ACT_SECONDS)
        if job.refusal:
            return _said(job.refusal)
        return "job", job_object(job), 200 if job.state == "done" else 202

    def job_of(number: str) -> Any:
        return "job", job_object(jobs.find(number))

    def stop(number: str) -> Any:
        job = jobs.find(number)
        job.stop()
        return "job", job_object(job)

    base = f"/api/v{reads.API}"
    app.route(f"{base}/find", "POST", find)
    app.route(f"{base}/acts/preview", "POST", preview)
    app.route(f"{base}/acts", "POST", act)
    app.route(f"{base}/jobs/<number>", "GET", job_of)
    app.route(f"{base}/jobs/<number>", "DELETE", stop)


def _text(name: str) -> str:
    """Return a parameter of the query as text; empty when it is not there, or is none."""
    return str(bottle.request.query.getunicode(name) or "")


def _number(name: str, default: int, low: int, high: int) -> int:
    return whole_number(_text(name), default, low, high, name)


def _body() -> Any:
    try:
        return json.loads(bottle.request.body.read(LONGEST_BODY_BYTES).decode("utf-8"))
    except (ValueError, RecursionError):
        raise Problem(400, "usage", "The body of the request is no JSON") from None
