"""A copy of a store in use, by whatever copies files (docs/backup.md): whole, verified, and every conversation comes back."""

import itertools
import shutil
from pathlib import Path

from hermesguard.demo import acts, losses
from hermesguard.demo.chat import Chat
from hermesguard.demo.eras import Era
from hermesguard.repair.drill import drill
from hermesguard.store.store import Store
from hermesguard.store.upkeep import verify as checkup
from tests.helpers.world import World


def life(world: World) -> list[Chat]:
    """Sessions that have grown, been cut, been wiped; one is growing now."""
    app = world.app(Era.NEW)
    chats = [app.create(turns=30, answer_characters=500) for _ in range(4)]
    world.scan()
    acts.undo(chats[0])
    losses.wipe(chats[1])
    chats[2].turn("What is in the delta log?", "This is.")
    assert world.guard.copies.store.delta_log_path(chats[2].session_id).exists()
    return chats


def check(copied: Path, chats: list[Chat], at_most_missing: int = 0) -> None:
    """The copy is good, and holds every conversation but for so many of its newest messages."""
    store = Store(copied)
    store.open()
    assert checkup.verify(store, lambda name: False).damaged == []
    result = drill(store)
    assert result.restorable == len(chats)
    messages = sum(len(chat.on_disk()["messages"]) for chat in chats)
    assert messages - at_most_missing <= result.messages <= messages


def test_a_copy_made_while_the_store_changes_is_good(world: World, tmp_path: Path) -> None:
    chats = life(world)
    growing = chats[2]
    for turn, first in enumerate(itertools.permutations([".json", ".delta"])):
        # One half is copied before the delta log is flushed, or begun anew, the other after it.
        for step in ("grow", "fold", "nothing"):
            copied = tmp_path / f"copy-{turn}-{step}"
            shutil.copytree(world.store_path, copied, ignore=shutil.ignore_patterns(f"*{first[1]}"))
            if step == "grow":
                growing.turn(f"More {turn}", "and more")
            elif step == "fold":
                world.pass_time(61)
                world.scan()
            for path in (world.store_path / "shadows").glob(f"*{first[1]}"):
                shutil.copy2(path, copied / "shadows" / path.name)
            check(copied, chats, at_most_missing=6)
