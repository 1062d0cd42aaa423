"""What people mean when they type a session, a version or a time. Pure, but for the titles that are asked for."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Literal, NoReturn

from hermesguard.clock import local
from hermesguard.config.units import parse_duration
from hermesguard.errors import ExitCode, GuardError
from hermesguard.store.history import Version
from hermesguard.store.incidents import Incident

_SHOWN_AT_MOST: Final = 10
_NEAREST: Final = 3
_ALL: Final = "All of them: hermesguard list"


def split_version(text: str) -> tuple[str, str | None]:
    """Return session and version of "SID@VERSION"; the version is None when there is none.

    A title may hold an @ itself: what cannot be a version belongs to the title.
    """
    session, at, version = text.rpartition("@")
    return (session, version) if at and _may_be_version(version) else (text, None)


class SeveralFit(GuardError):
    """More than one session is called so."""


def find_session(text: str, sessions: Iterable[str], titles: Callable[[], Mapping[str, str]]) -> str:
    """Return the one session that `text` means: its id, the start of its id, or words of its title.

    `titles` is only called when no id fits. Raises GuardError (exit code 13) with the three nearest when nothing fits, with
    the list when several do.
    """
    known = sorted(sessions)
    asked = text.rsplit("/", 1)[-1].removesuffix(".json") if text.endswith(".json") else text
    if asked in known:
        return asked
    if asked and (found := [session for session in known if session.startswith(asked)]):
        if len(found) > 1:
            _refuse_several(text, found, titles())
        return found[0]
    names = titles()
    words = asked.casefold().split()
    if words and (found := [session for session in known if _has_words(names.get(session, ""), words)]):
        if len(found) > 1:
            _refuse_several(text, found, names)
        return found[0]
    nearest = _nearest(asked, known, names)
    remedy = (
        f"The nearest are:\n{_listed(nearest, names)}\n{_ALL}"
        if nearest
        else "The store holds no sessions yet"
    )
    raise GuardError(f'No session is called "{text}"', remedy, ExitCode.NOT_FOUND)


def has_words(title: str, words: Iterable[str]) -> bool:
    """Return whether a title holds all the words, whatever their case."""
    return _has_words(title, [word.casefold() for word in words])


def _has_words(title: str, words: Sequence[str]) -> bool:
    folded = title.casefold()
    # No generator: an interrupt that comes while one is closed is written to the standard error, and lost.
    return not [word for word in words if word not in folded]


def _refuse_several(text: str, found: Sequence[str], titles: Mapping[str, str]) -> NoReturn:
    more = f"\n  and {len(found) - _SHOWN_AT_MOST} more" if len(found) > _SHOWN_AT_MOST else ""
    raise SeveralFit(
        f'{len(found)} sessions fit "{text}"',
        f"Type more of the id of the one you mean:\n{_listed(found[:_SHOWN_AT_MOST], titles)}{more}\n{_ALL}",
        ExitCode.NOT_FOUND,
    )


def _nearest(text: str, sessions: Sequence[str], titles: Mapping[str, str]) -> list[str]:
    from difflib import SequenceMatcher  # only a mistake needs it

    matcher = SequenceMatcher(autojunk=False)
    matcher.set_seq2(text.casefold())

    def likeness(session: str) -> float:
        best = 0.0
        for name in (session, session[: len(text)], titles.get(session, "")):
            matcher.set_seq1(name.casefold())
            if matcher.real_quick_ratio() > best:
                best = max(best, matcher.ratio())
        return best

    return sorted(sessions, key=likeness, reverse=True)[:_NEAREST]


def _listed(sessions: Iterable[str], titles: Mapping[str, str]) -> str:
    return "\n".join(
        f"  {session}  {' '.join(titles.get(session, '').split())[:60]}".rstrip() for session in sessions
    )


# Versions.


@dataclass(frozen=True, slots=True)
class Chosen:
    """A copy of a session: the live file, the shadow ("latest"), or a version of the history."""

    kind: Literal["live", "latest", "version"]
    version: Version | None = None

    @property
    def name(self) -> str:
        """What to type after `SID@`."""
        return self.version.name if self.version else self.kind


LIVE: Final = Chosen("live")
LATEST: Final = Chosen("latest")

_VERSION_WORDS: Final = ("latest", "live")
_BACK: Final = re.compile(r"-(\d{1,6})", re.ASCII)
_NAME: Final = re.compile(r"\d{8}T[\d.]*Z?", re.ASCII)
_WHOLE_NAME: Final = re.compile(r"\d{8}T\d{6}\.\d{6}Z", re.ASCII)
NEVER_GOOD: Final = frozenset({"displaced", "leftover"})


def find_version(
    text: str,
    session: str,
    versions: Sequence[Version],
    log: Sequence[Incident],
    now: datetime,
    began: datetime | None = None,
) -> Chosen:
    """Return the copy that `text` means, of a session with these `versions` and this incident `log` (both oldest first).

    "latest" is the newest good copy, "live" the file of the application; "-1" is the newest version in the history, "-2" the
    one before it; a name (or its start) is the version that `history` shows under it; a time is the copy that was the newest
    good one at that time, if the session had begun by then. Times without a zone are local. Raises GuardError (exit code 13)
    when there is no such copy.
    """
    if text in _VERSION_WORDS:
        return LATEST if text == "latest" else LIVE
    if back := _BACK.fullmatch(text):
        steps = int(back[1])
        if steps == 0:
            return LATEST
        if steps <= len(versions):
            return Chosen("version", versions[-steps])
        _refuse_version(text, session, versions)
    if _NAME.fullmatch(text) and (
        found := [version for version in versions if version.name.startswith(text)]
    ):
        if len(found) == 1 or found[0].name == text:
            return Chosen("version", found[0])
        _refuse_version(text, session, found, "More than one version begins so")
    when = None if _WHOLE_NAME.fullmatch(text) else _moment(text, now)
    if when is None:
        _refuse_version(text, session, versions)
    if began and when < began and not any(version.time <= when for version in versions):
        _refuse_version(text, session, versions, f"Session {session} began later, at {_local(began)}")
    return next(
        (Chosen("version", version) for until, version in reigns(versions, log) if until >= when), LATEST
    )


def reigns(versions: Sequence[Version], log: Sequence[Incident]) -> list[tuple[datetime, Version]]:
    """Return until when each version was the newest good copy, in the order of time.

    That is the time it carries, but for what a repair or a crash put aside, which never was one; and the time of each
    incident that names it as what was there before, for the same content is kept once, however often it is lost.
    """
    by_name = {version.name: version for version in versions}
    found = [(version.time, version) for version in versions if version.reason not in NEVER_GOOD]
    found += [
        (datetime.fromisoformat(incident.time), by_name[incident.version])
        for incident in log
        if incident.version in by_name
    ]
    return sorted(found, key=lambda reign: reign[0])


def parse_moment(text: str, now: datetime) -> datetime:
    """Return the time that "2h" (ago), "today", "yesterday", "10:30" or "2026-11-22T10:00" means, aware.

    Raises GuardError (exit code 2) when it means none.
    """
    try:
        return now - timedelta(seconds=parse_duration(text))
    except ValueError:
        pass
    midnight = local(now).replace(hour=0, minute=0, second=0, microsecond=0)
    if text in ("today", "yesterday"):
        return (midnight - timedelta(days=text == "yesterday")).astimezone(UTC)
    when = _moment(text, now)
    if when is None:
        raise GuardError(
            f'"{text}" is not a time',
            'Write "2h" or "3d" for that long ago, "today", "10:30", or a time such as 2026-11-22T10:00',
            ExitCode.USAGE,
        )
    return when


def _may_be_version(text: str) -> bool:
    if text in _VERSION_WORDS or _BACK.fullmatch(text) or _NAME.fullmatch(text):
        return True
    return _moment(text, datetime.now(UTC)) is not None


def _moment(text: str, now: datetime) -> datetime | None:
    today = local(now).date()
    for candidate in (text, f"{today}T{text}"):
        try:
            typed = datetime.fromisoformat(candidate)
            if typed.year > 1:  # the first has hours that are in no year at all in UTC
                return local(typed).astimezone(UTC)
        except (ValueError, OverflowError):
            continue
    return None


def _local(when: datetime) -> str:
    return f"{local(when):%Y-%m-%dT%H:%M:%S}"


def _refuse_version(text: str, session: str, versions: Sequence[Version], why: str = "") -> NoReturn:
    names = ", ".join(f"@{version.name}" for version in versions[-5:])
    what = why or f'Session {session} has no version "{text}"'
    known = f"It has @latest, @live and {len(versions)} in its history"
    remedy = f"{known}: {names}" if versions else "It has @latest and @live, and nothing in its history"
    raise GuardError(what, remedy + f". See: hermesguard history {session}", ExitCode.NOT_FOUND)
