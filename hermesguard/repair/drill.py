"""A drill: every session restored as a repair would, into a scratch directory, and each message looked for."""

from dataclasses import dataclass, field
from pathlib import Path

from hermesguard import files
from hermesguard.repair.merge import merge_documents
from hermesguard.repair.replace import place
from hermesguard.store.store import Store
from hermesguard.store.upkeep.verify import Progress, damage_of_unread, no_progress, said
from hermesguard.webui import session
from hermesguard.webui.compare.diff import compare
from hermesguard.webui.session import TooDense, Unreadable


@dataclass(slots=True)
class Drill:
    """What became of the sessions in a drill."""

    sessions: int = 0
    messages: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    """By session: why it would not come back whole."""

    @property
    def restorable(self) -> int:
        """How many sessions came back with every message."""
        return self.sessions - len(self.failed)


def drill(store: Store, progress: Progress = no_progress) -> Drill:
    """Put every session back into an empty scratch directory, as a repair does, and look for each message of its shadow.

    What would not fit into memory comes back unread: there the digest tells whether it would come back as it was kept.
    Raises OSError when there is no scratch directory to be had.
    """
    import tempfile  # it brings much along that the guard itself never needs

    result = Drill()
    names = [shadow.session for shadow in store.shadows()]
    result.sessions = len(names)
    with tempfile.TemporaryDirectory(prefix="hermesguard-drill-") as scratch:
        for done, name in enumerate(sorted(names)):
            progress(done, len(names))
            try:
                count, missing = _came_back(store, name, Path(scratch))
            except (OSError, Unreadable) as error:
                if not store.has_shadow(name):
                    result.sessions -= 1  # it was deleted meanwhile
                else:
                    result.failed[name] = said(error)
                continue
            result.messages += count
            if missing:
                result.failed[name] = f"{missing} of {count + missing} messages did not come back"
    progress(len(names), len(names))
    return result


def _came_back(store: Store, name: str, scratch: Path) -> tuple[int, int]:
    """Return (messages that came back, messages that did not)."""
    if store.is_too_large(name):
        return _would_come_back(store, name)
    try:
        shadow = session.parse(store.read_shadow(name))
    except TooDense:
        return _would_come_back(store, name)
    target = scratch / f"{name}.json"
    try:
        place(target, [merge_documents(shadow)], None, None, lambda placed: None)
        comparison = compare(shadow.messages, session.parse_anyhow(files.read(target)[0]).messages)
    finally:
        files.remove(target)
    missing = len(comparison.missing) + len(comparison.shortened)
    return shadow.count - missing, missing


def _would_come_back(store: Store, name: str) -> tuple[int, int]:
    if damage := damage_of_unread(store, name):
        raise files.Damaged(damage.error)
    noted = store.shadow_note(name)
    return (noted[1] if noted else 0), 0
