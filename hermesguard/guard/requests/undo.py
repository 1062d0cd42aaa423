"""`undo` and `accept`: a user decides about an incident."""

import errno
from typing import Any

from hermesguard import files
from hermesguard.errors import ExitCode, GuardError
from hermesguard.guard.requests.requests import Live, Requests, count_of
from hermesguard.pieces import Content, are_equal, pieces_of
from hermesguard.repair.merge import merged_file
from hermesguard.repair.shortened import with_messages
from hermesguard.store.history import Version
from hermesguard.store.incidents import Incident
from hermesguard.webui import session
from hermesguard.webui.compare.diff import compare
from hermesguard.webui.session import Unreadable


class Decisions(Requests):
    """What a user decides about an incident."""

    # -- undo and accept

    def undo(
        self,
        incident: str,
        merge: bool = False,
        dry_run: bool = False,
        details: bool = False,
        seen: str | None = None,
    ) -> dict[str, Any]:
        """Reverse the automatic act of an incident of one session; the same drop is not repaired a second time.

        `details` and `seen` as in restore.

        Raises GuardError: no such incident, already undone, or nothing there to go back to.
        """
        found = self._incident(incident)
        name = found.session
        if seen is not None:
            self.require_seen(name, seen)
        shadow_before = self._version(name, found.version) if found.version else None
        displaced = self._version(name, found.displaced) if found.displaced else None
        live = self._live(name)
        if found.action in ("kept", "stands", "left") and shadow_before:
            wanted = self._merged(self._read(shadow_before), live.document if live else None)
        elif displaced:
            is_told, before = displaced, shadow_before
            wanted = self._once(
                f"as it was {merge}", lambda: self._as_it_was(found, before, is_told, live, merge), live
            )
        elif found.action in ("salvaged", "returned") or (
            found.event == "missing" and found.action == "restored"
        ):
            return self._remove_again(found, live, dry_run)
        elif found.is_by_user:
            raise GuardError(
                f"Incident {incident} is what a user asked for, and undo reverses what the guard did",
                f"To go back: {found.way_back}" if found.way_back else "",
                ExitCode.REFUSED,
            )
        else:
            raise GuardError(
                f"Incident {incident} changed no file, so there is nothing to undo", "", ExitCode.REFUSED
            )
        return self._make_live(
            name,
            wanted,
            live,
            dry_run,
            "undone",
            "undone",
            f"undo of incident {incident}",
            resolves=incident,
            details=details,
        )

    def _as_it_was(
        self, found: Incident, before: Version | None, displaced: Version, live: Live | None, merge: bool
    ) -> Content:
        data = self._bytes(displaced)
        try:
            document = self._parsed(data)
        except Unreadable as error:
            raise GuardError(
                f"What incident {found.id} displaced is no readable session ({error})",
                f"It is kept as {displaced.path}; hermesguard history {found.session} lists the versions that can be restored",
                ExitCode.REFUSED,
            ) from None
        if not merge or live is None or live.document is None:
            return data
        repaired = merged_file(self._read(before), document) if before else data
        since = compare(session.parse_pieces(pieces_of(repaired)).messages, live.document.messages)
        return merged_file(
            document, with_messages(live.document, [live.document.messages[index] for index in since.added])
        )

    def _remove_again(self, found: Incident, live: Live | None, dry_run: bool) -> dict[str, Any]:
        name = found.session
        if live is None:
            raise GuardError(f"The file of {name} is gone already", "", ExitCode.REFUSED)
        result = {
            "session": name,
            "action": "removed",
            "messages_live": count_of(live.document),
            "messages_after": 0,
            "dry_run": dry_run,
        }
        if not dry_run:
            version = self._context.keep_version(name, live.content, "deleted", count_of(live.document))
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
            self._record("undone", "removed", name, count_of(live.document), 0, version, found.id)
            result["version"] = version
        return result

    def accept(self, name: str, dry_run: bool = False, seen: str | None = None) -> dict[str, Any]:
        """Say that live is right as it is: it becomes the shadow, and open incidents of the session are resolved."""
        if seen is not None:
            self.require_seen(name, seen)
        live = self._live(name)
        if live is None or live.document is None:
            is_kept = self._store.has_shadow(name) or self._store.versions(name)
            back = f"hermesguard restore {name}" if is_kept else f"hermesguard salvage --restore {name}"
            raise GuardError(
                f"The file of {name} is {'gone' if live is None else 'not readable'}, so it cannot be accepted",
                f"To have it back: {back}; to give the session up: hermesguard purge {name}",
                ExitCode.REFUSED,
            )
        try:
            shadow = self._shadow(name)
        except GuardError:
            shadow = None  # to accept live does not need it
        messages_before = shadow.document.count if shadow else 0
        result = {
            "session": name,
            "action": "accepted",
            "messages_before": messages_before,
            "messages_live": count_of(live.document),
        }
        if self._ahead:
            self._ahead.write_for(self._store, name, live.copy, None, "accepted")
        if dry_run:
            return {**result, "dry_run": True}
        version = ""
        if shadow and not are_equal(shadow.content, live.content):
            version = self._context.copies.version(name, shadow.content, messages_before, "accepted")
        self._context.keep(name, live.copy, live.stamp)
        for open_incident in self._open(name):
            self._context.recorder.note(
                Incident(
                    "",
                    "",
                    name,
                    "accepted",
                    "accepted",
                    messages_before=messages_before,
                    messages_after=count_of(live.document),
                    version=version,
                    resolves=open_incident,
                )
            )
        self._context.reporter.report(
            "accepted",
            session=name,
            messages_before=messages_before,
            messages_after=count_of(live.document) or 0,
        )
        return {**result, "version": version, "dry_run": False}
