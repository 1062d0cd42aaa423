"""Conversations with a past, as the page's API tells of them, for the tests of the page."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)

HOSTILE = '<img src=x onerror="window.hit=1"><script>window.hit=1</script>'
REORDERED = "invoice \u202egnp.exe\u202c \u2066end\u2069"
CONTROLS = "bell \x07 escape \x1b[31m null \x00 delete \x7f soft\u00adhyphen \u200bzero"
ARABIC = "خطة الحديقة مع server-01 لفصل الربيع"
CHINESE = "把服务器机房搬到三楼的计划和时间表"
LONG_TITLE = ("A title that was pasted from a long letter about the move of the whole archive " * 4)[:300]
LONG_WORD = "w" * 300


def instant(when: datetime) -> str:
    """Return a time as the API writes it."""
    return when.isoformat()


@dataclass(slots=True)
class Message:
    """One message; `key` says which of them are the same one."""

    key: str
    role: str
    text: str
    when: datetime
    extras: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Conversation:
    """One session with its copies: `live`, `latest` and the versions of the history, each a list of messages."""

    session: str
    title: str
    state: str = "fine"
    copies: dict[str, list[Message]] = field(default_factory=dict)
    points: list[dict[str, Any]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    changed: datetime = NOON
    is_live: bool = True

    @property
    def newest(self) -> list[Message]:
        """The messages that are shown first."""
        return self.copies.get("latest") or self.copies.get("live") or []

    @property
    def versions(self) -> list[str]:
        """Names of the history."""
        return [name for name in self.copies if name not in {"live", "latest"}]


def talk(count: int, start: datetime = NOON - timedelta(hours=5), name: str = "m") -> list[Message]:
    """Return a conversation of so many messages, one each twenty seconds."""
    return [
        Message(
            f"{name}{number}",
            "assistant" if number % 2 else "user",
            f"Question {number // 2 + 1}: what does part {number // 2 + 1} do?"
            if number % 2 == 0
            else f"Part {number // 2 + 1} does what part {number // 2 + 1} says.",
            start + timedelta(seconds=20 * number),
        )
        for number in range(count)
    ]


def name_of(when: datetime) -> str:
    """Return the name of a version that was kept then."""
    return when.strftime("%Y%m%dT%H%M%S.%fZ")


def point(
    when: datetime, count: int, version: str | None, mark: str = "", incident: str | None = None
) -> dict[str, Any]:
    """Return a point of a timeline."""
    return {
        "time": instant(when),
        "message_count": count,
        "mark": mark,
        "version": version,
        "upto": count,
        "incident": incident,
    }


def growth(messages: list[Message], version: str, most: int = 500) -> list[dict[str, Any]]:
    """Return the points of a conversation that grew to these messages."""
    step = max(1, len(messages) // most)
    return [
        point(message.when, number, version)
        for number, message in enumerate(messages, 1)
        if number % step == 0 or number in {1, len(messages)}
    ]


def event(conversation: Conversation, number: int, what: str, when: datetime, **more: Any) -> dict[str, Any]:
    """Return an event of a conversation."""
    return {
        "id": str(number),
        "time": instant(when),
        "session": conversation.session,
        "title": conversation.title,
        "state": conversation.state,
        "what": what,
        "messages_before": None,
        "messages_live": None,
        "messages_after": None,
        "messages_lost": None,
        "messages_back": None,
        "evidence": [],
        "against": [],
        "meaning": "",
        "error": "",
        "duration_us": None,
        "version": "",
        "displaced": "",
        "resolved_by": None,
        "sides": [],
        "acts": [],
        "incident": None,
        **more,
    }


def wiped(session: str, title: str, count: int, number: int, when: datetime = NOON) -> Conversation:
    """Return a conversation that was emptied and is whole again."""
    found = Conversation(session, title, "restored", changed=when)
    messages = talk(count, when - timedelta(seconds=20 * count + 30), session)
    before, emptied = name_of(when), name_of(when + timedelta(microseconds=1))
    whole = [
        *messages,
        Message(f"{session}prompt", "user", "and the switches?", when, {"labels": ["recovered"]}),
    ]
    found.copies = {"live": whole, "latest": list(whole), before: messages, emptied: []}
    found.points = [
        *growth(messages, "latest"),
        point(when - timedelta(microseconds=2), count, before, "", str(number)),
        point(when - timedelta(microseconds=1), 0, emptied, "loss", str(number)),
        point(when, count + 1, "latest", "repair", str(number)),
    ]
    found.events = [
        event(
            found,
            number,
            "brought_back",
            when,
            messages_before=count,
            messages_live=0,
            messages_after=count + 1,
            messages_lost=count,
            messages_back=count + 1,
            duration_us=612,
            evidence=[
                "an empty copy was saved over the conversation (hermes-webui #1558)",
                "no message is left",
            ],
            meaning="exactly what a saved metadata-only stub leaves: restore at once",
            version=before,
            displaced=emptied,
            acts=[{"act": "undo", "incident": str(number)}],
        )
    ]
    return found


def uncertain(session: str, title: str, number: int, when: datetime = NOON) -> Conversation:
    """Return a conversation that lost six messages, and nobody knows why."""
    found = Conversation(session, title, "uncertain", changed=when)
    messages = talk(24, when - timedelta(hours=1), session)
    before = name_of(when)
    found.copies = {"live": messages[:18], "latest": messages[:18], before: messages}
    found.points = [
        *growth(messages, before),
        point(when - timedelta(microseconds=1), 24, before, "", str(number)),
        point(when, 18, "latest", "loss", str(number)),
    ]
    found.events = [
        event(
            found,
            number,
            "not_sure",
            when,
            messages_before=24,
            messages_live=18,
            messages_after=18,
            messages_lost=6,
            evidence=["the last three turns are gone in one write"],
            against=["the title is as it was"],
            version=before,
            sides=[
                {
                    "version": "live",
                    "message_count": 18,
                    "is_now": True,
                    "can_read": True,
                    "act": {"act": "accept", "session": session},
                },
                {
                    "version": before,
                    "message_count": 24,
                    "is_now": False,
                    "can_read": True,
                    "act": {"act": "restore", "session": session, "version": before},
                },
            ],
            acts=[{"act": "restore", "session": session, "version": before}],
        )
    ]
    return found


def taken_back(session: str, title: str, number: int, when: datetime = NOON) -> Conversation:
    """Return a conversation of which the user took the last turn back."""
    found = Conversation(session, title, "shortened", changed=when)
    messages = talk(24, when - timedelta(hours=2), session)
    before = name_of(when)
    found.copies = {"live": messages[:22], "latest": messages[:22], before: messages}
    found.points = [
        *growth(messages, before),
        point(when - timedelta(microseconds=1), 24, before, "", str(number)),
        point(when, 22, "latest", "intended", str(number)),
    ]
    found.events = [
        event(
            found,
            number,
            "taken_back",
            when,
            messages_before=24,
            messages_live=22,
            messages_lost=2,
            evidence=["a marked shrink that fits an undo"],
            version=before,
            acts=[{"act": "restore", "session": session, "version": before}],
        )
    ]
    return found


def deleted(session: str, title: str, when: datetime = NOON) -> Conversation:
    """Return a conversation that the user deleted; a copy is still kept."""
    found = Conversation(session, title, "deleted", changed=when, is_live=False)
    messages = talk(8, when - timedelta(hours=2), session)
    kept = name_of(when)
    found.copies = {kept: messages}
    found.points = [*growth(messages, kept), point(when, 0, None, "intended")]
    found.events = [
        event(
            found,
            0,
            "deleted",
            when,
            id="",
            messages_before=8,
            version=kept,
            acts=[{"act": "restore", "session": session, "version": kept}],
        )
    ]
    return found


def plain(
    session: str, title: str, count: int = 6, when: datetime = NOON - timedelta(days=3)
) -> Conversation:
    """Return a conversation to which nothing happened."""
    found = Conversation(session, title, changed=when)
    messages = talk(count, when - timedelta(seconds=20 * count), session)
    found.copies = {"live": messages, "latest": list(messages)}
    found.points = growth(messages, "latest")
    return found


def with_texts(session: str, title: str, texts: list[str]) -> Conversation:
    """Return a conversation of just these texts."""
    found = plain(session, title, len(texts))
    for message, text in zip(found.copies["latest"], texts, strict=True):
        message.text = text
    return found


def standard() -> list[Conversation]:
    """Return one conversation of each kind."""
    unreadable = plain("unread000001", "Old letters", 9)
    unreadable.state = "unreadable"
    hostile = with_texts(
        "hostile00001", HOSTILE, [HOSTILE, REORDERED, CONTROLS, ARABIC, LONG_WORD, "line " * 210_000]
    )
    hostile.copies["latest"][1].extras = {
        "tools": [{"what": "call", "name": HOSTILE, "text": HOSTILE, "text_length": len(HOSTILE)}],
        "reasoning": HOSTILE,
    }
    return [
        wiped("wiped0000001", "Moving the server room", 1000, 17),
        uncertain("unsure000001", "Tax 2025", 16, NOON - timedelta(minutes=40)),
        taken_back("taken0000001", "A parser for dates", 15, NOON - timedelta(hours=1)),
        wiped("arabic000001", ARABIC, 12, 14, NOON - timedelta(days=1)),
        wiped("chinese00001", CHINESE, 30, 13, NOON - timedelta(days=2)),
        wiped("longtitle001", LONG_TITLE, 5, 12, NOON - timedelta(days=2, hours=1)),
        deleted("deleted00001", "Garden plan", NOON - timedelta(hours=9)),
        unreadable,
        hostile,
        plain("plain0000001", "Notes for the trip", 40),
        plain("untitled0001", "", 2),
    ]


def many(count: int = 10_000, messages: int = 5_000) -> list[Conversation]:
    """Return so many conversations; the first has so many messages."""
    first = wiped("big000000001", "The whole year", messages - 1, 9)
    return [
        first,
        *(
            plain(f"s{number:011d}", f"Conversation {number}", 2, NOON - timedelta(minutes=number))
            for number in range(1, count)
        ),
    ]
