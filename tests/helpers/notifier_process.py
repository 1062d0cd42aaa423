"""`python notifier_process.py ROOT URL...`: the notifier as a process of its own, on the journal below ROOT.

It gathers for a tenth of a second. With `start` and `Killable` a test starts it, and ends it as a power cut does, for it.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

from hermesguard.notify import life
from hermesguard.notify.notifier import Notifier, Surroundings
from tests.helpers.journals import UNIT
from tests.helpers.notifying import options

ROOT = Path(__file__).parents[2]


class Killable:
    """The notifier of `root`, started again and again; `said` is what all of them said."""

    def __init__(self, root: Path, *urls: str) -> None:
        self._command = [sys.executable, __file__, str(root), *urls]
        self._log = root / "said"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as log:
            environment = {**os.environ, "PYTHONPATH": str(ROOT)}
            self._process = subprocess.Popen(self._command, cwd=ROOT, env=environment, stderr=log, stdout=log)

    def end(self, number: signal.Signals) -> int:
        assert self._process
        self._process.send_signal(number)
        return self._process.wait(90)

    @property
    def said(self) -> str:
        return self._log.read_text("utf-8")


def main() -> int:
    root = Path(sys.argv[1])
    settings, asked = options(root, urls=sys.argv[2:], unit=UNIT, source="journal", gather="100ms")
    return life.run(Notifier(settings, asked, Surroundings(host="host-a", journal=root / "journal")))


if __name__ == "__main__":
    raise SystemExit(main())
