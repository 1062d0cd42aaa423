"""A home of a user whose conversations were destroyed before any guard came, and what happens to others afterwards."""

import itertools
import os
from dataclasses import dataclass
from pathlib import Path

from hermesguard.demo import acts, losses
from hermesguard.demo.app import App
from hermesguard.demo.chat import Chat
from hermesguard.demo.eras import Era

TURNS = 20
LOST = {
    "wiped": "The garden in spring",
    "temporary": "Moving the server room",
    "context": "Bread without kneading",
    "missing": "A letter to the landlord",
    "torn": "Notes for the trip",
}
LIVING = {"deleted": "A present for Ada", "undone": "A parser for dates", "cleared": "Names for the boat"}


@dataclass
class Home:
    """Sessions by what became of them; `act` does what users do once a guard has seen the rest."""

    root: Path
    app: App
    chats: dict[str, Chat]

    @property
    def sessions(self) -> Path:
        return self.app.directory

    def id(self, name: str) -> str:
        return self.chats[name].session_id

    def act(self) -> None:
        """A deletion, an undo and a clear, by slip."""
        acts.delete(self.chats["deleted"])
        acts.undo(self.chats["undone"])
        acts.clear(self.chats["cleared"])


def make(root: Path) -> Home:
    """Return a home below `root` in which five conversations are lost, and three are well."""
    clock = itertools.count(1.7638e9, 0.5).__next__
    directory = root / ".hermes" / "webui" / "sessions"
    app = App(directory, Era.NEW, clock=clock, seed=5)
    chats = {
        name: app.create(title, session_id=f"{number:012x}", turns=TURNS)
        for number, (name, title) in enumerate({**LOST, **LIVING}.items(), 0xA0000001)
    }
    whole = chats["temporary"].path.read_bytes()
    index = (directory / "_index.json").read_bytes()
    losses.wipe(chats["wiped"])
    losses.wipe(chats["temporary"])
    (directory / f"{chats['temporary'].session_id}.tmp.4711.1").write_bytes(whole)
    context = chats["context"]
    document = context.on_disk()
    document["messages"] = []
    context.document = document
    context.save()
    os.remove(chats["missing"].path)
    losses.tear(chats["torn"])
    (directory / "_index.json").write_bytes(index)
    for path in directory.glob("*.bak"):
        path.unlink()
    return Home(root, app, chats)
