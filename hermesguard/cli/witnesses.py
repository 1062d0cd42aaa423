"""A second witness: what the traces beside the guard's own copies (package salvage) say of what is missing."""

from hermesguard.config.settings import Settings
from hermesguard.errors import GuardError
from hermesguard.lookup.library import Library
from hermesguard.salvage.places import places_of
from hermesguard.store.incidents import Incident
from hermesguard.store.store import Store
from hermesguard.webui import session
from hermesguard.webui.compare.diff import compare
from hermesguard.webui.session import Message, Unreadable


def witnesses(settings: Settings, library: Library, incident: Incident) -> list[str]:
    """Return, for an incident that a user must decide, whether state.db or a journal knows the missing messages or their removal.

    Empty where nothing is missing, or no trace can be read.
    """
    from hermesguard.salvage.survey import Survey  # only an open incident needs it

    try:
        missing = _missing(library, incident)
        if not missing:
            return []
        look = Survey(places_of(settings))
        try:
            return look.examine(incident.session).knows(missing).sentences()
        finally:
            look.close()
    except (GuardError, OSError, Unreadable):
        return []


def lost_before(settings: Settings, store: Store) -> int:
    """Return how many conversations look lost from before the guard came, by a quick look; 0 where nothing can be read."""
    from hermesguard.salvage.survey import glance

    try:
        return glance(places_of(settings), store)
    except (GuardError, OSError):
        return 0


def _missing(library: Library, incident: Incident) -> list[Message]:
    """Return the messages of the copy from before that were not in the file as it was found."""
    versions = {version.name: version for version in library.store.versions(incident.session)}
    before, found = versions.get(incident.version), versions.get(incident.displaced)
    if before is None:
        return []
    old = session.parse(library.store.read_version(before)).messages
    if found:
        new = session.parse(library.store.read_version(found)).messages
    elif library.live_path(incident.session).exists():
        new = session.parse(library.live_path(incident.session).read_bytes()).messages
    else:
        new = []
    return [old[index] for index in compare(old, new).missing]
