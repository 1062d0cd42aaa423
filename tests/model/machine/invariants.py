"""What must hold of a session whenever everything has come to rest."""

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

from hermesguard.store.store import Store
from hermesguard.webui import session
from hermesguard.webui.session import Document, Unreadable
from tests.helpers.world import World
from tests.model.machine.talks import SAID_OFTEN, Talk, words_of


def check_as_meant(world: World, talk: Talk) -> None:
    """The file says what the user means, each message once; nothing is lost (promises 1 to 3)."""
    live = session.parse(path_of(world, talk).read_bytes())
    assert path_of(world, talk).stat().st_mode & 0o777 == 0o644 & ~umask()
    said = [words for words in words_of(live.messages) if words not in talk.extra]
    expected = [words for words in talk.meant if words not in talk.extra]
    for prompt in {talk.prompt, live.prompt} - {""}:
        if prompt == live.prompt and prompt in expected:
            expected.remove(prompt)  # it runs, whether it is a message already or not
        if prompt in said and prompt not in expected:
            said.remove(prompt)
    if any(message.timestamp is None for message in live.messages):
        said, expected = sorted(said), sorted(expected)
    assert said == expected, story_of(talk)
    check_sound(world, talk, live)


def check_sound(world: World, talk: Talk, live: Document) -> None:
    """Nothing stands there twice, the shadow is the file, and nothing is lost: promised whatever is uncertain."""
    rare = [words for words in words_of(live.messages) if words not in SAID_OFTEN]
    assert len(rare) == len(set(rare)), f"twice: {story_of(talk)}"
    shadow = world.guard.copies.store.read_shadow(talk.chat.session_id)
    assert shadow == path_of(world, talk).read_bytes(), story_of(talk)
    check_nothing_lost(world, talk)


def check_gone(world: World, talk: Talk) -> None:
    """A session that was deleted stays so, and what was in it is kept."""
    assert not path_of(world, talk).exists(), story_of(talk)
    check_nothing_lost(world, talk)


def check_nothing_lost(world: World, talk: Talk) -> None:
    """What the guard ever saw in a good file is somewhere (promise 1)."""
    names = (talk.chat.session_id, *talk.ids)
    if talk.seen <= words_live(world.sessions, names):
        return
    lost = talk.seen - words_kept(world.sessions, world.guard.copies.store, names)
    assert not lost, (lost, story_of(talk))


def words_live(sessions: Path, names: Iterable[str]) -> set[str]:
    """What is said in the files of sessions, as far as they are there and whole."""
    said: set[str] = set()
    for name in names:
        with contextlib.suppress(FileNotFoundError, Unreadable):
            said.update(words_of(session.parse((sessions / f"{name}.json").read_bytes()).messages))
    return said


def words_kept(sessions: Path, store: Store, names: Iterable[str]) -> set[str]:
    """What is said in the files of sessions, in their shadows, and in their history."""
    names = list(names)
    said = words_live(sessions, names)
    for name in names:
        if store.has_shadow(name):
            said.update(words_of(session.parse(store.read_shadow(name)).messages))
        for version in store.versions(name):
            with contextlib.suppress(Unreadable):
                said.update(words_of(session.parse(store.read_version(version)).messages))
    return said


def path_of(world: World, talk: Talk) -> Path:
    """Where the session's file is, or would be."""
    return world.sessions / f"{talk.chat.session_id}.json"


def story_of(talk: Talk) -> str:
    """What happened to the session, for who reads a failure."""
    return f"{talk.chat.session_id} ({talk.era.name}): " + ", ".join(talk.story)


def umask() -> int:
    """Return the process's umask, which can only be read by setting it."""
    value = os.umask(0)
    os.umask(value)
    return value
