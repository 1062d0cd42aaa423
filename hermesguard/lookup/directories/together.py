"""All parts of a store as one library: each session in the part that has it, one that is in two by the name of the part too.

So a session is called as ever, "3f2a", and only where that is in two directories "work:3f2a" and "default:3f2a".
"""

from collections import Counter
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from hermesguard.config.settings import Settings
from hermesguard.errors import ExitCode, GuardError
from hermesguard.lookup.library import Library
from hermesguard.store.directories.parts import Part, meant, part_settings
from hermesguard.store.history import Version
from hermesguard.store.incidents import Incident
from hermesguard.store.store import Shadow, Store

SEPARATOR = ":"


class InSeveral(GuardError):
    """A session is in more than one directory."""


def library_of(settings: Settings) -> Library:
    """Return the parts of the store that `settings` are about, open for reading. Raises GuardError as Library does."""
    parts = meant(settings)
    return Library(settings) if len(parts) == 1 else Together(settings, parts)


class Together(Library):
    """Several parts of a store, open for reading."""

    def __init__(self, settings: Settings, parts: list[Part]) -> None:
        super().__init__(settings)
        self._parts = {part.name: Library(part_settings(settings, part)) for part in parts}
        self._names = {id(library): name for name, library in self._parts.items()}
        self.store = _Stores(self)

    @property
    def libraries(self) -> list[Library]:
        """The parts, the first directory's first."""
        return list(self._parts.values())

    # -- names

    @cached_property
    def _doubles(self) -> frozenset[str]:
        """The ids that are in more than one part."""
        counts = Counter(name for one in self.libraries for name in {*one.sessions, *(one.live or ())})
        return frozenset(name for name, count in counts.items() if count > 1)

    @cached_property
    def _owners(self) -> dict[str, tuple[Library, str]]:
        found = {}
        for one in self.libraries:
            for name in {*one.sessions, *(one.live or ())}:
                found[self.name_in(one, name)] = (one, name)
        return found

    def name_in(self, one: Library, name: str) -> str:
        """Return how a session of a part is called here."""
        return f"{self._names[id(one)]}{SEPARATOR}{name}" if name in self._doubles else name

    def place(self, name: str) -> tuple[Library, str]:
        """Return the part that a session is in, and its id there."""
        if found := self._owners.get(name):
            return found
        part, separator, rest = name.partition(SEPARATOR)
        if separator and part in self._parts:
            return self._parts[part], rest
        return self.libraries[0], name

    def directory_of(self, name: str) -> str:
        """Return the name of the directory that a session is in."""
        return self._names[id(self.place(name)[0])]

    def of_incident(self, number: str) -> Library:
        """Return the part whose log has an incident, the first one when none has."""
        found = (one for one in self.libraries if any(incident.id == number for incident in one.everything))
        return next(found, self.libraries[0])

    def find(self, text: str) -> str:
        """As the library's; "work:3f2a" names a directory too. GuardError (exit code 13) that asks which, when it is in two."""
        part, separator, rest = text.partition(SEPARATOR)
        if separator and part in self._parts:
            return self.name_in(self._parts[part], self._parts[part].find(rest))
        twins = [
            name for name in self._owners if name.partition(SEPARATOR)[2] == text and text in self._doubles
        ]
        if twins:
            names = "\n".join(f"  {name}  {self.live_path(name)}" for name in sorted(twins))
            raise InSeveral(
                f"Session {text} is in {len(twins)} directories",
                f"Type which one you mean:\n{names}",
                ExitCode.NOT_FOUND,
            )
        return super().find(text)

    # -- what there is

    def _union(self, names: str) -> frozenset[str]:
        return frozenset(
            self.name_in(one, name) for one in self.libraries for name in getattr(one, names) or ()
        )

    @cached_property
    def sessions(self) -> list[str]:
        """All sessions of all parts, sorted."""
        return sorted(self._union("sessions"))

    @cached_property
    def broken(self) -> frozenset[str]:
        """As the library's."""
        return self._union("broken")

    @cached_property
    def kept(self) -> frozenset[str]:
        """As the library's."""
        return self._union("kept")

    @cached_property
    def live(self) -> frozenset[str] | None:
        """The sessions that have a file; those of a directory that cannot be read count as if they had."""
        found = set(self._union("live"))
        for one in self.libraries:
            if one.live is None:
                found |= {self.name_in(one, name) for name in one.kept}
        return frozenset(found)

    @cached_property
    def everything(self) -> list[Incident]:
        """The incidents and the notes of all parts, oldest first."""
        found = [
            one
            if not (one.session and one.session in self._doubles)
            else one._replace(session=self.name_in(part, one.session))
            for part in self.libraries
            for one in part.everything
        ]
        return sorted(found, key=lambda one: int(one.id))

    def live_path(self, name: str) -> Path:
        """As the library's."""
        one, own = self.place(name)
        return one.live_path(own)

    def title(self, name: str) -> str:
        """As the library's."""
        one, own = self.place(name)
        return one.title(own)


class _Stores(Store):
    """The parts' stores, for reading: each session's own by its name here."""

    def __init__(self, whole: Together) -> None:
        super().__init__(whole.settings.store)
        self._whole = whole

    def _of(self, session: str) -> tuple[Store, str]:
        one, own = self._whole.place(session)
        return one.store, own

    def shadow_path(self, session: str) -> Path:
        store, own = self._of(session)
        return store.shadow_path(own)

    def delta_log_path(self, session: str) -> Path:
        store, own = self._of(session)
        return store.delta_log_path(own)

    def has_shadow(self, session: str) -> bool:
        store, own = self._of(session)
        return store.has_shadow(own)

    def read_shadow(self, session: str) -> bytes:
        store, own = self._of(session)
        return store.read_shadow(own)

    def shadow_note(self, session: str) -> tuple[str, int] | None:
        store, own = self._of(session)
        return store.shadow_note(own)

    def versions(self, session: str, ending: str = "") -> list[Version]:
        store, own = self._of(session)
        return [one._replace(session=session) for one in store.versions(own, ending)]

    def shadows(self) -> Iterator[Shadow]:
        for one in self._whole.libraries:
            for shadow in one.store.shadows():
                yield shadow._replace(session=self._whole.name_in(one, shadow.session))

    def _all(self, names: str) -> Iterator[str]:
        for one in self._whole.libraries:
            for name in getattr(one.store, names)():
                yield self._whole.name_in(one, name)

    def shadow_names(self) -> list[str]:
        return list(self._all("shadow_names"))

    def with_delta_logs(self) -> list[str]:
        return list(self._all("with_delta_logs"))

    def histories(self) -> list[str]:
        return sorted(self._all("histories"))

    def sessions(self) -> list[str]:
        return sorted(self._all("sessions"))
