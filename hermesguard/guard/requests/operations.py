"""What people ask the guard to do: undo, accept, restore, purge. The same code serves the running guard and a command alone."""

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

from hermesguard import files
from hermesguard.errors import ExitCode, GuardError
from hermesguard.guard.requests.arguments import require_arguments
from hermesguard.guard.requests.requests import Live
from hermesguard.guard.requests.salvage import Salvages
from hermesguard.guard.requests.undo import Decisions
from hermesguard.judge.judge import Action, Verdict
from hermesguard.pieces import Content, are_equal
from hermesguard.reader import Reader
from hermesguard.repair.part_back import with_part
from hermesguard.store import incidents
from hermesguard.store.incidents import Incident
from hermesguard.store.upkeep.pruning import finished
from hermesguard.store.upkeep.retention import Rules
from hermesguard.webui import header, session
from hermesguard.webui.session import Document, Unreadable

T = TypeVar("T")


class Operations(Decisions, Salvages):
    """What users ask for. Every method returns what it did (or, dry, would do) as a plain dict."""

    def title(self, name: str) -> dict[str, Any]:
        """Return the title of a session by its shadow, for messages that may have it; empty when there is none."""
        try:
            found = header.read(self._store.shadow_path(name), session.TITLE)
        except FileNotFoundError:
            found = {}
        return {"session": name, "title": header.title(found)}

    # -- restore

    def restore(
        self,
        name: str,
        version: str = "",
        replace: bool = False,
        dry_run: bool = False,
        part: str = "",
        details: bool = False,
        seen: str | None = None,
    ) -> dict[str, Any]:
        """Make a version (empty: the shadow) live again; messages that only live has are merged in, unless `replace`.

        With `part` (one of `document.PARTS`) only that part of the version comes back, into live as it is. `details` lets a
        dry run tell which messages; `seen` is the digest of the live file that the user decided about.
        """
        if seen is not None:
            self.require_seen(name, seen)
        shadow = self._shadow(name)
        if version:
            source: Content = self._bytes(self._version(name, version))
        elif shadow:
            source = shadow.content
        else:
            raise GuardError(
                f"There is no shadow of {name}",
                f"See its versions: hermesguard history {name}",
                ExitCode.NOT_FOUND,
            )
        try:
            wanted = self._parsed(source)
        except Unreadable as error:
            raise GuardError(
                f"That version of {name} is no readable session ({error})",
                "Choose another one",
                ExitCode.REFUSED,
            ) from None
        live = self._live(name)
        if part:
            merged = self._with_part(name, live, wanted, part)
        else:
            merged = self._merged(wanted, live.document if live and not replace else None)
        if live and live.document and are_equal(live.content, merged):
            messages = len(live.document.messages)
            unchanged = {
                "messages_live": messages,
                "messages_after": messages,
                "messages_gone": 0,
                "messages_back": 0,
            }
            closed = [] if dry_run else self._close(name, "restored_by_user", "unchanged")
            return {
                "session": name,
                "action": "unchanged",
                **unchanged,
                "resolved": closed,
                "dry_run": dry_run,
            }
        answer = self._make_live(
            name,
            merged,
            live,
            dry_run,
            "restored_by_user",
            "replaced" if replace else "restored",
            "asked for",
            details=details,
        )
        closed = [] if dry_run else self._close(name, "restored_by_user", answer["action"])
        return {**answer, "resolved": closed}

    def _with_part(self, name: str, live: Live | None, version: Document, part: str) -> Content:
        """Return the live file with one part of a version."""
        if live is None or live.document is None:
            raise GuardError(
                f"The file of {name} is {'gone' if live is None else 'not readable'}",
                f"Bring it back as a whole: hermesguard restore {name}",
                ExitCode.REFUSED,
            )
        document = live.document
        return self._once(part, lambda: with_part(document, version, part), document, version)

    def restore_all_missing(self, dry_run: bool = False) -> Generator[bool | None, None, dict[str, Any]]:
        """Restore every session whose file is missing without evidence of a deletion, one after the other."""
        try:
            present = self._context.directory.states()
        except OSError as error:
            raise GuardError(
                f"The sessions directory {self._context.directory.path} cannot be read: {error.strerror}",
                "Make or mount it first, with the owner and mode that it had",
            ) from None
        missing = [shadow.session for shadow in self._store.shadows() if shadow.session not in present]
        missing = sorted(name for name in missing if not self._context.directory.has_tombstone(name))
        restored: list[str] = []
        failed: list[str] = []
        for name in missing if not dry_run else ():
            yield None
            self.guard.long_work.asked.add(name)
            try:
                if self.guard.long_work.loads(name, Reader(), 0):
                    yield from _until_idle(self, name)
                (restored if self._restore_missing(name) else failed).append(name)
            finally:
                self.guard.long_work.answered(name)
        return {"missing": missing, "restored": restored, "failed": failed, "dry_run": dry_run}

    def _restore_missing(self, name: str) -> bool:
        """Restore one missing session; return whether it is there now, by whatever means."""
        copy = self._shadow(name)
        if copy is None:
            return False
        try:
            messages = self._guard.missing_files.put_back(name, copy).count
        except FileExistsError:
            return True
        except OSError as error:
            asked = Verdict(Action.LOSS, "by a user", ("all missing sessions were asked for",))
            self._context.cannot_repair(name, copy, None, asked, error)
            return False
        resolves = self._context.recorder.open_incident(name, "warned")
        event = "restored_by_user"
        self._record(event, "restored", name, 0, messages, resolves=resolves)
        return True

    def purge(self, name: str, dry_run: bool = False) -> dict[str, Any]:
        """Remove every trace of a session from the store; live is not touched."""
        self._context.copies.make_durable(name)
        shadow = self._store.shadow_path(name)
        paths = [version.path for version in self._store.versions(name)] + (
            [shadow] if shadow.is_file() else []
        )
        if not paths and not any(entry.session == name for entry in incidents.read_all(self._store.root)):
            raise GuardError(
                f"The store has nothing of {name}", "hermesguard list shows what it has", ExitCode.NOT_FOUND
            )
        size_bytes = sum(found.size_bytes for path in paths if (found := files.stamp(path)))
        result = {"session": name, "files": len(paths), "size_bytes": size_bytes, "dry_run": dry_run}
        if not dry_run:
            try:
                count, size_bytes = self._store.purge(name)
                result |= {
                    "files": count,
                    "size_bytes": size_bytes,
                    "incidents": self._context.recorder.incidents.purge(name),
                }
            except OSError as error:
                raise GuardError(
                    f"{name} cannot be purged: {error.strerror}", "Fix the cause and purge again"
                ) from None
            finally:
                self._context.copies.drop(name)
                self._context.notes.forget(name)
            self._guard.missing_files.is_here(name)
            self._context.reporter.report("purged", session=name, files=count, size_bytes=size_bytes)
        return result

    def prune(self, dry_run: bool = False) -> Generator[bool | None, None, dict[str, Any]]:
        """Remove the versions that need not be kept, in little steps; return for each why it stays or goes."""
        rules = Rules.of(self._context.settings)
        try:
            found = yield from self._context.pruner.prune(rules, dry_run, list_all=True)
        except OSError as error:
            raise GuardError(
                f"The history cannot be pruned: {error.strerror or error}", "Fix the cause and prune again"
            ) from None
        return (yield from found.as_answer(dry_run))

    def rebuild(self, name: str) -> dict[str, Any]:
        """Make a damaged shadow again, if there is anything good to make it from."""
        return {"session": name, "rebuilt": self._guard.rebuild(name)}

    def verified(self, files: int, damaged: int) -> dict[str, Any]:
        """Note that the whole store was read just now."""
        try:
            self._guard.scrub.note_finished(files, damaged)
        except OSError as error:
            self._context.copies.refused(error)
        return {}


def perform(operations: Operations, verb: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Do one of the verbs that people type, at once; a command without a guard does what a running one would."""
    answer = begin(operations, verb, arguments)
    return answer if isinstance(answer, dict) else finished(answer)


def begin(
    operations: Operations, verb: str, arguments: dict[str, Any]
) -> dict[str, Any] | Generator[bool | None, None, dict[str, Any]]:
    """Do one of the verbs that people type, or return what does it in little steps and returns its answer."""
    acts: dict[str, Callable[..., dict[str, Any] | Generator[bool | None, None, dict[str, Any]]]] = {
        "undo": operations.undo,
        "accept": operations.accept,
        "restore": operations.restore,
        "restore_all_missing": operations.restore_all_missing,
        "salvage": operations.salvage,
        "purge": operations.purge,
        "prune": operations.prune,
        "title": operations.title,
        "rebuild": operations.rebuild,
        "verified": operations.verified,
    }
    if verb not in acts:
        raise GuardError(
            f"Unknown request {verb}", "The daemon may be an older version: restart it", ExitCode.USAGE
        )
    require_arguments(verb, arguments)
    if verb == "undo" and (found := _done(operations.many, {"number": arguments["incident"]})):
        return _undo_many(operations, found, arguments)
    if verb == "purge" and operations.guard.background.is_busy(arguments["name"]):
        return _purged(operations, arguments)
    if name := operations.long_session(verb, arguments):
        return in_steps(operations, verb, arguments, name)
    return _done(acts[verb], arguments)


def in_steps(
    operations: Operations, verb: str, arguments: dict[str, Any], name: str
) -> Generator[bool, None, dict[str, Any]]:
    """Do a verb of a long session; yields True while what takes long of it is found out in the background."""
    guard = operations.guard
    guard.long_work.asked.add(name)
    try:
        with _as_sentence():
            if guard.long_work.loads(name, Reader(), 0):
                yield from _until_idle(operations, name)
            guard.context.copies.pinned.add(name)
            own = Operations(guard)
            act: Callable[..., dict[str, Any]] = getattr(own, verb)
            yield from own.find_out(
                name, partial(act, **arguments | {"dry_run": True}), not arguments.get("dry_run")
            )
            return act(**arguments)
    finally:
        guard.long_work.answered(name)


def _undo_many(
    operations: Operations, found: Incident, arguments: dict[str, Any]
) -> Generator[bool | None, None, dict[str, Any]]:
    """Reverse the repairs of many sessions that one incident names, one after the other; what is reversed already stays so."""
    done = operations.guard.context.recorder.incidents.resolved
    dry_run = arguments.get("dry_run", False)
    counts = dict.fromkeys(("messages_live", "messages_after", "messages_gone", "messages_back"), 0)
    for member in found.members:
        if member in done:
            continue
        yield None
        shared = {"merge": arguments.get("merge", False), "dry_run": dry_run}
        step = begin(operations, "undo", {"incident": member, **shared})
        result = step if isinstance(step, dict) else (yield from step)
        for count in counts:
            counts[count] += result.get(count) or 0
    answer = {"session": ", ".join(found.names), "action": "undone", **counts, "dry_run": dry_run}
    if not dry_run:
        undone = Incident("", "", "", "undone", "undone", resolves=found.id)
        answer["incident"] = operations.guard.context.recorder.note(undone).id
    return answer


def _purged(operations: Operations, arguments: dict[str, Any]) -> Generator[bool, None, dict[str, Any]]:
    """Purge a session when nothing is written of it in the background; yields True until then."""
    yield from _until_idle(operations, arguments["name"])
    return _done(operations.purge, arguments)


def _until_idle(operations: Operations, name: str) -> Generator[bool, None, None]:
    while operations.guard.background.is_busy(name):
        yield True


def _done(act: Callable[..., T], arguments: dict[str, Any]) -> T:
    with _as_sentence():
        return act(**arguments)


@contextmanager
def _as_sentence() -> Iterator[None]:
    """Turn an OSError into the GuardError that a user reads."""
    try:
        yield
    except OSError as error:
        raise GuardError(
            f"That could not be done, or not all of it: {error.strerror or error}",
            "Fix the cause and retry; hermesguard status shows more",
        ) from None
