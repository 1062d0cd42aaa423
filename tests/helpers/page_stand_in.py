"""A server that answers as docs/page-api.md says, from conversations in memory: on its own, and inside an application."""

import json
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import parse_qs, unquote, urlsplit

from tests.helpers.page_world import NOON, Conversation, Message, event, instant, name_of, point

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


class Refused(Exception):
    """An answer that is an error of the API."""

    def __init__(self, status: int, code: str, what: str, remedy: str = "") -> None:
        super().__init__(what)
        self.status = status
        self.body = {"kind": "error", "code": code, "what": what, "remedy": remedy}


class StandIn:
    """The API over some conversations. `trouble` names what is the matter with it; `asked` lists what was asked."""

    def __init__(self, conversations: list[Conversation]) -> None:
        self.conversations = {one.session: one for one in conversations}
        self.trouble = ""
        self.asked: list[str] = []
        self.acted: list[dict[str, Any]] = []
        self.app_page = "<!doctype html><title>no application</title>"
        self.app_status: dict[str, Any] = {}
        self.app_answers: dict[str, Any] = {}
        self._next = 100
        stand_in = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                stand_in.answer(self, "GET")

            def do_POST(self) -> None:
                stand_in.answer(self, "POST")

            def do_DELETE(self) -> None:
                stand_in.answer(self, "DELETE")

            def log_message(self, *args: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/"

    # The wire

    def answer(self, wire: BaseHTTPRequestHandler, method: str) -> None:
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
                if not is_inside and inner != "health" and wire.headers.get("X-Hermesguard-Page") != KEY:
                    raise Refused(401, "signed_out", "This page is not signed in", "Type: hermesguard open")
                found = self._api(method, inner.removeprefix("api/v1/"), query, body)
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

    # The API

    def _api(self, method: str, path: str, query: dict[str, str], body: Any) -> dict[str, Any]:
        if path == "health":
            return {
                "kind": "health",
                "ok": True,
                "service": "hermesguard",
                "api": 2 if self.trouble == "other_version" else 1,
            }
        if self.trouble == "other_version":
            raise Refused(404, "not_found", "There is no such path")
        if self.trouble == "no_store":
            raise Refused(
                503, "no_store", "There is no store at /home/you/.local/state/hermesguard", "Start the guard"
            )
        if self.trouble == "wrong_token":
            raise Refused(401, "wrong_token", "The token is not the one of hermes-webui")
        steps = path.split("/")
        match method, steps:
            case "GET", ["pulse"]:
                return self._pulse(query.get("session", ""))
            case "GET", ["status"]:
                return {"kind": "status", **self._status()}
            case "GET", ["now"]:
                return self._now(int(query.get("lately", "20")))
            case "GET", ["sessions"]:
                return self._sessions(query)
            case "GET", ["sessions", session]:
                return self._session(self._one(session))
            case "GET", ["sessions", session, "timeline"]:
                return self._timeline(self._one(session))
            case "GET", ["sessions", session, "diff"]:
                return self._diff(self._one(session), query)
            case "GET", ["sessions", session, "versions", version, "messages"]:
                return self._messages(self._one(session), version, query)
            case "GET", ["sessions", session, "versions", version, "messages", number]:
                return self._piece(self._one(session), version, int(number), query)
            case "GET", ["lost"]:
                return self._lost(query)
            case "POST", ["find"]:
                return self._find(body["words"])
            case "POST", ["acts", "preview"]:
                return self._preview(body)
            case "POST", ["acts"]:
                return self._act(body)
            case _:
                raise Refused(404, "not_found", f"There is no {path}")

    def _one(self, session: str) -> Conversation:
        if session not in self.conversations:
            raise Refused(
                404, "not_found", f'No session is called "{session}"', "See what there is: hermesguard list"
            )
        return self.conversations[session]

    def _copy(self, conversation: Conversation, version: str) -> list[Message]:
        if version not in conversation.copies:
            raise Refused(404, "not_found", f'There is no version "{version}"')
        if version == "live" and conversation.state == "unreadable":
            raise Refused(422, "unreadable", "The file is no session")
        return conversation.copies[version]

    def _events(self) -> list[dict[str, Any]]:
        found = [one for conversation in self.conversations.values() for one in conversation.events]
        return sorted(found, key=lambda one: str(one["time"]), reverse=True)

    def _decisions(self) -> list[dict[str, Any]]:
        return [one for one in self._events() if one["sides"] and not one["resolved_by"]]

    def _state(self) -> str:
        if self.trouble in {"no_guard", "watch_lost"}:
            return "trouble"
        return "decide" if self._decisions() else "well"

    def _newest(self, events: list[dict[str, Any]]) -> str:
        return max((str(one["id"]) for one in events if one["id"]), key=int, default="")

    def _pulse(self, session: str) -> dict[str, Any]:
        found = {
            "kind": "pulse",
            "state": self._state(),
            "decisions": len(self._decisions()),
            "newest": self._newest(self._events()),
        }
        if session:
            one = self.conversations.get(session)
            events = one.events if one else []
            repairs = [one for one in events if one["what"] == "brought_back"]
            repair = max(repairs, key=lambda one: int(one["id"]), default=None)
            found["session"] = {
                "session": session,
                "known": one is not None,
                "newest": self._newest(events),
                "repair": repair
                and {
                    "incident": repair["id"],
                    "time": repair["time"],
                    "messages_back": repair["messages_back"],
                    "messages_after": repair["messages_after"],
                    "resolved_by": repair["resolved_by"],
                },
            }
        return found

    def _status(self) -> dict[str, Any]:
        problems = {
            "no_guard": [
                {"what": "no guard is running", "remedy": "Start it: systemctl --user start hermesguard"}
            ],
            "watch_lost": [
                {"what": "the watch is lost", "remedy": "Changes are found by scans until it is back."}
            ],
        }
        return {
            "state": self._state(),
            "healthy": not self.trouble,
            "problems": problems.get(self.trouble, []),
            "running": self.trouble != "no_guard",
            "ready": self.trouble != "not_ready",
            "sessions": len(self.conversations),
            "messages": sum(len(one.newest) for one in self.conversations.values()),
            "last_scan": instant(NOON),
            "now": instant(NOON.replace(second=4)),
            "page": {"api": 1, "home": "own", "can_act": self.trouble != "no_guard"},
        }

    def _now(self, lately: int) -> dict[str, Any]:
        decisions = self._decisions()
        others = [one for one in self._events() if one not in decisions][:lately]
        return {
            "kind": "now",
            "status": self._status(),
            "missed": [],
            "decisions": decisions,
            "lately": others,
        }

    def _line(self, one: Conversation) -> dict[str, Any]:
        return {
            "session": one.session,
            "title": one.title,
            "message_count": len(one.newest),
            "changed": instant(one.changed),
            "versions": len(one.versions),
            "state": one.state,
            "last_incident": None,
        }

    def _sessions(self, query: dict[str, str]) -> dict[str, Any]:
        words = query.get("search", "").lower()
        fits = [
            one for one in self.conversations.values() if words in one.title.lower() or words in one.session
        ]
        wanted = [one for one in fits if one.state == query.get("state", one.state)]
        wanted.sort(key=lambda one: one.title if query.get("sort") == "title" else "")
        offset, limit = int(query.get("offset", "0")), int(query.get("limit", "50"))
        after = offset + limit
        return {
            "kind": "sessions",
            "sessions": [self._line(one) for one in wanted[offset:after]],
            "total": len(wanted),
            "offset": offset,
            "limit": limit,
            "next": after if after < len(wanted) else None,
            "states": Counter(one.state for one in fits),
        }

    def _session(self, one: Conversation) -> dict[str, Any]:
        newest = "latest" if "latest" in one.copies else (one.versions or ["live"])[-1]
        return {
            "kind": "session",
            "session": self._line(one),
            "events": list(reversed(one.events)),
            "can_restore": bool(one.versions),
            "is_live": one.is_live,
            "newest": newest,
            "guarded_since": instant(NOON),
        }

    def _timeline(self, one: Conversation) -> dict[str, Any]:
        return {
            "kind": "timeline",
            "session": one.session,
            "title": one.title,
            "message_count": len(one.newest),
            "state": one.state,
            "points": one.points,
            "is_thinned": False,
            "versions": [],
            "events": list(reversed(one.events)),
        }

    def _messages(self, one: Conversation, version: str, query: dict[str, str]) -> dict[str, Any]:
        if self.trouble == "broken_messages":
            raise Refused(500, "internal", "A fault of hermesguard, reference 4711")
        messages = self._copy(one, version)
        first, limit = int(query.get("from", "1")), int(query.get("limit", "100"))
        if "last" in query:
            first, limit = max(1, len(messages) + 1 - int(query["last"])), int(query["last"])
        found: list[dict[str, Any]] = []
        size = 0
        for number, message in enumerate(messages[first - 1 : first - 1 + limit], first):
            shown = self._message(number, message)
            size += len(json.dumps(shown))
            if found and size > 384 * 1024:
                break
            found.append(shown)
        after = first + len(found)
        return {
            "kind": "conversation",
            "session": one.session,
            "version": version,
            "title": one.title,
            "message_count": len(messages),
            "digest": f"{version}-{len(messages)}",
            "first_message": first,
            "next": after if after <= len(messages) else None,
            "previous": None,
            "messages": found,
        }

    def _message(self, number: int, message: Message) -> dict[str, Any]:
        extras = message.extras
        reasoning = extras.get("reasoning", "")
        return {
            "number": number,
            "role": message.role,
            "text": message.text[:20_000],
            "text_length": len(message.text),
            "is_cut": len(message.text) > 20_000,
            "timestamp": message.when.timestamp(),
            "labels": extras.get("labels", []),
            "reasoning": reasoning,
            "reasoning_length": len(reasoning),
            "pictures": 0,
            "tools": extras.get("tools", []),
        }

    def _piece(self, one: Conversation, version: str, number: int, query: dict[str, str]) -> dict[str, Any]:
        text = self._copy(one, version)[number - 1].text
        offset, length = int(query.get("offset", "0")), int(query.get("length", "100000"))
        after = offset + length
        return {
            "kind": "message",
            "number": number,
            "text": text[offset:after],
            "offset": offset,
            "length": len(text),
            "next": after if after < len(text) else None,
        }

    def _diff(self, one: Conversation, query: dict[str, str]) -> dict[str, Any]:
        a, b = self._copy(one, query["a"]), self._copy(one, query["b"])
        in_a, in_b = {message.key for message in a}, {message.key for message in b}
        gone = [(number, message) for number, message in enumerate(a, 1) if message.key not in in_b]
        new = [(number, message) for number, message in enumerate(b, 1) if message.key not in in_a]
        changes = [
            {
                "kind": "gone",
                "a_number": number,
                "b_number": None,
                "role": one.role,
                "a_text": one.text[:200],
                "b_text": "",
            }
            for number, one in gone
        ] + [
            {
                "kind": "new",
                "a_number": None,
                "b_number": number,
                "role": one.role,
                "a_text": "",
                "b_text": one.text[:200],
            }
            for number, one in new
        ]
        limit = int(query.get("limit", "200"))
        same = len(a) - len(gone)
        return {
            "kind": "difference",
            "counts": {
                "same": same,
                "gone": len(gone),
                "cut short": 0,
                "changed": 0,
                "new": len(new),
                "dropped": 0,
            },
            "same": same,
            "changes": changes[:limit],
            "total": len(changes),
            "from": 0,
            "next": None,
            "a_marks": _runs([number for number, _ in gone], "gone"),
            "b_marks": _runs([number for number, _ in new], "new"),
            "parts": [],
        }

    def _lost(self, query: dict[str, str]) -> dict[str, Any]:
        kinds = {
            "brought_back": "repaired",
            "not_sure": "uncertain",
            "taken_back": "shortened",
            "deleted": "deleted",
        }
        every = [
            {
                "session": one["session"],
                "title": one["title"],
                "kind": kinds[one["what"]],
                "time": one["time"],
                "messages_before": one["messages_before"],
                "messages_now": one["messages_live"],
                "evidence": one["evidence"],
                "incident": one["id"] or None,
                "command": "hermesguard restore ...",
                "version": one["version"],
                "acts": one["acts"],
            }
            for one in self._events()
            if one["what"] in kinds
        ]
        wanted = [one for one in every if one["kind"] == query.get("kind", one["kind"])]
        offset, limit = int(query.get("offset", "0")), int(query.get("limit", "50"))
        counts = Counter(one["kind"] for one in every)
        return {
            "kind": "lost",
            "lost": wanted[offset : offset + limit],
            "counts": [{"kind": kind, "count": count} for kind, count in counts.items()],
            "total": len(wanted),
            "offset": offset,
            "next": None,
        }

    def _find(self, words: str) -> dict[str, Any]:
        found = [
            {
                "session": one.session,
                "title": one.title,
                "state": one.state,
                "is_phrase": True,
                "source": version if version in {"live", "latest"} else "version",
                "version": version,
                "message": number,
                "role": message.role,
                "text": message.text[:200],
                "command": "",
                "changed": instant(one.changed),
                "acts": [],
            }
            for one in self.conversations.values()
            for version in ["latest", *one.versions]
            for number, message in enumerate(one.copies.get(version, []), 1)
            if words.lower() in message.text.lower()
        ]
        result = {"kind": "found", "words": words, "count": len(found), "found": found[:100]}
        return {"kind": "job", "job": "find", "state": "done", "progress": None, "result": result}

    # Acts

    def _planned(self, act: dict[str, Any]) -> tuple[Conversation, str, list[Message]]:
        """Return whose it is, what it is called, and the messages afterwards."""
        if act["act"] == "undo":
            one = next(
                one
                for one in self.conversations.values()
                if any(e["id"] == act["incident"] for e in one.events)
            )
            found = next(e for e in one.events if e["id"] == act["incident"])
            return one, "undone", self._copy(one, found["displaced"])
        one = self._one(act["session"])
        live = one.copies.get("live", [])
        if act["act"] == "accept":
            return one, "accepted", live
        wanted = self._copy(one, act["version"])
        if act.get("replace"):
            return one, "replaced", wanted
        keys = {message.key for message in wanted}
        merged = [*wanted, *(message for message in live if message.key not in keys)]
        return one, "unchanged" if len(merged) == len(live) else "restored", merged

    def _numbers(self, one: Conversation, action: str, after: list[Message]) -> dict[str, Any]:
        live = one.copies.get("live", [])
        had, has = {message.key for message in live}, {message.key for message in after}
        return {
            "action": action,
            "title": one.title,
            "messages_live": len(live),
            "messages_after": len(after),
            "messages_gone": len(had - has),
            "messages_back": len(has - had),
        }

    def _preview(self, act: dict[str, Any]) -> dict[str, Any]:
        if self.trouble == "no_guard":
            raise Refused(
                503, "no_guard", "no guard is running", "Start it: systemctl --user start hermesguard"
            )
        one, action, after = self._planned(act)
        live = one.copies.get("live", [])
        had, has = {message.key for message in live}, {message.key for message in after}
        back = [(number, message) for number, message in enumerate(after, 1) if message.key not in had]
        gone = [(number, message) for number, message in enumerate(live, 1) if message.key not in has]
        lines = [
            [
                {"number": number, "role": message.role, "text": message.text[:200]}
                for number, message in side[:50]
            ]
            for side in (back, gone)
        ]
        return {
            "kind": "preview",
            "act": {**act, "seen": str(len(live))},
            **self._numbers(one, action, after),
            "back": lines[0],
            "gone": lines[1],
            "is_more": len(back) > 50 or len(gone) > 50,
            "file_goes": False,
        }

    def _act(self, act: dict[str, Any]) -> dict[str, Any]:
        one, action, after = self._planned(act)
        if self.trouble == "changed" or act.get("seen") not in {None, str(len(one.copies.get("live", [])))}:
            raise Refused(409, "changed", "The conversation changed since the preview", "Preview again")
        self.acted.append(act)
        numbers = self._numbers(one, action, after)
        self._next += 1
        when = NOON.replace(hour=13, microsecond=self._next)
        displaced = name_of(when)
        one.copies = {
            **one.copies,
            displaced: one.copies.get("live", []),
            "live": after,
            "latest": list(after),
        }
        one.is_live = True
        for open_event in one.events:
            open_event["resolved_by"] = open_event["resolved_by"] or str(self._next)
        whats = {"accepted": "accepted_by_you", "undone": "reversed_by_you"}
        one.events.append(
            event(
                one,
                self._next,
                whats.get(action, "restored_by_you"),
                when,
                messages_back=numbers["messages_back"],
            )
        )
        mark = "repair" if numbers["messages_back"] else "intended" if numbers["messages_gone"] else "act"
        one.points = [
            *one.points,
            point(when, numbers["messages_live"], displaced, "", str(self._next)),
            point(when, len(after), "latest", mark, str(self._next)),
        ]
        one.state = "fine"
        result = {
            "kind": "done",
            "act": act,
            **numbers,
            "session": one.session,
            "version": displaced,
            "incident": str(self._next),
            "resolved": [],
            "reverse": {"act": "restore", "session": one.session, "version": displaced, "replace": True},
        }
        return {"kind": "job", "job": f"act{self._next}", "state": "done", "progress": None, "result": result}


def _runs(numbers: list[int], kind: str) -> list[list[Any]]:
    runs: list[list[Any]] = []
    for number in numbers:
        if runs and runs[-1][1] == number - 1:
            runs[-1][1] = number
        else:
            runs.append([number, number, kind])
    return runs
