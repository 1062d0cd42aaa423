"""What the guard knows of each session between two visits; one owner, the loop."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from hermesguard.clock import Clock
from hermesguard.judge.verdict import Writer

SHORTEST_WAIT_SECONDS = 0.001
# A rotation saves the renamed session at once; what comes much later is another story.
NEW_SECONDS = 60.0
MOST_WRITERS = 16


@dataclass(slots=True)
class Deferred:
    """Something that only time can answer: when it was first asked, of which state of live, and when to look again."""

    since: float
    due: float
    state: bytes | None = None
    writer_pid: int | None = None
    waits_seconds: float = 0.0


@dataclass(slots=True)
class Totals:
    """What has happened since the guard started; times are UTC, ISO 8601, but where a name says nanoseconds."""

    started: str
    restored: int = 0
    uncertain: int = 0
    unrepaired: int = 0
    last_save_ns: int = 0
    """The mtime of the save that was seen last."""
    last_scan: str = ""


@dataclass(slots=True)
class Writers:
    """Which processes save, by the names of their temporary files: numbers of the application's own pid namespace."""

    _of_session: dict[str, int] = field(default_factory=dict)
    """By session: the process that wrote what is the shadow now."""
    _seen: dict[int, None] = field(default_factory=dict)
    """All that have saved here, the last one last."""

    def __call__(self, session: str, pid: int | None) -> Writer:
        """Return how the process that has just written a session stands to the one that wrote its shadow."""
        before = self._of_session.get(session)
        if pid is None or before is None:
            return "unknown"
        if pid == before:
            return "same"
        return "another" if pid in self._seen else "new"

    def saved(self, pid: int) -> int | None:
        """Note that a process saves; return the one that has saved since it did last, None when there is none.

        Who comes back after another one was alive while that one saved: two are at work.
        """
        last = next(reversed(self._seen), pid)
        if pid == last:
            self._seen[pid] = None
            return None
        came_back = pid in self._seen
        self._seen.pop(pid, None)
        self._seen[pid] = None
        while len(self._seen) > MOST_WRITERS:
            del self._seen[next(iter(self._seen))]
        return last if came_back else None

    def stands(self, session: str, pid: int | None) -> None:
        """Note that what a process has written is the shadow now."""
        if pid is not None:
            self._of_session[session] = pid

    def forget(self, session: str) -> None:
        """Forget a session that is gone for good."""
        self._of_session.pop(session, None)


@dataclass
class Notes:
    """What was seen of each session, and what is still open."""

    clock: Clock
    seen: dict[str, tuple[int, int]] = field(default_factory=dict)
    """What a listing showed of each session when it was last found in order: (size in bytes, mtime_ns)."""
    messages: dict[str, int] = field(default_factory=dict)
    """Messages in each guarded session."""
    unreadable: dict[str, str] = field(default_factory=dict)
    """Sessions with which nothing can be done, and why; told once."""
    newcomers: dict[str, float] = field(default_factory=dict)
    """Sessions seen for the first time, and when (monotonic): a renamed session comes back as one."""
    began: dict[str, float] = field(default_factory=dict)
    """Sessions that were seen without a message, and when they had one (monotonic); for a minute."""
    deferred: dict[str, Deferred] = field(default_factory=dict)
    writers: Writers = field(default_factory=Writers)
    totals: Totals = field(init=False)

    def __post_init__(self) -> None:
        self.totals = Totals(self.clock.now().isoformat())

    def in_order(self, name: str, state: tuple[int, int], messages: int) -> None:
        """Note that a session was found in order, and is so as long as a listing shows `state`."""
        self.deferred.pop(name, None)
        self.unreadable.pop(name, None)
        self.seen[name] = state
        if messages and self.messages.get(name) == 0:
            self.began[name] = self.clock.monotonic()
        self.messages[name] = messages

    def forget(self, name: str) -> None:
        """Forget a session that is gone for good."""
        self.deferred.pop(name, None)
        self.unreadable.pop(name, None)
        self.seen.pop(name, None)
        self.messages.pop(name, None)
        self.writers.forget(name)

    def forget_old(self) -> None:
        """Forget which sessions are new, or began, since more than a minute."""
        now = self.clock.monotonic()
        for times in (self.newcomers, self.began):
            for name in [name for name, when in times.items() if now - when >= NEW_SECONDS]:
                del times[name]

    def waited_seconds(self, name: str, state: bytes | None) -> float:
        """Return how long the question about this state of a session has been open; 0 when there is none."""
        question = self.deferred.get(name)
        if question is None or question.state != state:
            return 0.0
        now = self.clock.monotonic()
        # A sum of floats and their difference need not agree in the last bit: what is due has waited long enough.
        return max(now - question.since, question.waits_seconds if question.due <= now else 0.0)

    def defer(self, name: str, state: bytes | None, seconds: float, writer_pid: int | None = None) -> None:
        """Look at a session again when this state of it is `seconds` old."""
        now = self.clock.monotonic()
        question = self.deferred.get(name)
        if question is None or question.state != state:
            question = self.deferred[name] = Deferred(now, now, state, writer_pid)
        question.waits_seconds = seconds
        question.due = max(question.since + seconds, now + SHORTEST_WAIT_SECONDS)

    def due(self) -> Iterator[tuple[str, Deferred]]:
        """Take and yield the deferred whose time has come; whoever answers may ask again."""
        now = self.clock.monotonic()
        for name in [name for name, question in self.deferred.items() if question.due <= now]:
            question = self.deferred.get(name)
            if question is not None and question.due <= now:
                try:
                    yield name, question
                finally:  # also when nobody asks for more
                    if self.deferred.get(name) is question and question.due <= now:
                        del self.deferred[name]

    def next_due_seconds(self) -> float | None:
        """Return the seconds until the next question is due, None when there is none."""
        if not self.deferred:
            return None
        due = min(question.due for question in self.deferred.values())
        return max(0.0, due - self.clock.monotonic())
