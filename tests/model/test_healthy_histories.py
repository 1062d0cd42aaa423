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

from hermesguard.demo import acts
from hermesguard.demo.eras import Era
from hermesguard.judge.judge import Surroundings, judge
from hermesguard.judge.verdict import Action
from hermesguard.webui import session
from tests.helpers.cases import NEW, OLD, V137, V720, V875, Value

HISTORIES: Final = int(os.environ.get("HERMESGUARD_HISTORIES", "120"))
V139: Final = V137 | {"message_count": 0}
V860: Final = V720 | {"llm_title_generated": False}
ERAS: Final = {"old": OLD, "v137": V137, "v139": V139, "v720": V720, "v860": V860, "v875": V875, "new": NEW}
STAND_INS: Final = {"v720": Era.V720, "v860": Era.V720, "v875": Era.V875, "new": Era.NEW}
"""Those that cut the context with an edit or a regeneration; an undo does so in all."""
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

    def question(self) -> str:
        """What is asked; what got no answer is often asked again."""
        last = self.value["messages"][-1:]
        if last and last[0]["role"] == "user" and not str(last[0]["content"]).startswith(("[{", CARD)):
            return str(last[0]["content"])
        return self.words() + f" {self.dice.randint(0, 9)}"

    def compacted(self) -> list[Value]:
        """A context behind an automatic compression: a summary, which stands first, and some of what was said last."""
        context = self.value["context_messages"]
        role = self.dice.choice(("user", "user", "assistant"))
        kept = context[max(0, len(context) - self.dice.randint(0, 5)) :]
        return [{"role": role, "content": f"{CARD} {self.clock}"}, *kept]

    # -- acts

    def dead_turn(self) -> Iterator[Value]:
        """A turn that left its question and no answer."""
        question = {"role": "user", "content": self.question(), "timestamp": self.stamp()}
        self.value["messages"].append(question)
        self.value["context_messages"].append({"role": "user", "content": question["content"]})
        if self.value["title"] == "Untitled":
            self.value["title"] = "Untold"  # of old releases a clear of an untitled session looks like a wipe
        yield self.save()

    def turn(self) -> Iterator[Value]:
        asked = self.question()
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
        if self.dice.random() < 0.2:
            self.value["context_messages"] = self.compacted()
        marks = {"truncation_watermark": None} if self.has("truncation_watermark") else {}
        tokens = {"input_tokens": self.dice.randint(1, 99), "output_tokens": self.dice.randint(1, 99)}
        yield self.save(title=title, **done, **marks, **tokens)

    def _cut(self, count: int, is_undo: bool = False) -> Iterator[Value]:
        kept = self.value["messages"][:count]
        if is_undo:
            users = [n for n, m in enumerate(self.value["context_messages"]) if m["role"] == "user"]
            self.value["context_messages"] = self.value["context_messages"][: users[-1] if users else None]
        elif self.era in STAND_INS:
            lists = self.value["messages"], self.value["context_messages"]
            self.value["context_messages"] = lists[1][: acts.context_kept(STAND_INS[self.era], *lists, count)]
        fit = float(kept[-1].get("timestamp", 0.0)) if kept else 0.0
        marks = {key: fit for key in ("truncation_watermark", "truncation_boundary") if self.has(key)}
        if self.has("intentional_shrink_generation"):
            marks["intentional_shrink_generation"] = f"{self.dice.getrandbits(64):x}"  # type: ignore[assignment]
        yield self.save(messages=kept, **marks)

    def _questions(self) -> list[int]:
        """The places of all messages by a user; none where the last one is a summary, which nobody takes back."""
        found = [n for n, message in enumerate(self.value["messages"]) if message["role"] == "user"]
        return [] if found and str(self.value["messages"][found[-1]]["content"]).startswith(CARD) else found

    def undo(self) -> Iterator[Value]:
        if found := self._questions():
            yield from self._cut(found[-1], is_undo=True)

    def regenerate(self) -> Iterator[Value]:
        if found := self._questions():
            yield from self._cut(found[-1] + 1)

    def edit(self) -> Iterator[Value]:
        if len(found := self._questions()) > 1:
            yield from self._cut(found[-1])
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
        yield self.save(**lists, compression_anchor_visible_idx=int(100 * self.clock))

    def pin(self) -> Iterator[Value]:
        yield self.save(pinned=not self.value["pinned"])

    def move(self) -> Iterator[Value]:
        yield self.save(project_id=None if self.value["project_id"] else "p1")

    def rename(self) -> Iterator[Value]:
        yield self.save(title=self.words())

    def refresh(self) -> Iterator[Value]:
        """An import refresh stamps every message anew and adds to the tools."""
        if len({str(message["content"]) for message in self.value["messages"]}) >= 3:
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
    Session.dead_turn,
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
