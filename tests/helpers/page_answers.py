"""What the page's API says of conversations in memory, as docs/page-api.md has it."""

import json
from collections import Counter
from typing import Any

from tests.helpers.page_world import NOON, Conversation, Message, instant


class Refused(Exception):
    """An answer that is an error of the API."""

    def __init__(self, status: int, code: str, what: str, remedy: str = "") -> None:
        super().__init__(what)
        self.status = status
        self.body = {"kind": "error", "code": code, "what": what, "remedy": remedy}


class Answers:
    """The API over some conversations. `trouble` names what is the matter with it."""

    def __init__(self, conversations: list[Conversation]) -> None:
        self.conversations = {one.session: one for one in conversations}
        self.trouble = ""

    def answer(self, method: str, path: str, query: dict[str, str], body: Any) -> dict[str, Any]:
        """Return the object for a request below `api/v1/`; Refused when it is an error."""
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
                return self._session(self.one(session))
            case "GET", ["sessions", session, "timeline"]:
                return self._timeline(self.one(session))
            case "GET", ["sessions", session, "diff"]:
                return self._diff(self.one(session), query)
            case "GET", ["sessions", session, "versions", version, "messages"]:
                return self._messages(self.one(session), version, query)
            case "GET", ["sessions", session, "versions", version, "messages", number]:
                return self._piece(self.one(session), version, int(number), query)
            case "GET", ["lost"]:
                return self._lost(query)
            case "POST", ["find"]:
                return self._find(body["words"])
            case _:
                raise Refused(404, "not_found", f"There is no {path}")

    def one(self, session: str) -> Conversation:
        if session not in self.conversations:
            raise Refused(
                404, "not_found", f'No session is called "{session}"', "See what there is: hermesguard list"
            )
        return self.conversations[session]

    def copy(self, conversation: Conversation, version: str) -> list[Message]:
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
        messages = self.copy(one, version)
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
        text = self.copy(one, version)[number - 1].text
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
        a, b = self.copy(one, query["a"]), self.copy(one, query["b"])
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


def _runs(numbers: list[int], kind: str) -> list[list[Any]]:
    runs: list[list[Any]] = []
    for number in numbers:
        if runs and runs[-1][1] == number - 1:
            runs[-1][1] = number
        else:
            runs.append([number, number, kind])
    return runs
