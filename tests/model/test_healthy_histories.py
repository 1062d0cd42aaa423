"""Each act done on a healthy session, in each era, in random histories: nothing is ever restored, merged or told as gone.

HERMESGUARD_HISTORIES says how many for each era (2000 take about a minute); the seed of one that fails is in its name.
"""

import json
import os
import random
from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any, Final

import pytest

from hermesguard.judge.judge import Surroundings, judge
from hermesguard.judge.verdict import Action
from hermesguard.webui import session
from tests.helpers.cases import NEW, OLD, V137, V720, V875, Value

HISTORIES: Final = int(os.environ.get("HERMESGUARD_HISTORIES", "120"))
V139: Final = V137 | {"message_count": 0}
V860: Final = V720 | {"llm_title_generated": False}
ERAS: Final = {"old": OLD, "v137": V137, "v139": V139, "v720": V720, "v860": V860, "v875": V875, "new": NEW}
CARD: Final = "[CONTEXT COMPACTION — REFERENCE ONLY] what was said before"


class Session:
    """A session as a release of one era keeps it; every act yields the files that it saves."""

    def __init__(self, era: str, dice: random.Random) -> None:
        self.era, self.dice, self.clock = era, dice, 1_700_000_000.0
        self.value: Value = {
            "session_id": "s",
            "title": "Untitled",
            "created_at": 1.5,
            "updated_at": self.clock,
            "pinned": False,
            "project_id": None,
            "input_tokens": 0,
            "output_tokens": 0,
            "active_stream_id": None,
            "pending_user_message": None,
            "pending_started_at": None,
            "compression_anchor_visible_idx": None,
            **ERAS[era],
            "messages": [],
            "tool_calls": [],
            "context_messages": [],
        }

    def has(self, key: str) -> bool:
        return key in self.value

    def save(self, **members: Any) -> Value:
        self.clock += self.dice.choice((0.01, 1.5, 60.25))
        self.value |= {**members, "updated_at": self.clock}
        if self.has("message_count"):
            self.value["message_count"] = len(self.value["messages"])
        return deepcopy(self.value)

    def stamp(self) -> float:
        self.clock += self.dice.choice((0.0, 1.0, 7.5))
        return self.clock if self.era != "old" else float(int(self.clock))

    def words(self) -> str:
        return " ".join(
            self.dice.choice(("yes", "no", "go", "on", "why", "tile")) for _ in range(self.dice.randint(1, 6))
        )

    # -- acts

    def turn(self) -> Iterator[Value]:
        asked = self.words() + f" {self.dice.randint(0, 9)}"
        started = self.clock
        yield self.save(active_stream_id="x", pending_user_message=asked, pending_started_at=started)
        question: Value = {"role": "user", "content": asked, "timestamp": self.stamp()}
        if self.dice.random() < 0.2:
            picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBOR"}}
            question["content"] = [{"type": "text", "text": asked}, picture]
        new = [question]
        if self.dice.random() < 0.4:
            call = f"call_{self.dice.getrandbits(40)}"
            new += [
                {"role": "assistant", "content": "", "tool_calls": [{"id": call}], "timestamp": self.stamp()},
                {
                    "role": "tool",
                    "content": self.words() * 9,
                    "tool_call_id": call,
                    "timestamp": self.stamp(),
                },
            ]
            self.value["tool_calls"] = [{"tid": call, "assistant_msg_idx": len(self.value["messages"]) + 1}]
        new.append(
            {"role": "assistant", "content": self.words(), "reasoning": "hm", "timestamp": self.stamp()}
        )
        title = self.value["title"] if self.value["title"] != "Untitled" else asked[:20]
        context = [{key: message[key] for key in message if key != "timestamp"} for message in new]
        done = {"active_stream_id": None, "pending_user_message": None, "pending_started_at": None}
        self.value["messages"] += new
        self.value["context_messages"] += context
        if self.dice.random() < 0.15:
            self.value["context_messages"] = [{"role": "user", "content": f"{CARD} {self.clock}"}, *context]
        marks = {"truncation_watermark": None} if self.has("truncation_watermark") else {}
        tokens = {"input_tokens": self.dice.randint(1, 99), "output_tokens": self.dice.randint(1, 99)}
        yield self.save(title=title, **done, **marks, **tokens)

    def _cut(self, count: int, context: bool) -> Iterator[Value]:
        kept = self.value["messages"][:count]
        if context:
            users = [n for n, m in enumerate(self.value["context_messages"]) if m["role"] == "user"]
            gone = sum(m["role"] == "user" for m in self.value["messages"][count:])
            if gone and users:
                self.value["context_messages"] = self.value["context_messages"][: users[-1]]
            elif not gone:
                last = users[-1] + 1 if users else 0
                self.value["context_messages"] = self.value["context_messages"][:last]
        fit = float(kept[-1].get("timestamp", 0.0)) if kept else 0.0
        marks = {key: fit for key in ("truncation_watermark", "truncation_boundary") if self.has(key)}
        if self.has("intentional_shrink_generation"):
            marks["intentional_shrink_generation"] = f"{self.dice.getrandbits(64):x}"  # type: ignore[assignment]
        yield self.save(messages=kept, **marks)

    def _questions(self) -> list[int]:
        return [n for n, message in enumerate(self.value["messages"]) if message["role"] == "user"]

    def undo(self) -> Iterator[Value]:
        if found := self._questions():
            yield from self._cut(found[-1], context=True)

    def regenerate(self) -> Iterator[Value]:
        if found := self._questions():
            yield from self._cut(found[-1] + 1, context=self.era not in ("old", "v137", "v139"))

    def edit(self) -> Iterator[Value]:
        if len(found := self._questions()) > 1:
            yield from self._cut(found[-1], context=self.era not in ("old", "v137", "v139"))
            yield from self.turn()

    def clear(self) -> Iterator[Value]:
        if not self.value["messages"]:
            return
        more: Value = {}
        if self.era in ("v860", "v875", "new"):
            more = {"context_messages": [], "truncation_watermark": 0.0, "truncation_boundary": 0.0}
        if self.has("clear_generation"):
            more["clear_generation"] = f"{self.dice.getrandbits(64):x}"
        if self.has("intentional_shrink_generation"):
            more["intentional_shrink_generation"] = f"{self.dice.getrandbits(64):x}"
        yield self.save(messages=[], tool_calls=[], title="Untitled", **more)

    def compress(self) -> Iterator[Value]:
        found = self._questions()
        if len(self.value["messages"]) < 4 or not found:
            return
        tail = [
            {key: message[key] for key in message if key != "timestamp"}
            for message in self.value["messages"][found[-1] :]
        ]
        short = [{"role": "user", "content": f"{CARD} {self.clock}"}, *tail]
        if len(short) >= len(self.value["messages"]):
            return
        lists: Value = {"context_messages": short}
        if self.era in ("old", "v137", "v139"):
            lists |= {"messages": deepcopy(short), "tool_calls": []}
        yield self.save(**lists, compression_anchor_visible_idx=int(self.clock))

    def pin(self) -> Iterator[Value]:
        yield self.save(pinned=not self.value["pinned"])

    def move(self) -> Iterator[Value]:
        yield self.save(project_id=None if self.value["project_id"] else "p1")

    def rename(self) -> Iterator[Value]:
        yield self.save(title=self.words())

    def refresh(self) -> Iterator[Value]:
        """An import refresh stamps every message anew and adds to the tools."""
        if len(self.value["messages"]) >= 3:
            for message in self.value["messages"]:
                message["timestamp"] = self.stamp()
            yield self.save()

    def cut_outputs(self) -> Iterator[Value]:
        for message in self.value["messages"]:
            if message["role"] == "tool":
                message["content"] = message["content"][:12]
        yield self.save()


ACTS: Final[tuple[Callable[[Session], Iterator[Value]], ...]] = (
    Session.turn,
    Session.turn,
    Session.turn,
    Session.undo,
    Session.regenerate,
    Session.edit,
    Session.clear,
    Session.compress,
    Session.pin,
    Session.move,
    Session.rename,
    Session.refresh,
    Session.cut_outputs,
)


def play(era: str, seed: int) -> None:
    dice = random.Random(f"{era} {seed}")
    chat = Session(era, dice)
    shadow = session.parse(json.dumps(chat.save()).encode())
    told: list[str] = []
    for _ in range(dice.randint(2, 9)):
        act = dice.choice(ACTS)
        for value in act(chat):
            told.append(act.__name__)
            live = session.parse(json.dumps(value).encode())
            verdict = judge(shadow, live, Surroundings(name="s"))
            assert verdict.action in (Action.GROWTH, Action.INTENDED), (told, verdict.rule, verdict.evidence)
            assert not verdict.taken, (told, verdict.taken)
            shadow = live


@pytest.mark.parametrize("era", ERAS)
def test_nothing_that_a_user_does_is_taken_for_a_loss(era: str) -> None:
    for seed in range(HISTORIES):
        try:
            play(era, seed)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error
