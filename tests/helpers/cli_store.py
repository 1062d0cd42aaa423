"""A real store for the tests of commands: sessions as the application saves them, losses, and what the guard made of them."""

import contextlib
import io
import itertools
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from hermesguard.cli import main as cli
from hermesguard.config import settings as config
from hermesguard.config.settings import Settings
from hermesguard.daemon import offline as local
from hermesguard.demo import acts, losses
from hermesguard.demo.app import App
from hermesguard.demo.eras import Era
from hermesguard.events.reporter import Reporter

ROOT = Path(__file__).resolve().parents[2]


class Terminal(io.TextIOWrapper):
    """A terminal as the commands see it."""

    def isatty(self) -> bool:
        return True


@dataclass
class Scene:
    """Four sessions: `whole` (untouched), `wiped` (wiped once and restored), `undone` (a marked undo), `odd` (an odd title)."""

    root: Path
    app: App
    whole: str
    wiped: str
    undone: str
    odd: str

    @property
    def sessions(self) -> Path:
        return self.root / "sessions"

    @property
    def store(self) -> Path:
        return self.root / "store"

    def settings(self) -> Settings:
        return config.load(
            {"sessions": str(self.sessions), "store": str(self.store)}, {"HOME": str(self.root)}, ()
        )

    def scan(self) -> dict[str, Any]:
        """Look at everything once, as `hermesguard scan` does."""
        return local.scan(self.settings(), Reporter([]))

    def run(
        self,
        *words: object,
        environment: dict[str, str] | None = None,
        stdin: Any = subprocess.DEVNULL,
        **more: Any,
    ) -> subprocess.CompletedProcess[Any]:
        """Run the command line as a process of its own."""
        return subprocess.run(
            [sys.executable, "-m", "hermesguard", *map(str, words)],
            cwd=ROOT,
            env=self.environment(environment),
            stdin=stdin,
            capture_output=True,
            timeout=60,
            **more,
        )

    def call(self, *words: object, is_terminal: bool = False, **variables: str) -> tuple[int, str, str]:
        """Run the command line in this process; return (exit code, stdout, stderr).

        It has the environment that `run` gives, and no more: who runs the tests may say how wide a terminal is.
        """
        written = io.BytesIO()
        out = (Terminal if is_terminal else io.TextIOWrapper)(written, encoding="utf-8")
        err = io.StringIO()
        with (
            mock.patch.dict(os.environ, self.environment(variables), clear=True),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            code = cli.main([str(word) for word in words])
            sys.stdout.flush()
        return code, written.getvalue().decode(), err.getvalue()

    def environment(self, more: dict[str, str] | None = None) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.root),
            "TZ": "UTC",
            "LANG": "C.UTF-8",
            "HERMESGUARD_SESSIONS": str(self.sessions),
            "HERMESGUARD_STORE": str(self.store),
            "HERMESGUARD_LOG": "quiet",
            **(more or {}),
        }


def make(root: Path) -> Scene:
    """Return a scene below `root`, with no guard running."""
    clock = itertools.count(1.7638e9, 0.5).__next__
    app = App(root / "sessions", Era.OLD, clock=clock, seed=1)
    new = App(root / "sessions", Era.NEW, clock=clock, seed=2)
    wiped = app.create("The garden in spring", session_id="3f2a00000001", turns=6)
    whole = app.create("Garden tools", session_id="3f2b00000002", turns=2)
    undone = new.create("שלום עולם", session_id="20260430_151231_7209a0", turns=3)
    odd = new.create("\x1b[31mred\x1b[0m\nline 庭", session_id="cron_odd", turns=1)
    scene = Scene(root, app, whole.session_id, wiped.session_id, undone.session_id, odd.session_id)
    scene.scan()
    wiped.document["active_stream_id"] = "a-stream-that-ended"
    wiped.save()
    scene.scan()
    losses.wipe(wiped)
    scene.scan()
    acts.undo(undone)
    scene.scan()
    return scene


def copied(original: Scene, root: Path) -> Scene:
    """Return a scene of one's own, the same as the original, with an application that has just been started."""
    shutil.copytree(original.root, root, symlinks=True)
    clock = itertools.count(1.7639e9, 0.5).__next__
    app = App(root / "sessions", Era.OLD, clock=clock, seed=3)
    return Scene(root, app, original.whole, original.wiped, original.undone, original.odd)
