"""What people ask the guard to do: undo, accept, restore, purge. The same code serves the running guard and a command alone."""

import errno
from collections.abc import Callable, Generator
from typing import Any, NamedTuple

from hermesguard import files
from hermesguard.errors import ExitCode, GuardError
from hermesguard.guard.guard import Guard
from hermesguard.judge.judge import Action, Verdict
from hermesguard.repair.merge import merge_documents, with_messages
from hermesguard.repair.replace import Placed, place
from hermesguard.store import incidents
from hermesguard.store.cache import Copy
from hermesguard.store.handover import is_handed_over
from hermesguard.store.history import SALVAGED, Version
from hermesguard.store.incidents import Incident
from hermesguard.store.upkeep.pruning import finished
from hermesguard.store.upkeep.retention import Rules
from hermesguard.webui import session
from hermesguard.webui.diff import compare
from hermesguard.webui.session import Document, Unreadable


class _Live(NamedTuple):
    data: bytes
    stamp: files.Stamp
    document: Document | None


class Operations:
    """Acts of a user on one guard's sessions. Every method returns what it did (or, dry, would do) as a plain dict."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._context = guard.context
        self._store = guard.context.copies.store

    # -- undo and accept

    def undo(self, incident: str, merge: bool = False, dry_run: bool = False) -> dict[str, Any]:
        """Reverse the automatic act of an incident; the same drop is not repaired a second time.

        Raises GuardError: no such incident, already undone, or nothing there to go back to.
        """
        found = self._incident(incident)
        name = found.session
        shadow_before = self._version(name, found.version) if found.version else None
        displaced = self._version(name, found.displaced) if found.displaced else None
        live = self._live(name)
        if found.action == "kept" and shadow_before:
            wanted = merge_documents(self._read(shadow_before), live.document if live else None)
        elif displaced:
            wanted = self._as_it_was(found, shadow_before, displaced, live, merge)
        elif found.action == "salvaged" or (found.event == "missing" and found.action == "restored"):
            return self._remove_again(found, live, dry_run)
        else:
            raise GuardError(
                f"Incident {incident} changed no file, so there is nothing to undo", "", ExitCode.REFUSED
            )
        return self._make_live(
            name, wanted, live, dry_run, "undone", "undone", f"undo of incident {incident}", resolves=incident
        )

    def _as_it_was(
        self, found: Incident, before: Version | None, displaced: Version, live: _Live | None, merge: bool
    ) -> bytes:
        data = self._bytes(displaced)
        try:
            document = session.parse(data)
        except Unreadable as error:
            raise GuardError(
                f"What incident {found.id} displaced is no readable session ({error})",
                f"It is kept as {displaced.path}; hermesguard history {found.session} lists the versions that can be restored",
                ExitCode.REFUSED,
            ) from None
        if not merge or live is None or live.document is None:
            return data
        repaired = merge_documents(self._read(before), document) if before else data
        since = compare(session.parse(repaired).messages, live.document.messages)
        return merge_documents(
            document, with_messages(live.document, [live.document.messages[index] for index in since.added])
        )

    def _remove_again(self, found: Incident, live: _Live | None, dry_run: bool) -> dict[str, Any]:
        name = found.session
        if live is None:
            raise GuardError(f"The file of {name} is gone already", "", ExitCode.REFUSED)
        result = {
            "session": name,
            "action": "removed",
            "messages_live": _messages(live.document),
            "messages_after": 0,
            "dry_run": dry_run,
        }
        if not dry_run:
            version = self._context.keep_version(name, live.data, "deleted")
            try:
                if self._context.copies.has_pending(name):
                    raise OSError(errno.ENOSPC, self._context.copies.broken)
                files.remove(self._context.directory.file(name))
            except OSError as error:
                raise GuardError(
                    f"{name} cannot be removed again: {error.strerror}", "Fix the cause and retry"
                ) from None
            self._context.copies.forget(name)
            self._context.notes.forget(name)
            self._write_down(
                "undone", "removed", name, _messages(live.document), 0, version=version, resolves=found.id
            )
            result["version"] = version
        return result

    def accept(self, name: str, dry_run: bool = False) -> dict[str, Any]:
        """Say that live is right as it is: it becomes the shadow, and open incidents of the session are resolved."""
        live = self._live(name)
        if live is None or live.document is None:
            raise GuardError(
                f"The file of {name} is {'gone' if live is None else 'not readable'}, so it cannot be accepted",
                f"To give the session up: hermesguard purge {name}; to have it back: hermesguard restore {name}",
                ExitCode.REFUSED,
            )
        try:
            shadow = self._context.copies.shadow(name)
        except OSError:
            shadow = None  # whoever accepts live has no need of it
        messages_before = len(shadow.document.messages) if shadow else 0
        result = {
            "session": name,
            "action": "accepted",
            "messages_before": messages_before,
            "messages_live": _messages(live.document),
        }
        if dry_run:
            return {**result, "dry_run": True}
        version = ""
        if shadow and shadow.data != live.data:
            version = self._context.copies.version(name, shadow.data, messages_before, "accepted")
        self._context.keep(name, Copy(live.data, live.document), live.stamp)
        for open_incident in self._open(name):
            self._write_down(
                "accepted",
                "accepted",
                name,
                messages_before,
                _messages(live.document),
                version=version,
                resolves=open_incident,
            )
        self._context.reporter.report(
            "accepted",
            session=name,
            messages_before=messages_before,
            messages_after=_messages(live.document) or 0,
        )
        return {**result, "version": version, "dry_run": False}

    # -- restore

    def restore(
        self, name: str, version: str = "", replace: bool = False, dry_run: bool = False
    ) -> dict[str, Any]:
        """Make a version (empty: the shadow) live again; messages that only live has are merged in, unless `replace`."""
        shadow = self._shadow(name)
        if version:
            source = self._bytes(self._version(name, version))
        elif shadow:
            source = shadow.data
        else:
            raise GuardError(
                f"There is no shadow of {name}",
                f"See its versions: hermesguard history {name}",
                ExitCode.NOT_FOUND,
            )
        try:
            wanted = session.parse(source)
        except Unreadable as error:
            raise GuardError(
                f"That version of {name} is no readable session ({error})",
                "Choose another one",
                ExitCode.REFUSED,
            ) from None
        live = self._live(name)
        merged = merge_documents(wanted, live.document if live and not replace else None)
        if live and live.document and live.data == merged:
            messages = len(live.document.messages)
            unchanged = {
                "messages_live": messages,
                "messages_after": messages,
                "messages_gone": 0,
                "messages_back": 0,
            }
            return {"session": name, "action": "unchanged", **unchanged, "dry_run": dry_run}
        return self._make_live(
            name,
            merged,
            live,
            dry_run,
            "restored_by_user",
            "replaced" if replace else "restored",
            "asked for",
        )

    def restore_all_missing(self, dry_run: bool = False) -> dict[str, Any]:
        """Put back every session whose file vanished without evidence that someone deleted it."""
        try:
            present = self._context.directory.listing().sessions
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
            (restored if self._restore_missing(name) else failed).append(name)
        return {"missing": missing, "restored": restored, "failed": failed, "dry_run": dry_run}

    def _restore_missing(self, name: str) -> bool:
        """Put one missing session back; return whether it is there now, whoever put it back."""
        copy = self._shadow(name)
        if copy is None:
            return False
        try:
            messages = self._guard.missing_files.put_back(name, copy).count
        except FileExistsError:
            return True
        except OSError as error:
            asked = Verdict(Action.RESTORE, "by a user", ("all missing sessions were asked for",))
            self._context.cannot_repair(name, copy, None, asked, error)
            return False
        resolves = self._context.recorder.open_incident(name, "warned")
        event = "restored_by_user"
        incident = self._write_down(event, "restored", name, 0, messages, version="", resolves=resolves)
        self._context.reporter.report(
            event, session=name, incident=incident, messages_before=0, messages_after=messages
        )
        return True

    def salvage(self, name: str, file: str, restore: bool = False) -> dict[str, Any]:
        """Put a session that was rebuilt from other traces (package salvage) into the history, and on demand make it live.

        `file` is its name in the store, where the command left it; it is removed. What live has beside it is merged in.
        """
        if not is_handed_over(file):
            raise GuardError(f"{file} is nothing that salvage left in the store", "", ExitCode.USAGE)
        path = self._store.root / file
        try:
            data = files.read(path)[0]
            document = session.parse(data)
        except (OSError, Unreadable) as error:
            raise GuardError(f"What was rebuilt of {name} cannot be read: {error}", "Try once more") from None
        finally:
            files.remove(path)
        salvaged = self._context.keep_version(name, data, SALVAGED)
        if self._context.copies.has_pending(name):
            raise GuardError(
                f"The store cannot take what was rebuilt of {name}: {self._context.copies.broken}",
                "Make room and retry; nothing was changed",
            )
        kept = {"session": name, "action": "kept", "salvaged": salvaged, "messages_after": document.count}
        if not restore:
            return kept
        live = self._live(name)
        merged = merge_documents(document, live.document if live else None)
        if live and live.document and live.data == merged:
            return {**kept, "action": "unchanged"}
        why = "rebuilt from traces that hermes-webui and its agent left"
        made = self._make_live(
            name, merged, live, False, "restored_by_user", "salvaged", why, salvaged=salvaged
        )
        return {**kept, **made}

    def purge(self, name: str, dry_run: bool = False) -> dict[str, Any]:
        """Remove every trace of a session from the store; live is not touched."""
        shadow = self._store.shadow_path(name)
        paths = [version.path for version in self._store.versions(name)] + (
            [shadow] if shadow.is_file() else []
        )
        if not paths and not any(entry.session == name for entry in incidents.read(self._store.root)):
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

    def prune(self, dry_run: bool = False) -> Generator[None, None, dict[str, Any]]:
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

    # -- parts

    def _make_live(
        self,
        name: str,
        wanted: bytes,
        live: _Live | None,
        dry_run: bool,
        event: str,
        action: str,
        why: str,
        resolves: str = "",
        salvaged: str = "",
    ) -> dict[str, Any]:
        after = session.parse(wanted)
        before = live.document.messages if live and live.document else []
        comparison = compare(before, after.messages)
        result = {
            "session": name,
            "action": action,
            "messages_live": len(before),
            "messages_after": len(after.messages),
            "messages_gone": len(comparison.missing) + len(comparison.shortened),
            "messages_back": len(comparison.added),
            "dry_run": dry_run,
        }
        if dry_run:
            return result
        versions: list[str] = []

        def kept(placed: Placed) -> None:
            versions[:] = [
                self._context.keep_version(name, displaced, "displaced") for displaced in placed.displaced
            ]

        shadow = self._shadow(name)
        if shadow and shadow.data not in (wanted, live.data if live else b""):
            self._context.keep_version(name, shadow.data, "displaced")
        try:
            placed = place(
                self._context.directory.file(name),
                [wanted],
                live.data if live else None,
                live.stamp if live else self._guard.missing_files.like(),
                kept,
            )
        except OSError as error:
            what = f"{name} cannot be written: {error.strerror or error}"
            raise GuardError(what, "Fix the cause and retry; nothing was changed") from None
        copy = Copy(placed.live)
        self._context.made_live(name, copy)
        self._guard.missing_files.is_here(name)
        messages = len(copy.document.messages)
        self._context.directory.correct_index(name, messages)
        version = versions[0] if versions else ""
        incident = self._write_down(
            event,
            action,
            name,
            len(before),
            messages,
            version=salvaged or version,
            displaced=version if salvaged else "",
            resolves=resolves,
            why=why,
        )
        self._context.reporter.report(
            event,
            session=name,
            incident=resolves or incident,
            messages_before=len(before),
            messages_after=messages,
        )
        return {**result, "messages_after": messages, "version": version, "incident": incident}

    def _write_down(
        self,
        event: str,
        action: str,
        name: str,
        before: int | None,
        after: int | None,
        *,
        version: str,
        displaced: str = "",
        resolves: str = "",
        why: str = "",
    ) -> str:
        number = self._context.recorder.incidents.next_id()
        entry = Incident(
            id=number,
            time=self._context.clock.now().isoformat(),
            session=name,
            event=event,
            action=action,
            evidence=(why,) if why else (),
            messages_before=before,
            messages_after=after,
            version=version,
            displaced=displaced,
            resolves=resolves,
            undo=f"hermesguard undo {number}" if action == "salvaged" else "",
        )
        try:
            self._context.recorder.incidents.append(entry)
        except OSError as error:
            self._context.copies.refused(error)
        return number

    def _shadow(self, name: str) -> Copy | None:
        try:
            return self._context.copies.shadow(name)
        except OSError as error:
            raise GuardError(
                f"The copy of {name} cannot be read: {error.strerror or error}", "Fix the cause and retry"
            ) from None

    def _live(self, name: str) -> _Live | None:
        try:
            data, stamp = files.read(self._context.directory.file(name))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise GuardError(
                f"The file of {name} cannot be read: {error.strerror}", "Give the right to read it"
            ) from None
        try:
            return _Live(data, stamp, session.parse(data))
        except Unreadable:
            return _Live(data, stamp, None)

    def _incident(self, number: str) -> Incident:
        log = incidents.read(self._store.root)
        found = next((entry for entry in log if entry.id == number), None)
        if found is None or not found.session:
            raise GuardError(
                f"There is no incident {number}", "hermesguard log lists them", ExitCode.NOT_FOUND
            )
        if number in incidents.resolved(log):
            raise GuardError(
                f"Incident {number} is resolved already",
                f"hermesguard explain {number} tells how",
                ExitCode.REFUSED,
            )
        return found

    def _open(self, name: str) -> list[str]:
        log = incidents.read(self._store.root)
        done = incidents.resolved(log)
        return [
            entry.id for entry in log if entry.session == name and not entry.resolves and entry.id not in done
        ]

    def _version(self, name: str, version: str) -> Version:
        found = next(
            (entry for entry in self._store.versions(name) if version in (entry.name, entry.path.name)), None
        )
        if found is None:
            what = f"The history of {name} has no version {version}"
            raise GuardError(what, f"hermesguard history {name} lists what there is", ExitCode.NOT_FOUND)
        return found

    def _bytes(self, version: Version) -> bytes:
        try:
            return self._store.read_version(version)
        except OSError as error:
            raise GuardError(str(error), "hermesguard verify tells what else is damaged") from None

    def _read(self, version: Version) -> Document:
        return session.parse(self._bytes(version))


def _messages(document: Document | None) -> int | None:
    return len(document.messages) if document else None


def perform(hands: Operations, verb: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Do one of the verbs that people type, at once; a command without a guard does what a running one would."""
    answer = begin(hands, verb, arguments)
    return answer if isinstance(answer, dict) else finished(answer)


def begin(
    hands: Operations, verb: str, arguments: dict[str, Any]
) -> dict[str, Any] | Generator[None, None, dict[str, Any]]:
    """Do one of the verbs that people type, or return what does it in little steps and returns its answer."""
    acts: dict[str, Callable[..., dict[str, Any] | Generator[None, None, dict[str, Any]]]] = {
        "undo": hands.undo,
        "accept": hands.accept,
        "restore": hands.restore,
        "restore_all_missing": hands.restore_all_missing,
        "salvage": hands.salvage,
        "purge": hands.purge,
        "prune": hands.prune,
        "rebuild": hands.rebuild,
        "verified": hands.verified,
    }
    if verb not in acts:
        raise GuardError(
            f"The guard knows no verb {verb}", "It may be of another version: restart it", ExitCode.USAGE
        )
    try:
        return acts[verb](**arguments)
    except OSError as error:
        raise GuardError(
            f"That could not be done, or not all of it: {error.strerror or error}",
            "Fix the cause and retry; hermesguard status tells more",
        ) from None
