"""The process that tells people: reads what happened, gathers, sends, tries again, and works the dead man's switch.

What is durable when: what was read, with how far it was read, before anything is sent; that a message is about to go, and
its text, before it goes; that it was delivered, by whoever delivered it. So a kill at any instant makes nothing missed, and
a message that is sent again is the same one, with the same number.
"""

import os
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from hermesguard import files
from hermesguard.clock import Clock, local
from hermesguard.config.settings import Settings
from hermesguard.daemon.control import ask_running_guard
from hermesguard.errors import ExitCode, GuardError
from hermesguard.notify import ping
from hermesguard.notify import state as states
from hermesguard.notify.alerts import RELIEF, Alert
from hermesguard.notify.deliver import Delivery, is_under_way
from hermesguard.notify.digest import Message
from hermesguard.notify.outbox import Outbox
from hermesguard.notify.settings import Address, NotifySettings
from hermesguard.notify.sources import Files, Identity, Journal, Source, journal_knows, user_of
from hermesguard.notify.state import State
from hermesguard.store.lock import Lock

_BEFORE_SECONDS: Final = 3600.0
"""The first time, what happened in the hour before is told as well: that may be why someone asked to be told."""
_NOTED_SECONDS: Final = 300.0
_UNDECIDED_SECONDS: Final = 2.0
_GUARD_SPEAKS_SECONDS: Final = 10.0
"""So long after its start a guard must be in the journal, if it writes there at all."""
_BUSY_SECONDS: Final = 0.2
_LONGEST_WAIT_SECONDS: Final = 30.0

Say = Callable[[str], None]


@dataclass
class Surroundings:
    """What the notifier finds around it; tests put other things there."""

    clock: Clock = field(default_factory=Clock)
    host: str = field(default_factory=socket.gethostname)
    journal: Path | None = None
    """The directory of the journal, when it is not this machine's."""
    say: Say = lambda line: print(line, flush=True)
    deliver: Callable[[Path, Address, Message], Delivery] = Delivery
    prove: ping.Prove = ping.prove
    visit: ping.Visit = ping.visit


class Notifier:
    """One for each store; the lock in its directory keeps out a second one. Use it as a context."""

    def __init__(
        self, settings: Settings, options: NotifySettings, around: Surroundings | None = None
    ) -> None:
        self.settings = settings
        self.options = options
        self.around = around or Surroundings()
        self.directory = states.directory_of(settings.store)
        self.identity = Identity.of(settings.store, options.unit)
        self.sender = options.unit.removesuffix(".service") or f"the guard of {user_of(self.identity)}"
        self._lock = Lock(self.directory / states.LOCK)
        self._source: Source | None = None
        self._delivery: Delivery | None = None
        self._watchman = ping.Watchman()
        self._look_due = 0.0
        self._alive_due = 0.0
        self._is_changed = False
        self._is_unwell = False
        self._has_more = False
        self._is_guard_deaf = False
        self.state = State()

    def __enter__(self) -> "Notifier":
        """Take the lock and read the state. Raises GuardError."""
        try:
            files.make_directory(self.directory)
            if not self._lock.take():
                raise GuardError(
                    f"Another notifier runs for the store {self.settings.store}",
                    "Stop it first (systemctl stop hermesguard-notify), or leave it at that",
                    ExitCode.LOCKED,
                )
            self.state = self._read_state()
        except OSError as error:
            self._lock.release()
            raise GuardError(
                f"The notifier cannot keep its state in {self.directory}: {error.strerror or error}",
                "Let its user write there",
                ExitCode.REFUSED,
            ) from None
        self.state.is_stopped = False
        self._match_addresses()
        self._save()
        return self

    def __exit__(self, *_: object) -> None:
        if self._source:
            self._source.close()
        self._lock.release()

    def _now(self) -> float:
        return self.around.clock.now().timestamp()

    # -- the state

    def _read_state(self) -> State:
        try:
            found = states.read(self.directory)
        except ValueError as error:
            kept = states.set_aside(self.directory)
            self.around.say(f"The state was not readable ({error}), and is kept as {kept}; beginning anew.")
            found = None
        return found or State(since=self._now() - _BEFORE_SECONDS)

    def _match_addresses(self) -> None:
        """Keep an outbox for each address of the settings, with what waits in it; those of others go."""
        known = {outbox.key: outbox for outbox in self.state.outboxes}
        outboxes = []
        for address in self.options.addresses:
            outbox = known.pop(address.key, None) or Outbox(address.key, address.name)
            outbox.name = address.name
            # A state that was lost must not use a number again: who delivers would take it for done.
            receipt = states.receipt(self.directory, address.key)
            outbox.number = max(outbox.number, receipt)
            outboxes.append(outbox)
        for outbox in known.values():
            if outbox.waiting:
                self.around.say(f"{outbox.name} is no longer named: what waited for it is dropped.")
        self.state.outboxes = outboxes

    def _save(self) -> None:
        states.write(self.directory, self.state)
        self._is_changed = False

    # -- one turn

    def turn(self) -> float:
        """Do all that is to be done now; return seconds until there may be more. Raises OSError when the state cannot be kept."""
        now = self._now()
        self._is_guard_deaf = False
        self._collect(now)
        waits = [self._read(now), self._look(now)]
        if self._is_changed:
            self._save()
        waits.append(self._send(now))
        self._show_life()
        return max(0.0, min(*waits, _LONGEST_WAIT_SECONDS))

    def _show_life(self) -> None:
        now = self.around.clock.monotonic()
        if now >= self._alive_due:
            self._alive_due = now + states.ALIVE_SECONDS
            with suppress(OSError):
                os.utime(self.directory / states.LOCK)

    # -- reading

    def _read(self, now: float) -> float:
        if self._source is None:
            self._source = self._choose(now)
        self._has_more = False
        if self._source is None:
            return _UNDECIDED_SECONDS
        before = self.state.position
        try:
            found = self._source.read(self.state)
        except (ImportError, OSError) as error:
            self.around.say(f"The journal cannot be read: {error}; trying again.")
            self._source.close()
            self._source = None
            return _LONGEST_WAIT_SECONDS
        self._is_changed |= before != self.state.position
        self._has_more = bool(found)
        for alert in found:
            self._gather(alert, now)
        return 0.0 if found else self._source.wait_seconds()

    def _choose(self, now: float) -> Source | None:
        """Return where what happened is read; None as long as nobody can know that yet."""
        source = self.state.source if self.options.source == "auto" else self.options.source
        if not source:
            if journal_knows(self.identity, self.around.journal):
                source = "journal"
            elif self._guard_is_silent(now):
                source = "incidents"
            else:
                return None
        if source != self.state.source:
            if self.state.source:
                # What was read so far came from elsewhere, and what came since then is here.
                self.state.since = self.state.read_until or now
            self.state.source = source
            self._is_changed = True
            what = "the journal" if source == "journal" else f"the incidents of {self.settings.store}"
            self.around.say(f"Reading {what}.")
        if source == "journal":
            wanted = self.options.events | {
                name for name, ends in RELIEF.items() if ends & self.options.events
            }
            return Journal(self.identity, wanted, self.around.journal)
        return Files(self.settings.store)

    def _guard_is_silent(self, now: float) -> bool:
        """Return whether a guard runs that has had time to be in the journal, and is not."""
        with suppress(GuardError, OSError, ValueError):
            answer = ask_running_guard(self.settings.store, "status", {})
            if answer and answer.get("since"):
                return now - datetime.fromisoformat(str(answer["since"])).timestamp() > _GUARD_SPEAKS_SECONDS
        return False

    def _gather(self, alert: Alert, now: float) -> None:
        directory = str(alert.values.get("directory", ""))  # what ends in one of several ends there alone
        ends = {_of(name, directory) for name in RELIEF.get(alert.name, frozenset())}
        is_wanted = alert.name in self.options.events
        title = ""
        for outbox in self.state.outboxes:
            ended = outbox.is_told & ends
            if not (is_wanted or ended):
                continue
            outbox.is_told -= ended
            if any(alert.name in troubles for troubles in RELIEF.values()):
                outbox.is_told.add(_of(alert.name, directory))
            title = title or self._title(alert)
            outbox.add(alert, title, now)
            self._is_changed = True

    def _title(self, alert: Alert) -> str:
        """Return the title of the conversation, if it may be told: the guard is asked, for this process sees no shadow."""
        session = alert.values.get("session")
        if not (self.options.titles and isinstance(session, str)) or self._is_guard_deaf:
            return ""
        try:
            directory = str(alert.values.get("directory", ""))
            answer = ask_running_guard(self.settings.store, "title", {"name": session}, directory)
        except (GuardError, OSError) as error:
            # For this turn: a guard that hangs takes ten seconds to say nothing.
            self._is_guard_deaf = getattr(error, "exit_code", None) is not ExitCode.NOT_FOUND
            return ""
        return str(answer["title"]) if answer else ""

    # -- sending

    def _is_quiet(self, now: float) -> bool:
        span = self.options.quiet_hours
        return span is not None and span.has(local(datetime.fromtimestamp(now, UTC)).time())

    def _send(self, now: float) -> float:
        """Start the next delivery that is due; return seconds until another may be."""
        if self._delivery:
            return _LONGEST_WAIT_SECONDS  # its end wakes us
        if self._is_quiet(now):
            return _LONGEST_WAIT_SECONDS
        waits = [_LONGEST_WAIT_SECONDS]
        for address, outbox in zip(self.options.addresses, self.state.outboxes, strict=True):
            if not outbox.due(now, self.options.gather_seconds):
                wait = outbox.wait_seconds(now, self.options.gather_seconds)
                waits += [] if wait is None else [wait]
                continue
            if is_under_way(self.directory):
                # Of a notifier that is gone. It ends within a minute, and has left a receipt then if it delivered.
                return _BUSY_SECONDS
            if outbox.sending and states.receipt(self.directory, outbox.key) >= outbox.sending.number:
                outbox.done(now)
                self._save()
                return 0.0
            message = outbox.next(self.around.host, self.sender)
            self._save()
            self._delivery = self.around.deliver(self.directory, address, message)
            return _LONGEST_WAIT_SECONDS
        return min(waits)

    def _collect(self, now: float) -> None:
        """Note how the delivery that was under way has ended."""
        if self._delivery is None or (error := self._delivery.result()) is None:
            return
        address, self._delivery = self._delivery.address, None
        outbox = next(one for one in self.state.outboxes if one.key == address.key)
        number = outbox.sending.number if outbox.sending else 0
        if error:
            outbox.failed(error, now)
            self.around.say(
                f"Message {number} could not be sent to {outbox.name}: {error}. "
                f"Trying again in {max(0.0, outbox.retry_at - now):.0f} s."
            )
        else:
            self.around.say(f"Message {number} was sent to {outbox.name}.")
            outbox.done(now)
        self._save()

    # -- the dead man's switch

    def _look(self, now: float) -> float:
        """Have the guard prove itself, and tell the address of ping_url, or, without a journal, whoever is to hear of it."""
        is_asked = bool(self.options.ping_url) or self.state.source == "incidents"
        if not is_asked:
            return _LONGEST_WAIT_SECONDS
        monotonic = self.around.clock.monotonic()
        if monotonic < self._look_due:
            return self._look_due - monotonic
        proof = self.around.prove(self.settings.store, datetime.fromtimestamp(now, UTC))
        for sign in self._watchman.signals(proof):
            if self.options.ping_url:
                self._ping(sign, now)
            if self.state.source == "incidents":
                self._tell_of(sign, now)
        pause = self._watchman.pause_seconds
        self._look_due = self.around.clock.monotonic() + pause
        return pause

    def _ping(self, sign: ping.Signal, now: float) -> None:
        error = self.around.visit(self.options.ping_url, self.options.ping_style, sign)
        if sign.kind == "fail":
            self.around.say(f"The guard proves nothing: {sign.reason}.")
        if error:
            self._watchman.missed(sign)
            if error != self.state.ping.get("error"):
                self.around.say(f"ping_url cannot be reached: {error}.")
        had = self.state.ping
        sent = had.get("sent", 0.0) if error else now
        if (
            error
            or sign.kind != "success"
            or had.get("error")
            or now - had.get("sent", 0.0) >= _NOTED_SECONDS
        ):
            self.state.ping = {"sent": sent, "error": error}
            self._is_changed = True

    def _tell_of(self, sign: ping.Signal, now: float) -> None:
        moment = datetime.fromtimestamp(now, UTC).isoformat()
        if sign.kind == "fail":
            self._is_unwell = True
            if "unwell" in self.options.events:
                self._gather(Alert("unwell", moment, {"reason": sign.reason}), now)
        elif sign.kind == "success" and self._is_unwell:
            self._is_unwell = False
            self._gather(Alert("well_again", moment, {}), now)

    # -- for whoever owns its life (module life)

    @property
    def delivering(self) -> int | None:
        """Return the process that delivers a message now; its end is a reason for a turn."""
        return self._delivery.pid if self._delivery else None

    def forget(self) -> None:
        """Go back to what the disk has: what was read since is read again."""
        with suppress(OSError, ValueError):
            if (found := states.read(self.directory)) is not None:
                self.state = found
                self._match_addresses()
        if self._source:
            self._source.close()
            self._source = None
        self._is_changed = False

    def is_done(self) -> bool:
        """Return whether all was read and tried once, for a life that is one look; what is gathered does not wait then."""
        if self._delivery or self._has_more:
            return False
        now = self._now()
        if self._is_quiet(now):
            return True
        for outbox in self.state.outboxes:
            if outbox.gathering.kinds and not outbox.sending:
                outbox.since = now - self.options.gather_seconds
        return not any(outbox.due(now, self.options.gather_seconds) for outbox in self.state.outboxes)

    def finish_delivery(self) -> None:
        """Wait for the delivery that is under way, a minute at most. Raises OSError when that cannot be noted."""
        if self._delivery:
            self._delivery.wait()
            self._collect(self._now())

    def end(self) -> None:
        """Note that it ends as it should."""
        self.state.is_stopped = True
        with suppress(OSError):
            self._save()

    def words(self) -> str:
        """Return in words how it stands, for `systemctl status`."""
        delivered = sum(outbox.delivered for outbox in self.state.outboxes)
        waiting = sum(outbox.waiting for outbox in self.state.outboxes)
        return f"{delivered} messages sent, {waiting} waiting"


def _of(name: str, directory: str) -> str:
    """Return how a trouble is remembered: by its name, and that of its directory where there are several."""
    return f"{name} {directory}" if directory else name
