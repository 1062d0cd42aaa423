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
from hermesguard.demo.app import App
from hermesguard.demo.chat import Chat
from hermesguard.demo.eras import Era
from hermesguard.errors import GuardError
from hermesguard.guard.requests.operations import perform
from hermesguard.repair import exchange as staging
from hermesguard.repair.standby import QUIET_SECONDS
from hermesguard.webui import session
from hermesguard.webui.directory import standby_name
from hermesguard.webui.session import Unreadable
from tests.helpers.world import World

IN_THE_MIDDLE = "said in the middle of a repair"
NAME = "aaaa00000001"
OTHER = "bbbb00000002"
DAY = 86400.0
# Long enough that its changes go into a tail.
LONG_TURNS, LONG_ANSWER_CHARACTERS = 24, 700


@dataclass(frozen=True)
class Operation:
    """`prepare` returns the session it is about; `act` is the application's; `guard` is what is put to the test."""

    name: str
    prepare: Callable[[World], Chat]
    act: Callable[[Chat], object]
    guard: Callable[[World], object]
    takes_away: bool = False
    """Something may be gone for good afterwards, because that is what was asked for."""
    is_by_user: bool = False
    """A user asks for it; who is refused, or sees the guard die, asks again."""


def visit(world: World) -> None:
    world.guard.visit(NAME)
    later(world)


def later(world: World) -> None:
    """Questions are asked when they are due, for a while."""
    world.pass_time(12)


def scan(world: World) -> None:
    """As the daemon scans: what cannot be listed now is listed later."""
    with contextlib.suppress(OSError):
        world.scan()


def start(world: World) -> None:
    """As the daemon starts: what it cannot begin with is a sentence, and the service manager tries again.

    A sessions directory that cannot be listed (OSError) is listed later.
    """
    with contextlib.suppress(GuardError, OSError):
        world.start()
    later(world)


def by_user(verb: str, **arguments: object) -> Callable[[World], None]:
    """As the daemon does what a command asks: what cannot be done is a sentence."""

    def done(world: World) -> None:
        world.refused = False  # type: ignore[attr-defined]
        try:
            perform(world.operations(), verb, arguments)
        except GuardError:
            world.refused = True  # type: ignore[attr-defined]

    return done


def small(world: World, era: Era = Era.NEW, turns: int = 3) -> Chat:
    app = world.app(era)
    chat = app.create(session_id=NAME, turns=turns)
    app.create(session_id=OTHER, turns=1)
    world.scan()
    return chat


def long(world: World) -> Chat:
    app = world.app(Era.NEW)
    chat = app.create(session_id=NAME, turns=LONG_TURNS, answer_characters=LONG_ANSWER_CHARACTERS)
    app.create(session_id=OTHER, turns=1)
    world.scan()
    return chat


def with_delta_log(world: World) -> Chat:
    chat = long(world)
    chat.turn("In the delta log", "there it is")
    world.guard.visit(NAME)
    assert world.guard.copies.store.delta_log_path(NAME).exists()
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


def standby_for(world: World) -> Chat:
    chat = asked_at_length(world)
    world.guard.get_ready()
    assert standby_name(chat.path).exists()
    return chat


def ready_and_over(world: World) -> None:
    world.guard.get_ready()
    world.guard.standby.files.drop_others(lambda _: False)


def stale_writer(world: World) -> Chat:
    chat = unsent(world)
    losses.stale_writer(chat)
    world.guard.visit(NAME)
    world.pass_time(61)
    return chat


def nothing_yet(world: World) -> Chat:
    return world.app(Era.NEW).create(session_id=OTHER, turns=1)


def create(chat: Chat) -> None:
    assert isinstance(chat.app, App)
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

    def exchange(temporary: Path, path: Path) -> bool:
        if not chat.messages:
            with world.unarmed():  # type: ignore[attr-defined]
                chat.turn(IN_THE_MIDDLE, "heard in the middle")
        return real(temporary, path)

    assert chat.path == world.sessions / f"{NAME}.json"
    staging.exchange = exchange
    try:
        visit(world)
    finally:
        staging.exchange = real
    if not chat.messages:  # it did not come to an exchange
        with world.unarmed():  # type: ignore[attr-defined]
            chat.turn(IN_THE_MIDDLE, "heard in the middle")


def log_flushed(world: World) -> None:
    world.pass_time(61)
    scan(world)


def with_history(world: World) -> Chat:
    chat = small(world, turns=5)
    for _ in range(3):
        acts.undo(chat)
        world.guard.visit(NAME)
        world.pass_time(DAY)
    world.guard.adopt(replace(world.settings, keep_versions=1))
    return chat


def uncertain(world: World) -> Chat:
    chat = small(world, Era.OLD, turns=40)
    losses.window_truncate(chat)
    world.guard.visit(NAME)
    assert world.incidents()[-1].event == "uncertain"
    return chat


def restore(world: World) -> None:
    with world.unarmed():  # type: ignore[attr-defined]
        oldest = world.guard.copies.store.versions(NAME)[0].name
    by_user("restore", name=NAME, version=oldest)(world)


def rotten(world: World) -> Chat:
    chat = small(world)
    path = world.guard.copies.store.shadow_path(NAME)
    data = bytearray(path.read_bytes())
    data[-20] ^= 4
    note = files.note(path)
    path.write_bytes(data)
    assert files.note(path) == note
    world.start()
    return chat


RACE = Operation("race", unsent, losses.wipe, raced)

OPERATIONS = (
    Operation("first look", nothing_yet, create, visit),
    Operation("growth", small, grow, visit),
    Operation("growth into a new delta log", long, grow, visit),
    Operation("growth into a delta log", with_delta_log, grow, visit),
    Operation("flushing a delta log", with_delta_log, nothing, log_flushed),
    Operation("wipe", unsent, losses.wipe, visit),
    Operation("wipe over a delta log", with_delta_log, losses.wipe, visit),
    Operation("getting ready for a wipe", asked_at_length, nothing, ready_and_over),
    Operation("wipe that was awaited", standby_for, losses.wipe, visit),
    Operation("stale", stale_writer, grow, visit),
    RACE,
    Operation("undo", small, acts.undo, visit),
    Operation("undo over a delta log", with_delta_log, acts.undo, visit),
    Operation("clear", small, acts.clear, visit),
    Operation("torn file", small, losses.tear, visit),
    Operation("deletion", small, acts.delete, visit),
    Operation("rename", lambda world: small(world, Era.OLD), acts.rotate, scan),
    Operation("vanished file", small, losses.vanish, visit),
    Operation("start over a wipe", unsent, losses.wipe, start),
    Operation("start over a delta log", with_delta_log, grow, start),
    Operation("damaged shadow", rotten, grow, visit),
    Operation("rebuilding", rotten, nothing, lambda world: world.guard.rebuild(NAME)),
    Operation("prune", with_history, nothing, by_user("prune"), takes_away=True, is_by_user=True),
    Operation("purge", with_history, nothing, by_user("purge", name=NAME), takes_away=True, is_by_user=True),
    Operation("undo by a user", uncertain, nothing, by_user("undo", incident="1"), is_by_user=True),
    Operation("accept by a user", uncertain, nothing, by_user("accept", name=NAME), is_by_user=True),
    Operation("restore by a user", with_history, nothing, restore, is_by_user=True),
)


# What must hold.


def messages_of(data: bytes) -> set[str]:
    try:
        return {message.words for message in session.parse(data).messages}
    except Unreadable:
        return set()


def messages_in_live(world: World) -> set[str]:
    found: set[str] = set()
    for path in world.sessions.glob("*.json"):
        if session.session_id(path.name):
            found |= messages_of(path.read_bytes())
    return found


def messages_on_disk(world: World) -> set[str]:
    """Every message in any file that the next start looks at."""
    found = messages_in_live(world)
    for path in world.sessions.glob(".hermesguard-*"):
        found |= messages_of(path.read_bytes())
    store = world.guard.copies.store
    for name in store.sessions():
        with contextlib.suppress(FileNotFoundError):
            found |= messages_of(store.salvage(name) or b"")
        for version in store.versions(name):
            found |= messages_of(store.read_version(version))
    return found


def live_files(world: World) -> dict[str, list[str]]:
    """The messages of each session's file, in order."""
    found = {}
    for path in sorted(world.sessions.glob("*.json")):
        if name := session.session_id(path.name):
            found[name] = [message.words for message in session.parse(path.read_bytes()).messages]
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
    """Time passes and the guard looks again, with a disk that works; a user who was refused asks again."""
    if getattr(world, "refused", False):
        operation.guard(world)
    for _ in range(3):
        world.pass_time(40)
        world.scan()


def check_healed(world: World, expected: dict[str, list[str]]) -> None:
    """Everything is where it would have been without a fault, and the store has all of it."""
    found = live_files(world)
    assert found == expected, f"live is {found}, and should be {expected}"
    copies = world.guard.copies
    assert copies.broken == "", copies.broken
    for name in expected:
        assert not copies.has_pending(name), name
        kept = copies.store.read_shadow(name)
        assert kept == (world.sessions / f"{name}.json").read_bytes(), f"the shadow of {name} is {kept!r}"
    assert [path.name for path in world.sessions.glob(".hermesguard-*")] == []
    assert not [fields for name, fields in world.ear.heard if name == "internal_error"]
