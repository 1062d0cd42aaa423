"""The guard's work without a daemon: one scan, or one request of a user, under the store's lock; a dry one without it."""

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator, Set
from pathlib import Path
from typing import Any, Final

from hermesguard import files
from hermesguard.config.memory import session_limit_bytes
from hermesguard.config.settings import Settings
from hermesguard.daemon.status import SCHEMA_VERSION, OfOne, merged, status_of
from hermesguard.errors import ExitCode, GuardError
from hermesguard.events.reporter import PartReporter, Reporter, open_reporter
from hermesguard.guard.context import Context
from hermesguard.guard.gone.brake import LONGEST_BYTES
from hermesguard.guard.gone.missing import LISTED_FILE
from hermesguard.guard.guard import Guard
from hermesguard.guard.requests.operations import Operations, perform
from hermesguard.judge.judge import Action, Surroundings, judge, judge_missing, judge_unreadable
from hermesguard.store import incidents
from hermesguard.store.directories.parts import Part, part_settings, parts_of, planned
from hermesguard.store.incidents import IncidentLog
from hermesguard.store.inventory import messages_of, shadow_entries
from hermesguard.store.place import top_of
from hermesguard.store.store import Store
from hermesguard.webui import header as head
from hermesguard.webui import session
from hermesguard.webui.directory import Release, SessionsDirectory
from hermesguard.webui.lists.lost_before import remains, signs, titles
from hermesguard.webui.session import Document, Unreadable

PATIENCE_SECONDS = 60.0
"""A single look takes it that what it sees has been so for a while."""


_AT_REST: Final = {"ready": True, "watch": "none", "watch_reason": "", "watch_lost": False}


@contextlib.contextmanager
def guarding(settings: Settings, reporter: Reporter | None = None, create: bool = False) -> Iterator[Guard]:
    """Hold the store's lock and yield a guard that knows what the store knows. Raises GuardError."""
    store = Store(settings.store)
    if create:
        store.create()
    else:
        store.open()
    with _in_turn(top_of(settings.store)):
        store.take_lock()
        with _guarding(settings, store, reporter) as guard:
            yield guard


@contextlib.contextmanager
def _in_turn(top: Path) -> Iterator[None]:
    """Wait until no other command acts in a part of this store: each would give the same number to an incident."""
    descriptor = os.open(top, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(
            OSError
        ):  # some file servers have no such lock, and no two commands at once most of the time
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _guarding(settings: Settings, store: Store, reporter: Reporter | None) -> Iterator[Guard]:
    is_own = reporter is None
    reporter = reporter or open_reporter(way="quiet")
    log = IncidentLog(settings.store)
    log.last_elsewhere = lambda: _last_elsewhere(settings.store)
    try:
        guard = Guard(Context.furnish(settings, store, log, reporter))
        guard.begin()
        yield guard
        guard.rolled_back.report(time.monotonic(), at_once=True)
        list(guard.copies.retry_pending())
        list(guard.copies.flush_delta_logs(quiet_seconds=0))
        reporter.flush(1.0)
    finally:
        if is_own:
            reporter.close()
        store.lock.release()


def _last_elsewhere(store: Path) -> int:
    """Return the highest number of an incident in the other parts of the store."""
    top = top_of(store)
    others = [part.root for part in parts_of(top, top) if part.root != store]
    return max((int(one.id) for root in others for one in incidents.read_all(root)), default=0)


@contextlib.contextmanager
def at_rest(settings: Settings) -> Iterator[Callable[[str, dict[str, Any]], dict[str, Any]]]:
    """Yield what does a verb here and now, because no guard runs on the store."""
    with guarding(settings) as guard:
        operations = Operations(guard)
        yield lambda verb, arguments: perform(operations, verb, arguments)


@contextlib.contextmanager
def looking(settings: Settings) -> Iterator[Callable[[str, dict[str, Any]], dict[str, Any]]]:
    """Yield what says of a verb what it would do, by what can be read now: for dry runs, which need no right to write.

    Nothing is written, the lock neither. Raises GuardError.
    """
    store = Store(settings.store)
    store.open()
    store.place.require_for(settings.sessions)
    log = IncidentLog(settings.store)
    with contextlib.suppress(OSError):  # an act that needs it meets it again, and says so
        log.load()
    operations = Operations(Guard(Context.furnish(settings, store, log, Reporter([]))))
    yield lambda verb, arguments: perform(operations, verb, arguments)


def scan(settings: Settings, reporter: Reporter) -> dict[str, Any]:
    """Look at every session once and repair what is lost, as the guard does at its start; return how things stand then.

    Waits for what only time can answer (a torn file, a vanished one), at most some seconds. Every sessions directory is looked
    at, the first one first: further ones lie in its store.
    """
    parts = _there(settings)
    if len(parts) == 1 and parts[0].root == settings.store:
        check_sessions_directory(settings)
        return _scan(settings, reporter)
    Store(settings.store).create()  # the others' parts lie in it, whether it has copies of its own or not
    found, refused, errors = [], [], []
    for part in parts:
        mine = part_settings(settings, part)
        try:
            check_sessions_directory(mine)
            status = _scan(
                mine, reporter if part.root == settings.store else PartReporter(reporter, part.name)
            )
        except GuardError as error:
            errors.append(error)
            refused.append({"sessions_directory": str(part.sessions), "error": error.what})
        else:
            found.append(OfOne(part.name, status | _AT_REST, False))
    if not found:
        raise errors[0]
    return merged(found, refused)


def _there(settings: Settings) -> list[Part]:
    """Return the planned parts without those of which there is no directory, and nothing is kept; at least the first one."""
    parts = planned(settings)
    return [part for part in parts if os.path.lexists(part.sessions) or Store(part.root).sessions()] or parts[
        :1
    ]


def _scan(settings: Settings, reporter: Reporter) -> dict[str, Any]:
    with guarding(settings, reporter, create=True) as guard:
        guard.scans.trust(None)  # there is no second look that would find what was changed in place
        guard.finish_interrupted_repairs()
        for _ in guard.scan():
            pass
        while (wait := guard.run_deferred()) is not None:
            time.sleep(wait)
        return status_of(guard)


def check(settings: Settings) -> dict[str, Any]:
    """Look at every session without changing anything; return what was found, each finding with its evidence."""
    parts = _there(settings)
    if len(parts) == 1:
        return _check(part_settings(settings, parts[0]))
    found, refused, errors = {}, [], []
    for part in parts:
        try:
            found[part.name] = _check(part_settings(settings, part))
        except GuardError as error:
            errors.append(error)
            refused.append({"sessions_directory": str(part.sessions), "error": error.what})
    if not found:
        raise errors[0]
    return {
        "schema_version": SCHEMA_VERSION,
        "sessions": sum(one["sessions"] for one in found.values()),
        "findings": [
            {**finding, "directory": name} for name, one in found.items() for finding in one["findings"]
        ],
        "wrong": sum(one["wrong"] for one in found.values()),
        "refused": refused,
    }


def _check(settings: Settings) -> dict[str, Any]:
    check_sessions_directory(settings)
    store = Store(settings.store)
    if store.root.exists():
        store.open()
    directory = SessionsDirectory(settings.sessions)
    with contextlib.suppress(OSError):
        directory.index.recall(files.read(store.root / LISTED_FILE, LONGEST_BYTES)[0])
    shadows = {shadow.session: (shadow.size_bytes, shadow.mtime_ns) for shadow in store.shadows()}
    present = directory.states()
    newest = max(present, key=lambda name: present[name][1], default="")
    release = directory.release_of(newest) if newest else Release()
    findings = []
    for name in shadows if not present else ():
        if not directory.has_tombstone(name):
            findings.append(_gone_with_all(store, name, len(shadows)))
    for name in sorted(present.keys() | (shadows.keys() if present else set())):
        if present.get(name) != shadows.get(name) and (found := _finding(store, directory, release, name)):
            findings.append(found)
    findings = _with_signs(store, directory, present.keys(), findings)
    wrong = [found for found in findings if found["state"] != "new"]
    return {
        "schema_version": SCHEMA_VERSION,
        "sessions": len(present),
        "findings": findings,
        "wrong": len(wrong),
    }


def _with_signs(
    store: Store, directory: SessionsDirectory, present: Set[str], findings: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Return the findings, with what looks lost from before the guard came and nobody has answered yet."""
    counts: dict[str, int | None] = {
        shadow.session: messages_of(store, shadow) for shadow in shadow_entries(store)
    }
    counts = {name: count for name, count in counts.items() if name in present}
    counts |= {found["session"]: found["messages_live"] for found in findings if found["session"] in present}
    log = incidents.read_all(store.root)
    done = incidents.resolved(log)
    answered = {one.session for one in log if one.event == incidents.LOST_BEFORE and one.id in done}
    answered |= {one.session for one in log if not one.is_note}
    known = {found["session"]: found for found in findings if found["state"] not in ("new", "unreadable")}
    for sign in signs(directory.path, remains(directory.path), counts):
        if sign and sign.session not in answered and sign.session not in known:
            known[sign.session] = {
                "session": sign.session,
                "messages_before": sign.messages,
                "messages_live": sign.live,
                "state": "lost before",
                "rule": "",
                "evidence": list(sign.evidence),
            }
    merged = {found["session"]: found for found in findings} | known
    heads = titles(directory.path)
    return [
        {**merged[name], "title": _title(directory, name) or heads.get(name, "")} for name in sorted(merged)
    ]


def _title(directory: SessionsDirectory, name: str) -> str:
    try:
        return head.title(head.read(directory.file(name), session.TITLE))
    except OSError:
        return ""


def _finding(
    store: Store, directory: SessionsDirectory, release: Release, name: str
) -> dict[str, Any] | None:
    shadow = _document(store.shadow_path(name)) or _document(directory.backup(name))
    live_path = directory.file(name)
    live = _document(live_path)
    there = files.stamp(live_path) is not None
    result = {
        "session": name,
        "messages_before": len(shadow.messages) if shadow else None,
        "messages_live": len(live.messages) if live else None,
    }
    if shadow is None:
        return {**result, "state": "new" if live else "unreadable", "rule": "", "evidence": []}
    if live:
        verdict = judge(shadow, live, Surroundings(waited_seconds=PATIENCE_SECONDS))
        if verdict.action in (Action.GROWTH, Action.INTENDED):
            return (
                None
                if store.has_shadow(name)
                else {**result, "state": "new", "rule": verdict.rule, "evidence": []}
            )
    elif there:
        verdict = judge_unreadable("not a session", Surroundings(waited_seconds=PATIENCE_SECONDS))
    else:
        said = directory.index.says(name, time.monotonic())
        went = said == "none" and directory.index.went_unseen
        around = Surroundings(
            gone=True,
            waited_seconds=PATIENCE_SECONDS,
            tombstone=directory.has_tombstone(name),
            may_leave_none=not release.leaves_tombstones or directory.tombstones.may_lack(name),
            unlinks_index=release.unlinks_index,
            index="unlinked" if went else said,
        )
        verdict = judge_missing(shadow, around)
        if verdict.action is Action.DELETED:
            return None
    state = {Action.UNCERTAIN: "uncertain"}.get(verdict.action, "lost") if there else "missing"
    return {**result, "state": state, "rule": verdict.rule, "evidence": list(verdict.evidence)}


def _gone_with_all(store: Store, name: str, count: int) -> dict[str, Any]:
    """Return the finding of a session that is missing with all the others: nobody deletes all of them in one go."""
    note = store.shadow_note(name)
    return {
        "session": name,
        "messages_before": note[1] if note else None,
        "messages_live": None,
        "state": "missing",
        "rule": "",
        "evidence": [f"the directory has no session, and the store has copies of {count}"],
    }


def _document(path: Path) -> Document | None:
    try:
        return session.parse(files.read(path, session_limit_bytes(None))[0])
    except (OSError, Unreadable):
        return None


def check_sessions_directory(settings: Settings) -> None:
    """Raise GuardError unless the sessions directory can be read."""
    try:
        next(settings.sessions.iterdir(), None)
    except OSError as error:
        raise GuardError(
            f"The sessions directory {settings.sessions} cannot be read: {error.strerror}",
            "Name it with --sessions DIR, or run as a user who may read it",
            ExitCode.FAILED,
        ) from None
