"""Sessions whose file goes: deleted, renamed, or lost, by the real daemon, in every release that can have it.

A directory and a daemon for each release, all at the same time: first what comes back, then what people deleted, then more at
once than anyone deletes. In the end each guard is killed and started again.
"""

import itertools
import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path

import pytest

from hermesguard.demo import acts, losses
from hermesguard.demo.app import App
from hermesguard.demo.chat import Chat
from hermesguard.demo.eras import Era
from hermesguard.demo.files import text_of
from tests.helpers.daemon_process import Daemon, Record, hermesguard

ERAS = list(Era)
KEEPS_BACKUP = [era for era in Era if era.keeps_backup]
RENAMES = [era for era in Era if era.renames_on_rotation]
release = attrgetter("release")
# Without a tombstone a deletion is believed after ten seconds.
SECONDS = 40.0
BATCH, EMPTY = 30, 5


@dataclass(eq=False)
class Place:
    """A directory with its guard and its server, and the sessions in it, by what happens to them."""

    daemon: Daemon
    app: App
    chats: dict[str, Chat] = field(default_factory=dict)
    known: dict[str, list[str]] = field(default_factory=dict)
    printed: str = ""

    def create(self, *names: str, turns: int = 3) -> None:
        for name in names:
            self.chats[name] = self.app.create(f"About {name}", turns=turns)
            self.known[name] = [text_of(message) for message in self.chats[name].messages]
        for name in names:
            self.daemon.until_kept(self.chats[name].path)

    def id(self, name: str) -> str:
        return self.chats[name].session_id

    def on_disk(self, name: str) -> list[str]:
        path = self.app.path(name)
        return (
            [text_of(message) for message in json.loads(path.read_bytes())["messages"]]
            if path.exists()
            else []
        )

    def until_back(self, name: str, session: str) -> None:
        self.daemon.until(lambda: self.on_disk(session) == self.known[name], SECONDS)

    def until_listed(self, name: str) -> None:
        """The guard has read an index that lists a session: between two saves of it, it takes its time."""
        listed = self.daemon.store / "listed.json"
        self.daemon.until(lambda: listed.exists() and self.id(name) in listed.read_text(), SECONDS)

    def reported(self, session: str, event: str) -> list[Record]:
        return self.daemon.heard(event, session=session)

    def history(self, session: str) -> list[str]:
        """Why the versions of a session were kept."""
        found = (self.daemon.store / "history" / session).glob("*.json.gz")
        return [path.name.split("-")[2] for path in found]

    def incidents(self, session: str) -> list[Record]:
        return [incident for incident in self.daemon.incidents() if incident["session"] == session]


def lost(place: Place) -> None:
    """Alone: in the old releases nothing but the index, which any save of another session writes anew, tells of a loss."""
    place.create("vanished", "stays")
    losses.vanish(place.chats["vanished"])


def lost_with_others(place: Place) -> None:
    """Three at a time: more would be too many at once."""
    chats = place.chats
    place.until_back("vanished", place.id("vanished"))
    if place.app.era.keeps_backup:
        place.create("backup")
        acts.undo(chats["backup"])
        place.daemon.until_kept(chats["backup"].path)
        place.known["backup"] = [text_of(message) for message in chats["backup"].messages]
        losses.only_backup_left(chats["backup"])
    if place.app.era.renames_on_rotation:
        place.create("destroyed", "rotated")
        chats["destroyed from"] = Chat(place.app, dict(chats["destroyed"].document))
        losses.rename_destroys(chats["destroyed"])
        chats["rotated from"] = Chat(place.app, dict(chats["rotated"].document))
        acts.rotate(chats["rotated"])


def found(place: Place) -> None:
    if place.app.era.keeps_backup:
        place.until_back("backup", place.id("backup"))
    if place.app.era.renames_on_rotation:
        place.daemon.until(lambda: where_destroyed(place), SECONDS)
        place.daemon.until_heard("renamed", session=place.id("rotated"))
    place.create("deleted")


def where_destroyed(place: Place) -> str:
    """Where the conversation is whole whose only copy was renamed and overwritten.

    A guard that saw the renamed file before the summary was saved over it repairs it there; else the old file comes back.
    """
    for name in ("destroyed from", "destroyed"):
        said = place.on_disk(place.id(name))
        if all(words in said for words in place.known["destroyed"]):
            return name
    return ""


def deleted(place: Place) -> None:
    place.until_listed("deleted")
    place.chats["btw"] = Chat(place.app, {"session_id": acts.side_question(place.app, "what is it", "this")})
    side = acts.side_question(place.app, "what else", "that", kind="bg")
    place.chats["bg"] = Chat(place.app, {"session_id": side})
    acts.delete(place.chats["deleted"])


def deleted_unseen(place: Place) -> None:
    """The guard is stopped, and runs again when the session is deleted."""
    place.daemon.until_heard("deleted", SECONDS, session=place.id("deleted"))
    place.create("deleted unseen")
    place.daemon.stop()
    acts.delete(place.chats["deleted unseen"])
    place.daemon.start(ready=False)


def batch(place: Place) -> None:
    """Thirty at once."""
    session = place.id("deleted unseen")
    place.daemon.until(
        lambda: place.reported(session, "deleted") or place.reported(session, "not_known"), SECONDS
    )
    place.create(*(f"batch {number}" for number in range(BATCH)), "lost after a batch", turns=1)
    place.create(*(f"empty {number}" for number in range(EMPTY)), turns=0)
    place.until_listed(f"empty {EMPTY - 1}")
    for number in range(BATCH):
        acts.delete(place.chats[f"batch {number}"])


def cleaned_up(place: Place) -> None:
    for number in range(BATCH):
        session = place.id(f"batch {number}")
        place.daemon.until(lambda session=session: place.reported(session, "deleted"), SECONDS)
    place.chats["stays"].save()  # where the index is gone, this builds it anew
    acts.clean_up(place.app)
    place.chats["stays"].save()


def lost_after_a_batch(place: Place) -> None:
    for number in range(EMPTY):
        session = place.id(f"empty {number}")
        place.daemon.until(lambda session=session: place.reported(session, "deleted"), SECONDS)
    losses.vanish(place.chats["lost after a batch"])


def many_gone(place: Place) -> None:
    place.until_back("lost after a batch", place.id("lost after a batch"))
    place.create(*(f"gone {number}" for number in range(4)))
    for number in range(4):
        losses.vanish(place.chats[f"gone {number}"])


def brought_back(place: Place) -> None:
    place.daemon.until_heard("mass_change_held", SECONDS)
    assert not any(place.chats[f"gone {number}"].path.exists() for number in range(4))
    where = ("--sessions", place.daemon.sessions, "--store", place.daemon.store)
    place.printed = hermesguard(place.daemon.store.parent, "restore", "--all-missing", *where).stdout
    for number in range(4):
        place.until_back(f"gone {number}", place.id(f"gone {number}"))


PLAYED = (
    lost,
    lost_with_others,
    found,
    deleted,
    deleted_unseen,
    batch,
    cleaned_up,
    lost_after_a_batch,
    many_gone,
    brought_back,
)


@pytest.fixture(scope="module")
def places() -> Iterator[dict[Era, Place]]:
    """What happens, in all releases side by side."""
    with tempfile.TemporaryDirectory() as root:
        built = {}
        for era in Era:
            daemon = Daemon(Path(root) / era.name)
            daemon.sessions.mkdir(parents=True)
            clock = itertools.count(1_760_000_000.0, 1.5).__next__
            built[era] = Place(daemon.start(ready=False), App(daemon.sessions, era, clock=clock, seed=era))
        try:
            for place in built.values():
                place.daemon.until_heard("ready", SECONDS)
            for act in PLAYED:
                for place in built.values():
                    act(place)
            for place in built.values():
                place.daemon.kill()
                place.daemon.start(ready=False)
            for place in built.values():
                place.daemon.until(lambda place=place: len(place.daemon.heard("ready")) == 3, SECONDS)
            yield built
        finally:
            for place in built.values():
                place.daemon.__exit__()


@pytest.mark.parametrize("era", ERAS, ids=release)
def test_rule_20_a_file_that_is_only_gone_comes_back(places: dict[Era, Place], era: Era) -> None:
    place = places[era]
    session = place.id("vanished")
    assert place.on_disk(session) == place.known["vanished"]
    [incident] = place.incidents(session)
    assert (incident["rule"], incident["event"]) == ("20 missing", "missing")
    assert incident["undo"]


@pytest.mark.parametrize("era", KEEPS_BACKUP, ids=release)
def test_issue_2035_a_left_backup_does_not_bring_back_what_was_undone(
    places: dict[Era, Place], era: Era
) -> None:
    place = places[era]
    session = place.id("backup")
    assert len(place.known["backup"]) == 4
    assert place.on_disk(session) == place.known["backup"]
    assert place.chats["backup"].backup_path.exists()
    assert [incident["rule"] for incident in place.incidents(session)] == ["20 missing"]


@pytest.mark.parametrize("era", RENAMES, ids=release)
def test_issue_2223_a_rename_that_destroys_the_only_copy(places: dict[Era, Place], era: Era) -> None:
    place = places[era]
    where = place.id(where_destroyed(place))
    summary = {text_of(message) for message in place.chats["destroyed"].messages}
    assert summary <= set(place.on_disk(place.id("destroyed")))
    [incident] = place.incidents(where)
    if where == place.id("destroyed"):
        assert incident["displaced"]
        assert place.reported(where, "renamed")
    else:
        assert incident["rule"] == "20 missing"
        assert "a new session with the same creation time lacks messages of it" in incident["evidence"]


@pytest.mark.parametrize("era", RENAMES, ids=release)
def test_rule_19_a_rotation_by_rename_is_followed(places: dict[Era, Place], era: Era) -> None:
    place = places[era]
    old, new = place.id("rotated from"), place.id("rotated")
    assert not place.app.path(old).exists()
    assert place.on_disk(new) == place.known["rotated"]
    [event] = place.reported(new, "renamed")
    assert event["rule"] == "19 renamed"
    assert place.daemon.shadow(place.app.path(old)) is None
    assert place.daemon.shadow(place.app.path(new)) == place.app.path(new).read_bytes()
    assert place.incidents(old) == place.incidents(new) == []


@pytest.mark.parametrize("era", ERAS, ids=release)
def test_rule_18_a_deletion_stands(places: dict[Era, Place], era: Era) -> None:
    place = places[era]
    session = place.id("deleted")
    assert not place.app.path(session).exists()
    assert place.daemon.shadow(place.app.path(session)) is None
    [event] = place.reported(session, "deleted")
    assert event["rule"] == "18 deleted"
    assert place.history(session) == ["deleted"]
    assert place.incidents(session) == []
    said = "the application has noted its deletion" in event["evidence"]
    assert said == era.buries


@pytest.mark.parametrize("kind", ["btw", "bg"])
@pytest.mark.parametrize("era", ERAS, ids=release)
def test_rule_18_a_side_question_ends(places: dict[Era, Place], era: Era, kind: str) -> None:
    place = places[era]
    session = place.id(kind)
    assert not place.app.path(session).exists()
    assert place.incidents(session) == []
    assert place.daemon.shadow(place.app.path(session)) is None


@pytest.mark.parametrize("era", ERAS, ids=release)
def test_many_missing_at_once_are_held_until_a_user_decides(places: dict[Era, Place], era: Era) -> None:
    place = places[era]
    [brake] = place.daemon.heard("mass_change_held")
    assert (brake["priority"], brake["count"]) == (2, 4)
    for number in range(4):
        session = place.id(f"gone {number}")
        assert place.on_disk(session) == place.known[f"gone {number}"]
        assert place.reported(session, "deleted") == []
        assert place.history(session) == []
    assert place.printed.endswith("4 sessions restored.\n")
    assert place.on_disk(place.id("stays")) == place.known["stays"]
    assert place.incidents(place.id("stays")) == []


@pytest.mark.parametrize("era", ERAS, ids=release)
def test_rule_18_a_batch_and_a_clean_up_go_through_and_a_loss_beside_them_comes_back(
    places: dict[Era, Place], era: Era
) -> None:
    place = places[era]
    names = [f"batch {number}" for number in range(BATCH)] + [f"empty {number}" for number in range(EMPTY)]
    for name in names:
        session = place.id(name)
        assert not place.app.path(session).exists()
        assert [event["rule"] for event in place.reported(session, "deleted")] == ["18 deleted"]
        assert place.history(session) == ["deleted"]
        assert place.incidents(session) == []
    lost_one = place.id("lost after a batch")
    assert [incident["rule"] for incident in place.incidents(lost_one)] == ["20 missing"]


@pytest.mark.parametrize("era", ERAS, ids=release)
def test_rule_18_a_deletion_while_no_guard_runs_stands(places: dict[Era, Place], era: Era) -> None:
    place = places[era]
    session = place.id("deleted unseen")
    assert not place.app.path(session).exists()
    assert place.daemon.shadow(place.app.path(session)) is None
    assert place.history(session) == ["deleted"]
