"""The dead man's switch: an address that is visited while the guard proves that it guards, and whose owner raises the alarm.

The proof is asked of the guard itself (control socket, `prove`): its loop makes a change in the sessions directory and sees
it, and writes into the store. A guard that hangs does not answer, and one that sees nothing does not claim to.
"""

import base64
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

from hermesguard.daemon.control import ask_running_guard
from hermesguard.errors import GuardError
from hermesguard.events.event import plain

PAUSE_SECONDS: Final = 60.0
AGAIN_SECONDS: Final = 10.0
"""One look that fails may be a restart, or a watch that is being established again: another one decides."""
_ANSWER_SECONDS: Final = 10.0
LONGEST_SECONDS: Final = 20.0
_THREAD: Final = "visit of ping_url"
_LONGEST_REASON: Final = 300


class Proof(NamedTuple):
    """What the guard could prove."""

    reason: str
    """Why it does not guard; empty when it does."""
    started: str = ""
    """When it started; empty when it did not answer."""
    scan: str = ""
    """When its last scan ended."""


def prove(store: Path, now: datetime) -> Proof:
    """Ask the guard of a store to prove that it guards. Raises nothing."""
    try:
        answer = ask_running_guard(store, "prove", {})
        return Proof("no guard runs") if answer is None else judged(answer, now)
    except (GuardError, OSError) as error:
        return Proof(error.what if isinstance(error, GuardError) else str(error))
    except (ValueError, TypeError):
        return Proof("the guard's answer is not understood")


def judged(answer: dict[str, Any], now: datetime) -> Proof:
    """Return what the guard's answer proves at this time."""
    started, scan = str(answer.get("since", "")), str(answer.get("last_scan", ""))
    longest = 60.0 + 3 * float(answer.get("scan_interval_seconds", 0.0))
    reason = ""
    if not answer.get("ready"):
        reason = str(answer.get("watch_reason") or "the first scan is not over")
    elif answer.get("watch_lost"):
        reason = f"the watch is lost ({answer.get('watch_reason') or 'not known why'})"
    elif answer.get("watch_error"):
        reason = str(answer["watch_error"])
    elif answer.get("store_error"):
        reason = f"the store is not writable ({answer['store_error']})"
    elif not scan or (now - datetime.fromisoformat(scan)).total_seconds() > longest:
        reason = f"the last scan was at {scan or 'no time'}"
    return Proof(plain(reason)[:_LONGEST_REASON], started, scan)


class Signal(NamedTuple):
    """One visit: "success", "fail" or "start"."""

    kind: str
    reason: str = ""


@dataclass
class Watchman:
    """Decides, from one proof after the other, what is to be signalled. Pure."""

    started: str = ""
    scan: str = ""
    doubts: int = 0
    is_failed: bool = False

    def signals(self, proof: Proof) -> list[Signal]:
        """Return what this proof calls for: success only for a scan that no success was signalled for."""
        found = []
        if proof.started and proof.started != self.started:
            self.started = proof.started
            found.append(Signal("start"))
        if proof.reason:
            self.doubts += 1
            if self.doubts > 1 and not self.is_failed:
                self.is_failed = True
                found.append(Signal("fail", proof.reason))
            return found
        self.doubts = 0
        if proof.scan != self.scan:
            self.scan, self.is_failed = proof.scan, False
            found.append(Signal("success"))
        return found

    def missed(self, signal: Signal) -> None:
        """Take note that a signal did not arrive: it is due again."""
        if signal.kind == "success":
            self.scan = ""
        elif signal.kind == "fail":
            self.is_failed = False
        else:
            self.started = ""

    @property
    def pause_seconds(self) -> float:
        """Return when to look again: soon while a failure is uncertain."""
        return AGAIN_SECONDS if self.doubts and not self.is_failed else PAUSE_SECONDS


def address_for(url: str, style: str, signal: Signal) -> str:
    """Return the address that is to be visited for a signal; empty when the service knows no such."""
    parts = urllib.parse.urlsplit(url)
    if style == "auto":
        style = "kuma" if parts.path.startswith("/api/push/") else "healthchecks"
    if style == "plain":
        return url if signal.kind == "success" else ""
    if style == "kuma":
        if signal.kind == "start":
            return ""
        is_up = signal.kind == "success"
        query = {"status": "up" if is_up else "down", "msg": "OK" if is_up else signal.reason, "ping": ""}
        return urllib.parse.urlunsplit(parts._replace(query=urllib.parse.urlencode(query)))
    if signal.kind == "success":
        return url
    return urllib.parse.urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/{signal.kind}"))


def visit(url: str, style: str, signal: Signal) -> str:
    """Visit the address for a signal; return why that failed, without the address; empty when it went well.

    Takes 20 s at most: what a server that trickles, or a resolver that hangs, would take longer for, goes on without us.
    """
    target = address_for(url, style, signal)
    if not target:
        return ""
    if any(thread.name == _THREAD for thread in threading.enumerate()):
        return "the visit before has no answer yet"
    answers: list[str] = []
    thread = threading.Thread(
        target=lambda: answers.append(_visited(target, signal.reason, style == "plain")),
        name=_THREAD,
        daemon=True,
    )
    thread.start()
    thread.join(LONGEST_SECONDS)
    return answers[0] if answers else f"no answer within {LONGEST_SECONDS:.0f} s"


def _visited(target: str, reason: str, is_plain: bool) -> str:
    parts = urllib.parse.urlsplit(target)
    is_kuma = "status=" in parts.query
    headers = {"User-Agent": "hermesguard"}
    if parts.username:
        who = f"{urllib.parse.unquote(parts.username)}:{urllib.parse.unquote(parts.password or '')}"
        headers["Authorization"] = f"Basic {base64.b64encode(who.encode()).decode()}"
        parts = parts._replace(netloc=parts.netloc.rpartition("@")[2])
    request = urllib.request.Request(
        urllib.parse.urlunsplit(parts),
        data=reason.encode() if reason and not is_kuma else None,
        headers=headers,
    )
    try:
        with urllib.request.urlopen(request, timeout=_ANSWER_SECONDS) as answer:
            return "" if is_plain else _refusal(answer.read(4096))
    except urllib.error.HTTPError as error:
        with error:
            return f"it answered with {error.code}"
    except urllib.error.URLError as error:
        return str(getattr(error.reason, "strerror", None) or error.reason)[:_LONGEST_REASON]
    except Exception as error:  # noqa: BLE001 - http.client raises many kinds at garbage
        return type(error).__name__


def _refusal(body: bytes) -> str:
    """Return why an answer is none of such a service, though its status is good; empty when it may be one."""
    text = body[:1000].decode("utf-8-sig", "replace").strip().lower()
    if text.startswith("<"):
        return "a page answered, and no service for pings (where that is right: ping_style = plain)"
    if "not found" in text[:100] or '"ok":false' in text.replace(" ", ""):
        return "the service does not know this address"
    return ""


Visit = Callable[[str, str, Signal], str]
Prove = Callable[[Path, datetime], Proof]
