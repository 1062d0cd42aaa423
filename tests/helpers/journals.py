"""Real journal files with entries of anyone: who wrote them is for a test to say, as journald says it on a machine."""

import os
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from hermesguard.events.catalog import BY_NAME
from hermesguard.events.journald import journal_field
from hermesguard.notify.alerts import UNIT_FAILED

UNIT: Final = "hermesguard@alice.service"
_REMOTE: Final = "/lib/systemd/systemd-journal-remote"
_BOOT: Final = "1" * 32

Entry = dict[str, str]


class Journals:
    """A directory with one journal file."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self._count = 0

    def write(self, *entries: Mapping[str, str], at: float | None = None) -> None:
        """Append entries, in this order, a microsecond apart; `at` is when the first was received (seconds since 1970)."""
        now = (datetime.now(UTC).timestamp() if at is None else at) * 1_000_000
        lines = []
        for number, entry in enumerate(entries):
            self._count += 1
            lines += [
                f"__REALTIME_TIMESTAMP={int(now) + number}",
                f"__MONOTONIC_TIMESTAMP={self._count}",
                f"_BOOT_ID={_BOOT}",
                *(f"{name}={value}" for name, value in entry.items()),
                "",
            ]
        command = [_REMOTE, "--output", str(self.directory / "system.journal"), "-"]
        subprocess.run(command, input="\n".join([*lines, ""]).encode(), capture_output=True, check=True)


def of_guard(event: str, unit: str = UNIT, **fields: object) -> Entry:
    """An entry that the guard of this user, in a unit, has written."""
    return {
        "MESSAGE": event,
        "MESSAGE_ID": BY_NAME[event].message_id,
        "SYSLOG_IDENTIFIER": "hermesguard",
        "HERMESGUARD_EVENT": event,
        "_UID": str(os.getuid()),
        "_SYSTEMD_UNIT": unit,
        "_PID": "4711",
        **{journal_field(name): str(value) for name, value in fields.items()},
    }


def of_death(result: str, unit: str = UNIT, **more: str) -> Entry:
    """What systemd writes when the guard has ended in a failure."""
    return {
        "MESSAGE": f"{unit}: Failed with result '{result}'.",
        "MESSAGE_ID": UNIT_FAILED,
        "UNIT": unit,
        "UNIT_RESULT": result,
        "_PID": "1",
        "_UID": "0",
        "_SYSTEMD_UNIT": "init.scope",
        **more,
    }


def incident(number: int, event: str = "unrepaired", **more: object) -> Entry:
    """An entry about one incident."""
    fields: dict[str, object] = {
        "session": f"3f2a{number:08}",
        "incident": number,
        "messages_before": 10,
        "messages_live": 0,
    }
    fields |= {"error": "No space left on device", **more}
    return of_guard(event, UNIT, **fields)
