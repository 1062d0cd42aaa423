"""A drill: every session restored as a repair would, into a scratch directory, and each message looked for."""

from dataclasses import dataclass, field
from pathlib import Path

from hermesguard import files
from hermesguard.repair.merge import merge_documents
from hermesguard.repair.replace import place
from hermesguard.store.store import Store
from hermesguard.store.upkeep.verify import Progress, no_progress, said
from hermesguard.webui import session
from hermesguard.webui.compare.diff import compare
from hermesguard.webui.session import Unreadable


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
    shadow = session.parse_anyhow(store.read_shadow(name))
    target = scratch / f"{name}.json"
    try:
        place(target, [merge_documents(shadow)], None, None, lambda placed: None)
        comparison = compare(shadow.messages, session.parse_anyhow(files.read(target)[0]).messages)
    finally:
        files.remove(target)
    missing = len(comparison.missing) + len(comparison.shortened)
    return shadow.count - missing, missing
