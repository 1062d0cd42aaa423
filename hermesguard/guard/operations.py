"""What people ask the guard to do: undo, accept, restore, purge. The same code serves the running guard and a command alone."""

import errno
from collections.abc import Callable, Generator
from typing import Any, NamedTuple

from hermesguard import files
from hermesguard.errors import ExitCode, GuardError
from hermesguard.guard.guard import Guard
from hermesguard.judge.judge import Action, Verdict
from hermesguard.repair.merge import mend, with_rows
from hermesguard.repair.replace import Placed, place
from hermesguard.store import incidents
from hermesguard.store.cache import Copy
from hermesguard.store.history import Version
from hermesguard.store.incidents import Incident
from hermesguard.store.pruning import finished
from hermesguard.store.retention import Rules
from hermesguard.webui import session
from hermesguard.webui.diff import compare
from hermesguard.webui.session import Document, Unreadable


class _Live(NamedTuple):
    data: bytes
    stamp: files.Stamp
    document: Document | None


class ByHand:
    """Acts of a person on one guard's sessions. Every method returns what it did (or, dry, would do) as a plain dict."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._room = guard.room
        self._store = guard.room.keeper.store

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
        if found.action in ("kept", "left") and shadow_before:
            wanted = mend(self._read(shadow_before), live.document if live else None)
        elif displaced:
            wanted = self._as_it_was(found, shadow_before, displaced, live, merge)
        elif found.event == "missing" and found.action == "restored":
            return self._remove_again(found, live, dry_run)
        else:
            raise GuardError(
                f"Incident {incident} changed no file, so there is nothing to undo", "", ExitCode.REFUSED
            )
        return self._make_live(
            name, wanted, live, dry_run, "undone", "undone", f"undo of incident {incident}", settles=incident
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
        repaired = mend(self._read(before), document) if before else data
        since = compare(session.parse(repaired).rows, live.document.rows)
        return mend(document, with_rows(live.document, [live.document.rows[index] for index in since.added]))

    def _remove_again(self, found: Incident, live: _Live | None, dry_run: bool) -> dict[str, Any]:
        name = found.session
        if live is None:
            raise GuardError(f"The file of {name} is gone already", "", ExitCode.REFUSED)
        result = {
            "session": name,
            "action": "removed",
            "rows_live": _rows(live.document),
            "rows_after": 0,
            "dry_run": dry_run,
        }
        if not dry_run:
            version = self._room.keep_version(name, live.data, "deleted")
            try:
                if self._room.keeper.owes(name):
                    raise OSError(errno.ENOSPC, self._room.keeper.broken)
                files.remove(self._room.directory.file(name))
            except OSError as error:
                raise GuardError(
                    f"{name} cannot be removed again: {error.strerror}", "Mend that, and try again"
                ) from None
            self._room.keeper.forget(name)
            self._room.notes.forget(name)
            self._write_down(
                "undone", "removed", name, _rows(live.document), 0, version=version, settles=found.id
            )
            result["version"] = version
        return result

    def accept(self, name: str, dry_run: bool = False) -> dict[str, Any]:
        """Say that live is right as it is: it becomes the shadow, and open incidents of the session are settled."""
        live = self._live(name)
        if live is None or live.document is None:
            raise GuardError(
                f"The file of {name} is {'gone' if live is None else 'not readable'}, so it cannot be accepted",
                f"To give the session up: hermesguard purge {name}; to have it back: hermesguard restore {name}",
                ExitCode.REFUSED,
            )
        try:
            shadow = self._room.keeper.shadow(name)
        except OSError:
            shadow = None  # whoever accepts live has no need of it
        rows_before = len(shadow.document.rows) if shadow else 0
        result = {
            "session": name,
            "action": "accepted",
            "rows_before": rows_before,
            "rows_live": _rows(live.document),
        }
        if dry_run:
            return {**result, "dry_run": True}
        version = ""
        if shadow and shadow.data != live.data:
            version = self._room.keeper.version(name, shadow.data, rows_before, "accepted")
        self._room.keep(name, Copy(live.data, live.document), live.stamp)
        for open_incident in self._open(name):
            self._write_down(
                "accepted",
                "accepted",
                name,
                rows_before,
                _rows(live.document),
                version=version,
                settles=open_incident,
            )
        self._room.reporter.tell(
            "accepted", session=name, rows_before=rows_before, rows_after=_rows(live.document) or 0
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
        merged = mend(wanted, live.document if live and not replace else None)
        if live and live.document and live.data == merged:
            rows = len(live.document.rows)
            unchanged = {"rows_live": rows, "rows_after": rows, "rows_gone": 0, "rows_back": 0}
            return {"session": name, "action": "unchanged", **unchanged, "dry_run": dry_run}
        return self._make_live(
            name,
            merged,
            live,
            dry_run,
            "restored_by_hand",
            "replaced" if replace else "restored",
            "asked for",
        )

    def restore_all_missing(self, dry_run: bool = False) -> dict[str, Any]:
        """Put back every session whose file vanished without evidence that somebody deleted it."""
        try:
            present = self._room.directory.listing().sessions
        except OSError as error:
            raise GuardError(
                f"The sessions directory {self._room.directory.path} cannot be read: {error.strerror}",
                "Make or mount it first, with the owner and mode that it had",
            ) from None
        missing = [shadow.session for shadow in self._store.shadows() if shadow.session not in present]
        missing = sorted(name for name in missing if not self._room.directory.has_tombstone(name))
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
            rows = self._guard.vanished.put_back(name, copy).count
        except FileExistsError:
            return True
        except OSError as error:
            asked = Verdict(Action.RESTORE, "by hand", ("all missing sessions were asked for",))
            self._room.cannot_repair(name, copy, None, asked, error)
            return False
        settles = self._room.casebook.open_incident(name, "warned")
        event = "restored_by_hand"
        incident = self._write_down(event, "restored", name, 0, rows, version="", settles=settles)
        self._room.reporter.tell(event, session=name, incident=incident, rows_before=0, rows_after=rows)
        return True

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
                    "incidents": self._room.casebook.incidents.purge(name),
                }
            except OSError as error:
                raise GuardError(
                    f"{name} cannot be purged: {error.strerror}", "Mend that, and purge again"
                ) from None
            finally:
                self._room.keeper.drop(name)
                self._room.notes.forget(name)
            self._guard.vanished.is_here(name)
            self._room.reporter.tell("purged", session=name, files=count, size_bytes=size_bytes)
        return result

    def prune(self, dry_run: bool = False) -> Generator[None, None, dict[str, Any]]:
        """Remove the versions that need not be kept, in little steps; return for each why it stays or goes."""
        rules = Rules.of(self._room.settings)
        try:
            found = yield from self._room.pruner.prune(rules, dry_run, list_all=True)
        except OSError as error:
            raise GuardError(
                f"The history cannot be pruned: {error.strerror or error}", "Mend that, and prune again"
            ) from None
        return (yield from found.as_answer(dry_run))

    def rebuild(self, name: str) -> dict[str, Any]:
        """Make a damaged shadow again, if there is anything good to make it from."""
        return {"session": name, "rebuilt": self._guard.rebuild(name)}

    def verified(self, files: int, damaged: int) -> dict[str, Any]:
        """Note that the whole store was read just now."""
        try:
            self._guard.rounds.note_finished(files, damaged)
        except OSError as error:
            self._room.keeper.refused(error)
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
        settles: str = "",
    ) -> dict[str, Any]:
        after = session.parse(wanted)
        before = live.document.rows if live and live.document else []
        comparison = compare(before, after.rows)
        result = {
            "session": name,
            "action": action,
            "rows_live": len(before),
            "rows_after": len(after.rows),
            "rows_gone": len(comparison.missing) + len(comparison.shortened),
            "rows_back": len(comparison.added),
            "dry_run": dry_run,
        }
        if dry_run:
            return result
        versions: list[str] = []

        def kept(placed: Placed) -> None:
            versions[:] = [
                self._room.keep_version(name, displaced, "displaced") for displaced in placed.displaced
            ]

        shadow = self._shadow(name)
        if shadow and shadow.data not in (wanted, live.data if live else b""):
            self._room.keep_version(name, shadow.data, "displaced")
        try:
            placed = place(
                self._room.directory.file(name),
                [wanted],
                live.data if live else None,
                live.stamp if live else self._guard.vanished.like(),
                kept,
            )
        except OSError as error:
            what = f"{name} cannot be written: {error.strerror or error}"
            raise GuardError(what, "Mend that and try again; nothing was changed") from None
        copy = Copy(placed.live)
        self._room.made_live(name, copy)
        self._guard.vanished.is_here(name)
        rows = len(copy.document.rows)
        self._room.directory.correct_index(name, rows)
        version = versions[0] if versions else ""
        incident = self._write_down(
            event, action, name, len(before), rows, version=version, settles=settles, why=why
        )
        self._room.reporter.tell(
            event, session=name, incident=settles or incident, rows_before=len(before), rows_after=rows
        )
        return {**result, "rows_after": rows, "version": version, "incident": incident}

    def _write_down(
        self,
        event: str,
        action: str,
        name: str,
        before: int | None,
        after: int | None,
        *,
        version: str,
        settles: str = "",
        why: str = "",
    ) -> str:
        number = self._room.casebook.incidents.next_id()
        entry = Incident(
            id=number,
            time=self._room.clock.now().isoformat(),
            session=name,
            event=event,
            action=action,
            evidence=(why,) if why else (),
            rows_before=before,
            rows_after=after,
            version=version,
            settles=settles,
        )
        try:
            self._room.casebook.incidents.append(entry)
        except OSError as error:
            self._room.keeper.refused(error)
        return number

    def _shadow(self, name: str) -> Copy | None:
        try:
            return self._room.keeper.shadow(name)
        except OSError as error:
            raise GuardError(
                f"The copy of {name} cannot be read: {error.strerror or error}", "Mend that, and try again"
            ) from None

    def _live(self, name: str) -> _Live | None:
        try:
            data, stamp = files.read(self._room.directory.file(name))
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
        if number in incidents.settled(log):
            raise GuardError(
                f"Incident {number} is settled already",
                f"hermesguard explain {number} tells how",
                ExitCode.REFUSED,
            )
        return found

    def _open(self, name: str) -> list[str]:
        log = incidents.read(self._store.root)
        done = incidents.settled(log)
        return [
            entry.id for entry in log if entry.session == name and not entry.settles and entry.id not in done
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


def _rows(document: Document | None) -> int | None:
    return len(document.rows) if document else None


def perform(hands: ByHand, verb: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Do one of the verbs that people type, at once; a command without a guard does what a running one would."""
    answer = begin(hands, verb, arguments)
    return answer if isinstance(answer, dict) else finished(answer)


def begin(
    hands: ByHand, verb: str, arguments: dict[str, Any]
) -> dict[str, Any] | Generator[None, None, dict[str, Any]]:
    """Do one of the verbs that people type, or return what does it in little steps and returns its answer."""
    acts: dict[str, Callable[..., dict[str, Any] | Generator[None, None, dict[str, Any]]]] = {
        "undo": hands.undo,
        "accept": hands.accept,
        "restore": hands.restore,
        "restore_all_missing": hands.restore_all_missing,
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
            "Mend that and try again; hermesguard status tells more",
        ) from None
