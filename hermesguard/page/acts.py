"""Acts: checked, shown beforehand, and done by the guard; the page itself can write nothing."""

import re
from typing import Any, Final

from hermesguard import files
from hermesguard.daemon.control import ask_running_guard
from hermesguard.errors import ExitCode, GuardError
from hermesguard.lookup.guards import start_command
from hermesguard.page.answers import Problem, clipped
from hermesguard.page.events import Act, restore
from hermesguard.page.read_cache import View
from hermesguard.store.history import digest
from hermesguard.store.incidents import is_incident_id
from hermesguard.webui.document import PARTS

_MEMBERS: Final[dict[str, tuple[dict[str, type], dict[str, type]]]] = {
    "restore": ({"session": str, "version": str}, {"replace": bool, "part": str}),
    "undo": ({"incident": str}, {"merge": bool}),
    "accept": ({"session": str}, {}),
}
_SEEN: Final = re.compile(r"(?:[0-9a-f]{16})?")
_COUNTS: Final = ("messages_live", "messages_after", "messages_gone", "messages_back")


def require_act(value: Any) -> Act:
    """Return the act that the body of a request is. Raises Problem when it is none."""
    name = value.get("act") if isinstance(value, dict) else None
    if not isinstance(name, str) or name not in _MEMBERS:
        raise Problem(400, "usage", f"An act is one of {', '.join(_MEMBERS)}")
    needed, more = _MEMBERS[name]
    for key, kind in {**needed, **more, "seen": str}.items():
        if (key in needed and key not in value) or (key in value and not isinstance(value[key], kind)):
            raise Problem(
                400, "usage", f"{name} needs {key}, as {'true or false' if kind is bool else 'text'}"
            )
    if unknown := sorted(value.keys() - {"act", "seen", *needed, *more}):
        raise Problem(400, "usage", f"{name} has no {ascii(unknown[0])[:40]}")
    if value.get("part") and value["part"] not in PARTS:
        raise Problem(400, "usage", f"part is one of {', '.join(PARTS)}")
    if not _SEEN.fullmatch(value.get("seen", "")):
        raise Problem(400, "usage", "seen is what a preview has given")
    act: Act = dict(value)
    return act


def preview(view: View, act: Act) -> dict[str, Any]:
    """Return what an act would change, as the guard says, and the act held to what was looked at."""
    name = _session_of(view, act)
    seen = _seen(view, name)
    verb, arguments = _request(view, act)
    answer = _ask(
        view, act, verb, {**arguments, "dry_run": True} | ({} if verb == "accept" else {"details": True})
    )
    known: dict[str, Any] = {count: answer.get(count) for count in _COUNTS}
    if verb == "accept":
        known |= {"messages_after": answer["messages_live"], "messages_gone": 0, "messages_back": 0}
    if answer["action"] == "removed":
        known["messages_gone"], known["messages_back"] = answer["messages_live"], 0
    return {
        "act": act | ({} if seen is None else {"seen": seen}),
        "action": answer["action"],
        "session": name,
        "title": clipped(view.title(name)) if name else "",
        **known,
        "back": answer.get("back", []),
        "gone": answer.get("gone", []),
        "is_more": answer.get("is_more", False),
        "file_goes": answer["action"] == "removed",
    }


def perform(view: View, act: Act) -> dict[str, Any]:
    """Have an act done by the guard; return what it did, and the act that reverses it."""
    name = _session_of(view, act)
    verb, arguments = _request(view, act)
    if "seen" in act and name:
        arguments["seen"] = act["seen"]
    try:
        answer = _ask(view, act, verb, arguments)
    except GuardError as error:
        if error.exit_code is ExitCode.REFUSED and "seen" in act and _seen(view, name) != act["seen"]:
            raise Problem(
                409,
                "changed",
                "The conversation has changed since you looked at it; nothing was done",
                "Look again",
            ) from None
        raise
    version = answer.get("version", "")
    reverse = restore(answer["session"], version, replace=True) if version and verb != "accept" else None
    if verb == "accept" and version:
        reverse = restore(answer["session"], version)
    return {"kind": "done", "act": act, **answer, "reverse": reverse}


def _request(view: View, act: Act) -> tuple[str, dict[str, Any]]:
    """Return an act as the guard is asked for it. Raises GuardError when it names what is not there."""
    match act["act"]:
        case "undo":
            if not is_incident_id(act["incident"]):
                raise Problem(404, "not_found", "There is no such incident")
            return "undo", {"incident": act["incident"], "merge": act.get("merge", True)}
        case "accept":
            view.require(act["session"])
            return "accept", {"name": act["session"]}
        case _:
            chosen = view.chosen(act["session"], act["version"])
            if chosen.kind == "live":
                raise Problem(400, "usage", "The file as it is now needs not be brought back")
            arguments = {"name": act["session"], "version": chosen.version.name if chosen.version else ""}
            more = {key: act[key] for key in ("replace", "part") if act.get(key)}
            return "restore", arguments | more


def _session_of(view: View, act: Act) -> str:
    """Return the session that an act is about; empty for an incident of many."""
    if act["act"] != "undo":
        return str(act["session"])
    return next((one.session for one in view.library.everything if one.id == act["incident"]), "")


def _seen(view: View, name: str) -> str | None:
    """Return the digest of the live file, empty when there is none; None for an act on many sessions."""
    if not name:
        return None
    try:
        return digest(files.read(view.library.live_path(name))[0])
    except OSError:
        return ""


def _ask(view: View, act: Act, verb: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Ask the guard, in the directory that the act is about."""
    if act["act"] == "undo":
        part = view.library.of_incident(act["incident"])
    else:
        part, arguments["name"] = view.library.place(act["session"])
    store = part.settings.store
    answer = ask_running_guard(store, verb, arguments, part.settings.profile)
    if answer is None:
        raise Problem(
            503,
            "no_guard",
            "The guard does not run, so nothing can be changed now",
            f"Start it: {start_command(store)}",
        )
    if "session" in answer:
        answer["session"] = view.library.name_in(part, answer["session"])
    return answer
