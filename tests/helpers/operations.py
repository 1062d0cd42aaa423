"""What the guard does, one operation after another, for tests that let each fail or end at each of its steps.

An operation is prepared (the store has all of it), then the application acts unseen, then the guard does its part. However
that part ended, every message must be in some file, and the next looks must bring everything to where it would have been.
"""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from hermesguard import files
from hermesguard.demo import acts, losses
from hermesguard.demo.chat import Chat
from hermesguard.demo.eras import Era
from hermesguard.errors import GuardError
from hermesguard.guard.operations import perform
from hermesguard.repair import exchange as staging
from hermesguard.repair.readiness import QUIET_SECONDS
from hermesguard.webui import session
from hermesguard.webui.session import Unreadable
from tests.helpers.world import World

IN_THE_MIDDLE = "said in the middle of a repair"
NAME = "aaaa00000001"
OTHER = "bbbb00000002"
DAY = 86400.0
# Long enough that its changes go into a tail.
LONG = {"turns": 24, "answer_characters": 700}


@dataclass(frozen=True)
class Operation:
    """`prepare` returns the session it is about; `act` is the application's; `guard` is what is put to the test."""

    name: str
    prepare: Callable[[World], Chat]
    act: Callable[[Chat], None]
    guard: Callable[[World], None]
    takes_away: bool = False
    """Something may be gone for good afterwards, because that is what was asked for."""
    is_by_hand: bool = False
    """A person asks for it; who is refused, or sees the guard die, asks again."""


def visit(world: World) -> None:
    world.guard.visit(NAME)
    later(world)


def later(world: World) -> None:
    """Questions are asked when they are due, for a while."""
    world.pass_time(12)


def sweep(world: World) -> None:
    """As the daemon sweeps: what cannot be listed now is listed later."""
    with contextlib.suppress(OSError):
        world.sweep()


def start(world: World) -> None:
    """As the daemon starts: what it cannot begin with is a sentence, and the service manager tries again.

    A sessions directory that cannot be listed (OSError) is listed later.
    """
    with contextlib.suppress(GuardError, OSError):
        world.start()
    later(world)


def by_hand(verb: str, **arguments: object) -> Callable[[World], None]:
    """As the daemon does what a command asks: what cannot be done is a sentence."""

    def done(world: World) -> None:
        world.refused = False  # type: ignore[attr-defined]
        try:
            perform(world.hands(), verb, arguments)
        except GuardError:
            world.refused = True  # type: ignore[attr-defined]

    return done


def small(world: World, era: Era = Era.NEW, turns: int = 3) -> Chat:
    app = world.app(era)
    chat = app.create(session_id=NAME, turns=turns)
    app.create(session_id=OTHER, turns=1)
    world.sweep()
    return chat


def long(world: World) -> Chat:
    app = world.app(Era.NEW)
    chat = app.create(session_id=NAME, **LONG)
    app.create(session_id=OTHER, turns=1)
    world.sweep()
    return chat


def with_tail(world: World) -> Chat:
    chat = long(world)
    chat.turn("In the tail", "there it is")
    world.guard.visit(NAME)
    assert world.guard.keeper.store.tail_path(NAME).exists()
    return chat


def unsent(world: World) -> Chat:
    chat = small(world, Era.OLD)
    chat.send("never sent")
    world.guard.visit(NAME)
    return chat


def asked_at_length(world: World) -> Chat:
    chat = long(world)
    chat.send("never sent")
    world.guard.visit(NAME)
    world.pass_time(QUIET_SECONDS)
    return chat


def spared(world: World) -> Chat:
    chat = asked_at_length(world)
    world.guard.get_ready()
    assert staging.spare_name(chat.path).exists()
    return chat


def ready_and_over(world: World) -> None:
    world.guard.get_ready()
    world.guard.readiness.spares.drop_others(())


def ghost(world: World) -> Chat:
    chat = unsent(world)
    losses.ghost(chat)
    world.guard.visit(NAME)
    world.pass_time(61)
    return chat


def nothing_yet(world: World) -> Chat:
    return world.app(Era.NEW).create(session_id=OTHER, turns=1)


def create(chat: Chat) -> None:
    chat.app.create(session_id=NAME, turns=3)


def nothing(chat: Chat) -> None:
    pass


def grow(chat: Chat) -> None:
    chat.turn("What is new", "this is new")


def wipe_over_growth(chat: Chat) -> None:
    losses.wipe(chat)
    chat.messages = []
    chat.turn("Said over the wipe", "heard")


def raced(world: World) -> None:
    """The application saves in the middle of the exchange: what comes out is not what was judged."""
    app = world.chat.app  # type: ignore[attr-defined]
    with world.unarmed():  # type: ignore[attr-defined]
        chat = Chat(app, app.read(NAME))
    real = staging.exchange
    path = world.sessions / f"{NAME}.json"

    def exchange(temporary: Path, target: Path) -> bool:
        if not chat.messages:
            with world.unarmed():  # type: ignore[attr-defined]
                chat.turn(IN_THE_MIDDLE, "heard in the middle")
        return real(temporary, target)

    assert path == chat.path
    staging.exchange = exchange
    try:
        visit(world)
    finally:
        staging.exchange = real
    if not chat.messages:  # it did not come to an exchange
        with world.unarmed():  # type: ignore[attr-defined]
            chat.turn(IN_THE_MIDDLE, "heard in the middle")


def tail_folded(world: World) -> None:
    world.pass_time(61)
    sweep(world)


def with_history(world: World) -> Chat:
    chat = small(world, turns=5)
    for _ in range(3):
        acts.undo(chat)
        world.guard.visit(NAME)
        world.pass_time(DAY)
    world.guard.adopt(replace(world.settings, keep_versions=1))
    return chat


def in_doubt(world: World) -> Chat:
    chat = small(world, Era.OLD, turns=40)
    losses.window_truncate(chat)
    world.guard.visit(NAME)
    assert world.incidents()[-1].event == "in_doubt"
    return chat


def restore(world: World) -> None:
    with world.unarmed():  # type: ignore[attr-defined]
        oldest = world.guard.keeper.store.versions(NAME)[0].name
    by_hand("restore", name=NAME, version=oldest)(world)


def rotten(world: World) -> Chat:
    chat = small(world)
    path = world.guard.keeper.store.shadow_path(NAME)
    data = bytearray(path.read_bytes())
    data[-20] ^= 4
    note = files.note(path)
    path.write_bytes(data)
    assert files.note(path) == note
    world.start()
    return chat


RACE = Operation("race", unsent, losses.wipe, raced)

OPERATIONS = (
    Operation("first sight", nothing_yet, create, visit),
    Operation("growth", small, grow, visit),
    Operation("growth into a new tail", long, grow, visit),
    Operation("growth into a tail", with_tail, grow, visit),
    Operation("folding a tail", with_tail, nothing, tail_folded),
    Operation("wipe", unsent, losses.wipe, visit),
    Operation("wipe over a tail", with_tail, losses.wipe, visit),
    Operation("getting ready for a wipe", asked_at_length, nothing, ready_and_over),
    Operation("wipe that was awaited", spared, losses.wipe, visit),
    Operation("ghost", ghost, grow, visit),
    RACE,
    Operation("undo", small, acts.undo, visit),
    Operation("undo over a tail", with_tail, acts.undo, visit),
    Operation("clear", small, acts.clear, visit),
    Operation("torn file", small, losses.tear, visit),
    Operation("deletion", small, acts.delete, visit),
    Operation("rename", lambda world: small(world, Era.OLD), acts.rotate, sweep),
    Operation("vanished file", small, losses.vanish, visit),
    Operation("start over a wipe", unsent, losses.wipe, start),
    Operation("start over a tail", with_tail, grow, start),
    Operation("damaged shadow", rotten, grow, visit),
    Operation("rebuilding", rotten, nothing, lambda world: world.guard.rebuild(NAME) and None),
    Operation("prune", with_history, nothing, by_hand("prune"), takes_away=True, is_by_hand=True),
    Operation("purge", with_history, nothing, by_hand("purge", name=NAME), takes_away=True, is_by_hand=True),
    Operation("undo by hand", in_doubt, nothing, by_hand("undo", incident="1"), is_by_hand=True),
    Operation("accept by hand", in_doubt, nothing, by_hand("accept", name=NAME), is_by_hand=True),
    Operation("restore by hand", with_history, nothing, restore, is_by_hand=True),
)


# What must hold.


def rows_of(data: bytes) -> set[str]:
    try:
        return {row.words for row in session.parse(data).rows}
    except Unreadable:
        return set()


def rows_in_live(world: World) -> set[str]:
    found: set[str] = set()
    for path in world.sessions.glob("*.json"):
        if session.session_id(path.name):
            found |= rows_of(path.read_bytes())
    return found


def rows_on_disk(world: World) -> set[str]:
    """Every message in any file that the next start looks at."""
    found = rows_in_live(world)
    for path in world.sessions.glob(".hermesguard-*"):
        found |= rows_of(path.read_bytes())
    store = world.guard.keeper.store
    for name in store.sessions():
        with contextlib.suppress(FileNotFoundError):
            found |= rows_of(store.salvage(name) or b"")
        for version in store.versions(name):
            found |= rows_of(store.read_version(version))
    return found


def live_files(world: World) -> dict[str, list[str]]:
    """The messages of each session's file, in order."""
    found = {}
    for path in sorted(world.sessions.glob("*.json")):
        if name := session.session_id(path.name):
            found[name] = [row.words for row in session.parse(path.read_bytes()).rows]
    return found


_known_whole: set[bytes] = set()


def is_whole(path: Path) -> bool:
    """Return whether a reader of live sees a whole session, or none."""
    try:
        data = path.read_bytes()
        if data not in _known_whole:
            session.parse(data)
            _known_whole.add(data)
    except FileNotFoundError:
        pass
    except Unreadable:
        return False
    return True


def heal(world: World, operation: Operation) -> None:
    """Time passes and the guard looks again, with a disk that works; a person who was refused asks again."""
    if getattr(world, "refused", False):
        operation.guard(world)
    for _ in range(3):
        world.pass_time(40)
        world.sweep()


def check_healed(world: World, expected: dict[str, list[str]]) -> None:
    """Everything is where it would have been without a fault, and the store has all of it."""
    found = live_files(world)
    assert found == expected, f"live is {found}, and should be {expected}"
    keeper = world.guard.keeper
    assert keeper.broken == "", keeper.broken
    for name in expected:
        assert not keeper.owes(name), name
        kept = keeper.store.read_shadow(name)
        assert kept == (world.sessions / f"{name}.json").read_bytes(), f"the shadow of {name} is {kept!r}"
    assert [path.name for path in world.sessions.glob(".hermesguard-*")] == []
    assert world.ear.names().count("internal_error") == 0
