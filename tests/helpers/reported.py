"""The demo's story, played once with the real guard, which goes on guarding while its store is looked at."""

import contextlib
import io
import itertools
import os
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from hermesguard.cli import main as cli
from hermesguard.demo import story
from hermesguard.demo.app import App
from hermesguard.demo.narrator import Narrator
from hermesguard.demo.stage import Guard
from tests.helpers.cli_store import Terminal

# A day of messages in seven bursts, none of them near the border of two columns of a drawn line.
_BURST_CALLS = 170
_BURST_SECONDS = 11_900.0
_DAY_SECONDS = 86_400.0
ROOT = "/home/you/.hermes/webui"  # as long as the temporary directory's name


@dataclass
class Reported:
    """What is left when the story is over: sessions, store, and the story's chats."""

    root: Path
    tale: story.Story

    def run(self, *words: str, columns: int | None = None, **environment: str) -> tuple[int, str, str]:
        """Run a command in this process; return (exit code, stdout, stderr).

        On a terminal of so many columns, without colours unless NO_COLOR="" says so; piped for None.
        """
        written = io.BytesIO()
        out = (Terminal if columns else io.TextIOWrapper)(written, encoding="utf-8")
        err = io.StringIO()
        variables = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.root),
            "TZ": "UTC",
            "LANG": "C.UTF-8",
            "TERM": "xterm",
            "PAGER": "cat",
            "NO_COLOR": "1",
            "HERMESGUARD_SESSIONS": str(self.root / "sessions"),
            "HERMESGUARD_STORE": str(self.root / "store"),
            **({"COLUMNS": str(columns), "LINES": "50"} if columns else {}),
            **environment,
        }
        with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stderr(err):
            for name in [name for name in os.environ if name not in variables]:
                patch.delenv(name)
            for name, value in variables.items():
                patch.setenv(name, value)
            patch.setattr(sys, "stdout", out)
            time.tzset()
            try:
                code = cli.main(words)
            finally:
                patch.undo()
                time.tzset()
        out.flush()
        return code, written.getvalue().decode(), err.getvalue()

    def made_stable(self, text: str) -> str:
        """Return a text with times, durations, processes, digests and places that are the same in every run."""
        names = sorted(path.name.split("-", 1)[0] for path in (self.root / "store/history").glob("*/*"))
        for number, name in enumerate(dict.fromkeys(names), 1):
            text = text.replace(name, f"20260102T030405.{number:06}Z")
        text = text.replace(str(self.root), ROOT)
        for pattern, replacement in _VARYING:
            text = re.sub(pattern, replacement, text)
        return text


_VARYING = (
    (r"\b20\d\d-\d\d-\d\d \d\d:\d\d:\d\d", "2026-01-02 03:04:05"),
    (r"\b20\d\d-\d\d-\d\d \d\d:\d\d UTC", "2026-02-01 03:04 UTC"),
    (r"\b20\d\d-\d\d-\d\dT[\d:]+(\.\d+)?(\+00:00|Z)", "2026-01-02T03:04:05.678901+00:00"),
    (r"\b(\d+ (s|min|h) ago|just now)\b", "N s ago"),
    (r"\b[\d.]+ (ms|s)\b(?! ago)", "N ms"),
    (r"\bprocess \d+", "process 4711"),
    (r'("(?:pid|writer_pid|duration_us|store_size_bytes|size_bytes)"): \d+', r"\1: 4711"),
    (r'("digest"): "\w+"', r'\1: "0123456789abcdef"'),
    (r"-[0-9a-f]{16}\.json\.gz", "-0123456789abcdef.json.gz"),
    (r'("timestamp"): [\d.]+', r"\1: 1795000000.0"),
    (r"\b\d([\d.]*)( (?:B|KiB|MiB))\b", lambda match: re.sub(r"\d", "#", match[0])),
    (r"\bstore=\d+B", "store=4711B"),
    (r'\b\d+ today|\b(incidents_today)("?)(=|: )\d+', lambda match: re.sub(r"\d+", "7", match[0])),
)


@contextlib.contextmanager
def reported() -> Iterator[Reported]:
    """Play the story; leaving the context ends the guard and removes everything."""
    began = float(int(time.time() - _DAY_SECONDS))
    ticks = (
        began + call // _BURST_CALLS * _BURST_SECONDS + call % _BURST_CALLS / 64 for call in itertools.count()
    )
    with (
        tempfile.TemporaryDirectory(prefix="hg-golden-", dir="/tmp") as name,
        pytest.MonkeyPatch.context() as patch,
    ):
        root = Path(name)
        patch.setattr(story, "App", partial(App, clock=ticks.__next__))
        tale = story.Story(root, Narrator(io.StringIO()))
        with Guard(root / "sessions", root / "store", root / "empty.toml") as guard:
            tale.play(guard)
            yield Reported(root, tale)
        assert next(ticks) < time.time()
