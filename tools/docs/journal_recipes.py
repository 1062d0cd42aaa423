"""Recipes for the journal: what docs/journal.md recommends, and what the system test runs."""

from dataclasses import dataclass
from typing import Final

from hermesguard.events.catalog import BY_NAME, EVENTS
from hermesguard.events.event import Priority

UNIT: Final = "hermesguard.service"
_WATCHDOG_ID: Final = "d9b373ed55a64feb8242e02dbe79a49c"
_EXIT_ID: Final = "98e322203f7a4ed290d09fe03c09fe15"
_RESTART_ID: Final = "5eb03494b6584870a536b337290809b3"

_DROPPED_ID: Final = "a596d6fe7bfa4994828e72309e95d61e"


@dataclass(frozen=True, slots=True)
class Recipe:
    """One recipe; `command` is one line for a shell, empty where a file under packaging/examples is the recipe."""

    title: str
    text: str
    command: str = ""


def _ids(*names: str) -> str:
    return " ".join(f"MESSAGE_ID={BY_NAME[name].message_id}" for name in names)


_ALERTS: Final = tuple(event.name for event in EVENTS if event.priority <= Priority.WARNING)

RECIPES: Final[tuple[Recipe, ...]] = (
    Recipe(
        "Which entries to trust",
        "Any local user can write an entry that says SYSLOG_IDENTIFIER=hermesguard and carries one of our ids. Fields with\n"
        "a leading underscore come from journald itself and cannot be forged. So on a machine with several users every\n"
        "recipe also matches the unit; the recipes below do. For the template unit match\n"
        "`_SYSTEMD_UNIT=hermesguard@alice.service`, for a user's own service\n"
        "`_SYSTEMD_USER_UNIT=hermesguard.service _UID=1000`, for a container that was given the host's journal socket the\n"
        "user that it runs as, `_UID=1000`.",
    ),
    Recipe(
        "Follow the losses as they happen",
        "One JSON object for each loss that was repaired, merged, uncertain, or could not be repaired. (`-f` alone may miss\n"
        "what comes while it is being restarted; to be told of each, `hermesguard notify`.)",
        f"journalctl -f -o json _SYSTEMD_UNIT={UNIT} {_ids('restored', 'merged', 'uncertain', 'missing', 'unrepaired')}",
    ),
    Recipe(
        "Today's alerts, each with its explanation",
        "",
        f"journalctl -x --since today -p warning _SYSTEMD_UNIT={UNIT} SYSLOG_IDENTIFIER=hermesguard",
    ),
    Recipe(
        "Everything about one session",
        "",
        f"journalctl _SYSTEMD_UNIT={UNIT} HERMESGUARD_SESSION=20260430_151231_7209a0",
    ),
    Recipe(
        "How many losses were repaired, by day",
        "The time of an event is HERMESGUARD_TIME; values over 4096 bytes would need `--all`, ours never are that long.",
        f"journalctl -o json _SYSTEMD_UNIT={UNIT} {_ids('restored', 'merged')} | "
        "jq -rs 'group_by(.HERMESGUARD_TIME[:10])[] | "
        '"\\(.[0].HERMESGUARD_TIME[:10]) \\(length) incidents"\'',
    ),
    Recipe(
        "Is anything open that only a user can answer?",
        "",
        f"journalctl --since=-7d -o cat _SYSTEMD_UNIT={UNIT} {_ids('uncertain', 'missing', 'mass_change_held', 'unrepaired')}",
    ),
    Recipe(
        "Did the guard itself die?",
        "These are systemd's own ids: the watchdog struck, the process ended in a failure, a restart was scheduled.\n"
        "`hermesguard notify` tells of the first at once. (OnFailure= does not fire on systemd 252 with Restart=always.)",
        f"journalctl _PID=1 UNIT={UNIT} MESSAGE_ID={_WATCHDOG_ID} MESSAGE_ID={_EXIT_ID} MESSAGE_ID={_RESTART_ID}",
    ),
    Recipe(
        "An alert for each event, none missed and none twice",
        "That is what `hermesguard notify` does: see docs/notify.md. For a program of your own, read on from a cursor:",
        f"journalctl --cursor-file=/var/lib/hermesguard-cursor -o json _SYSTEMD_UNIT={UNIT} {_ids(*_ALERTS)}",
    ),
    Recipe(
        "Did the journal drop anything?",
        "journald drops entries of a unit that writes too many. The units raise the limit far beyond what the guard\n"
        "writes; an entry with this id says that it was not enough.",
        f"journalctl _SYSTEMD_UNIT=systemd-journald.service MESSAGE_ID={_DROPPED_ID} OBJECT_SYSTEMD_UNIT={UNIT}",
    ),
    Recipe(
        "Loki, Vector, and a fleet of machines",
        "`packaging/examples/alloy/` and `packaging/examples/vector/` ship the entries of the guard with event and priority\n"
        "as labels, and hold alert rules. `packaging/examples/fleet/` sets up systemd-journal-upload and\n"
        "systemd-journal-remote; one query on the collector then answers for all hosts:",
        f"journalctl -D /var/log/journal/remote -o json _SYSTEMD_UNIT={UNIT} {_ids('restored', 'merged', 'uncertain')}",
    ),
)
