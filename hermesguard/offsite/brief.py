"""How the copies stand, in a few words for `hermesguard status`: from the state alone, without a look at the store."""

import time
from collections.abc import Mapping
from typing import Any, Final

from hermesguard.config.settings import Settings
from hermesguard.errors import GuardError
from hermesguard.offsite import batch
from hermesguard.offsite.settings import OffsiteSettings, load
from hermesguard.offsite.state import LOCK, State, time_in_words
from hermesguard.offsite.upload import budget
from hermesguard.store.lock import lock_holder

LATE_SECONDS: Final = 1800.0
"""What waits for longer, though nothing is refused, is worth a word."""
BY_TIMER_SECONDS: Final = 26 * 3600.0
"""Copies that are made by `offsite run --once` are made once a day at least."""


def summary(settings: Settings) -> dict[str, Any] | None:
    """Return what `status` says of the copies of a store; None where none are configured. Raises nothing."""
    try:
        options = load(settings)
    except GuardError as error:
        return _of(problem=f"{error.what}. {error.remedy}")
    if not options.url:
        return None
    found = _of(target=options.url, running=lock_holder(options.state / LOCK) is not None)
    try:
        state = State.to_read(options.state)
        if state is None:
            return found
        try:
            _fill(found, options, state)
        finally:
            state.close()
    except (OSError, GuardError) as error:
        why = error.what if isinstance(error, GuardError) else str(error)
        found["problem"] = f"the state of the copies cannot be read ({why})"
    return found


def _of(**known: Any) -> dict[str, Any]:
    return {
        "target": "",
        "running": False,
        "problem": "",
        "waiting_files": 0,
        "lag_seconds": 0.0,
        "last_copy": "",
        "last_look": "",
        "error": "",
        "held_sessions": 0,
        "requests_today": 0,
        "interval_seconds": 0.0,
        "by_timer": False,
        "silent_seconds": 0.0,
        **known,
    }


def _fill(found: dict[str, Any], options: OffsiteSettings, state: State) -> None:
    facts, now = state.facts(), time.time()
    waiting = int(facts.get("waiting", "0"))
    oldest = int(facts.get("oldest_ns", "0")) / 1e9
    held = state.held()
    used = budget.used(state.requests(), now)
    found |= {
        "waiting_files": waiting,
        "lag_seconds": lag_seconds(now, oldest, facts) if waiting else 0.0,
        "last_copy": time_in_words(facts["stored_ns"]) if "stored_ns" in facts else "",
        "last_look": time_in_words(facts["looked_ns"]) if "looked_ns" in facts else "",
        "error": facts.get("error") or facts.get("upkeep_error", ""),
        "held_sessions": len({batch.session_of(path) for path in held} - {None}) or len(held),
        "requests_today": used,
        "interval_seconds": budget.interval_seconds(options.interval_seconds, options.requests_per_day, used),
        "silent_seconds": round(max(0.0, now - float(facts.get("looked_ns", now * 1e9)) / 1e9), 1),
        "by_timer": is_by_timer(facts, now),
    }


def lag_seconds(now: float, oldest: float, facts: Mapping[str, str]) -> float:
    """Return how long what waits longest has waited: no longer than copies are made at all."""
    began = int(facts.get("began_ns", "0")) / 1e9
    return round(max(0.0, now - max(oldest, began)), 1)


def is_by_timer(facts: Mapping[str, str], now: float) -> bool:
    """Return whether a timer has the copies made, and has lately: then no process needs to run."""
    looked = int(facts.get("looked_ns", "0")) / 1e9
    return facts.get("once") == "1" and abs(now - looked) < BY_TIMER_SECONDS


def troubles(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what is wrong in a summary, each with what to do about it."""
    if found["problem"]:
        return [(f"offsite copies: {found['problem']}", "See: hermesguard config check")]
    wrong = []
    if not (found["running"] or found["by_timer"]):
        wrong.append(NOT_RUNNING)
    if found["error"]:
        wrong.append(
            (
                f"offsite copying fails: {found['error']}",
                "It is tried again by itself; see: hermesguard offsite status",
            )
        )
    elif is_late(found["lag_seconds"], found["interval_seconds"]) and found["running"]:
        wrong.append(
            (
                f"{found['waiting_files']} files wait for too long to be copied offsite",
                "See: hermesguard offsite status",
            )
        )
    elif found["running"] and is_late(found["silent_seconds"], found["interval_seconds"]):
        wrong.append(
            (
                "hermesguard offsite runs, but has not looked at the store for too long",
                "Start it again, and see its journal",
            )
        )
    if found["held_sessions"]:
        wrong.append(
            (
                f"{found['held_sessions']} sessions left the store without a reason; their offsite copies are kept",
                "See: hermesguard offsite status",
            )
        )
    return wrong


NOT_RUNNING: Final = ("no hermesguard offsite runs for this store", "Start it: docs/offsite.md says how")


def is_late(lag: float, interval: float) -> bool:
    """Return whether something waits for too long."""
    return lag > max(LATE_SECONDS, 3 * interval)
