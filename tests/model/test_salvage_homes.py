"""200 random homes against a model of what must come back and what must not.

A home has one conversation: turns, undos, retries, perhaps a deletion; each act leaves what its release leaves in the traces.
Then the file is lost in one of five ways, and some traces are missing, old or torn.
"""

import json
import random
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from hermesguard.demo.eras import Era
from hermesguard.salvage.finding import State
from hermesguard.salvage.places import Places
from hermesguard.salvage.survey import survey
from tests.helpers.home import START, Home, Said, stamps, told, turn

SID = "4f2a61c09b7d"
HOMES = 200
LOSSES = ("wiped", "torn", "missing", "shortened", "deleted")


@dataclass
class Life:
    """What happened to the conversation, as the model keeps it."""

    said: list[Said] = field(default_factory=list)
    """What the page shows."""
    remembered: list[Said] = field(default_factory=list)
    """What state.db has: nothing of it was ever taken back there."""
    log: list[Said] = field(default_factory=list)
    runs: list[tuple[float, list[Said]]] = field(default_factory=list)
    taken_back: list[Said] = field(default_factory=list)
    marks: dict[str, object] = field(default_factory=dict)
    now: float = START


def live(chance: random.Random, era: Era) -> Life:
    """Let a conversation have a life of some acts."""
    life = Life()
    for number in range(chance.randint(2, 9)):
        if number > 1 and chance.random() < 0.25:
            _undo(life, era)
        fresh = turn(number, start=life.now)
        life.now = fresh[-1]["timestamp"] + chance.randint(20, 400)
        life.said = life.said + fresh
        life.remembered = life.remembered + fresh
        life.log = life.said if len(life.said) >= len(life.log) else life.log
        life.runs.append((fresh[-1]["timestamp"] + 0.1, life.said))
        if life.marks:
            life.marks["truncation_watermark"] = fresh[0]["timestamp"]
    if len(life.said) > 4 and chance.random() < 0.25:
        _undo(life, era)
    return life


def _undo(life: Life, era: Era) -> None:
    last = max(index for index, message in enumerate(life.said) if message["role"] == "user")
    life.taken_back += life.said[last:]
    life.said = life.said[:last]
    if era.marks_boundary:
        at = life.said[-1]["timestamp"] if life.said else 0.0
        life.marks |= {"truncation_watermark": at, "truncation_boundary": at}
    if era.marks_shrink:
        life.marks["intentional_shrink_generation"] = f"{len(life.taken_back):032x}"


def leave(home: Home, life: Life, chance: random.Random) -> list[list[Said]]:
    """Leave some traces of it; return what each of them has that can be read."""
    kept: list[list[Said]] = []
    if chance.random() < 0.7:
        home.remember(SID, life.remembered)
        kept.append(life.remembered)
    if chance.random() < 0.5:
        home.log(SID, life.log)
        kept.append(life.log)
    if home.era is not Era.OLD and chance.random() < 0.7:
        for number, (at, said) in enumerate(life.runs):
            path = home.run(SID, number, said, at)
            if chance.random() < 0.2:
                path.write_bytes(path.read_bytes()[:-50])
            else:
                kept.append(said)
    if home.era is not Era.OLD and chance.random() < 0.5:
        home.prompts(SID, life.remembered, shard="99")
        kept.append([message for message in life.remembered if message["role"] == "user"])
    if chance.random() < 0.2:
        text = json.dumps(home.document(SID, life.said, updated_at=life.now, **life.marks), indent=2)
        (home.sessions / f"{SID}.tmp.12.34").write_text(text, encoding="utf-8")
        kept.append(life.said)
    return kept


def lose(home: Home, life: Life, how: str, chance: random.Random) -> list[Said]:
    """Lose the file; return what can still be read of it."""
    path = home.sessions / f"{SID}.json"
    if how == "wiped":
        home.wipe(SID)
    elif how == "torn":
        data = path.read_bytes()
        path.write_bytes(data[: chance.randint(len(data) // 3, len(data) * 2 // 3)])
    elif how == "missing":
        path.unlink()
    elif how == "shortened":  # a server that went on from an older memory; the index is its own
        keep = chance.randint(1, len(life.said) - 1)
        home.save(SID, life.said[:keep], updated_at=life.now, **life.marks)
        return life.said[:keep]
    else:
        home.bury(SID)
    return []


def is_on_page(home: Home, life: Life) -> bool:
    """Return whether the journal of the last run is there, not torn, and nothing was taken back after it."""
    path = home.sessions / "_run_journal" / SID / f"{len(life.runs) - 1:032x}.jsonl"
    return path.exists() and path.read_bytes().endswith(b"}\n") and life.runs[-1][1] == life.said


def is_subsequence(part: list[tuple[str, str]], whole: list[tuple[str, str]]) -> bool:
    rest = iter(whole)
    return all(one in rest for one in part)


@pytest.mark.parametrize("seed", range(HOMES))
def test_what_must_come_back_does_and_what_must_not_does_not(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    era, schema = chance.choice([(Era.OLD, 2), (Era.OLD, 30), (Era.V720, 30), (Era.NEW, 30)])
    how = chance.choice(LOSSES)
    home = Home(tmp_path, era, schema)
    life = live(chance, era)
    home.save("neighbor", turn(0), updated_at=START)
    home.save(SID, life.said, updated_at=life.now, **life.marks)
    kept = leave(home, life, chance)
    if how == "deleted":
        home.remember("neighbor", turn(0))
    left = lose(home, life, how, chance)
    before = stamps(home.root)
    (finding,) = survey(Places(home.sessions, home.agent), [SID])
    assert stamps(home.root) == before

    if how == "deleted":
        assert finding.state is State.DELETED
        return
    back = told(json.loads(finding.document())["messages"])
    truth = told(life.said)
    assert len(set(back)) == len(back), "nothing twice"
    assert is_subsequence(back, truth), "in order, and nothing that was taken back"
    assert all(one in back for one in told(left)), "what is still there stays"
    # Behind a marked cut only a later state of the page tells what was taken back and what was said since.
    marks_tell = era.marks_boundary and how != "missing" and (not life.taken_back or is_on_page(home, life))
    if marks_tell or (not life.taken_back and how in ("wiped", "torn", "missing")):
        findable = {one for said in kept for one in told(said)}
        assert [one for one in truth if one in findable and one not in back] == []
