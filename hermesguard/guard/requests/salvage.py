"""`salvage`: what a command rebuilt from other traces comes into the history, and on demand becomes live."""

from typing import Any

from hermesguard import files
from hermesguard.errors import GuardError
from hermesguard.guard.requests.requests import Requests
from hermesguard.pieces import are_equal
from hermesguard.store.history import SALVAGED
from hermesguard.webui.session import Unreadable


class Salvages(Requests):
    """What a user has rebuilt (package salvage); the guard itself rebuilds nothing."""

    def salvage(self, name: str, file: str, restore: bool = False, dry_run: bool = False) -> dict[str, Any]:
        """Put a rebuilt session into the history, and on demand make it live, with what live has beside it merged in.

        `file` is its name in the store, where the command left it (module handover); it is removed.
        """
        path = self._store.root / file
        try:
            data = self._once(file, lambda: files.read(path)[0])
            document = self._parsed(data)
        except (OSError, Unreadable) as error:
            raise GuardError(f"What was rebuilt of {name} cannot be read: {error}", "Retry") from None
        finally:
            if not dry_run:
                files.remove(path)
        salvaged = "" if dry_run else self._context.keep_version(name, data, SALVAGED, document.count)
        if self._context.copies.has_pending(name):
            raise GuardError(
                f"The store cannot take what was rebuilt of {name}: {self._context.copies.broken}",
                "Make room and retry; nothing was changed",
            )
        kept = {"session": name, "action": "kept", "salvaged": salvaged, "messages_after": document.count}
        if not restore:
            return kept
        live = self._live(name)
        merged = self._merged(document, live.document if live else None)
        if live and live.document and are_equal(live.content, merged):
            return {**kept, "action": "unchanged"}
        why = "rebuilt from traces that hermes-webui and its agent left"
        made = self._make_live(
            name, merged, live, dry_run, "restored_by_user", "salvaged", why, salvaged=salvaged
        )
        return {**kept, **made}
