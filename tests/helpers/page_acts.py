"""Acts of the page's API on conversations in memory: what would change, and the change itself."""

from typing import Any

from tests.helpers.page_answers import Answers, Refused
from tests.helpers.page_world import NOON, Conversation, Message, event, name_of, point


class Acts(Answers):
    """The API with its acts; `acted` lists those that were done."""

    def __init__(self, conversations: list[Conversation]) -> None:
        super().__init__(conversations)
        self.acted: list[dict[str, Any]] = []
        self._next = 100

    def answer(self, method: str, path: str, query: dict[str, str], body: Any) -> dict[str, Any]:
        """Return the object for a request below `api/v1/`; Refused when it is an error."""
        if (method, path) == ("POST", "acts/preview"):
            return self._preview(body)
        if (method, path) == ("POST", "acts"):
            return self._act(body)
        return super().answer(method, path, query, body)

    def _planned(self, act: dict[str, Any]) -> tuple[Conversation, str, list[Message]]:
        """Return whose it is, what it is called, and the messages afterwards."""
        if act["act"] == "undo":
            one = next(
                one
                for one in self.conversations.values()
                if any(e["id"] == act["incident"] for e in one.events)
            )
            found = next(e for e in one.events if e["id"] == act["incident"])
            return one, "undone", self.copy(one, found["displaced"])
        one = self.one(act["session"])
        live = one.copies.get("live", [])
        if act["act"] == "accept":
            return one, "accepted", live
        wanted = self.copy(one, act["version"])
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
