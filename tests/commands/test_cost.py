"""What commands cost on a large store, counted instead of timed: files that are opened, modules that are imported.

bench/commands.py times the same on 10 000 sessions.
"""

import json
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from hermesguard.demo.app import App
from hermesguard.demo.eras import Era
from hermesguard.store.store import Store
from tests.helpers import cli_store
from tests.helpers.daemon_process import Daemon, environment_for

COUNTING = """
import json, sys

opened = []


def note(event, arguments):
    if event == "open" and isinstance(arguments[0], (str, bytes)):
        opened.append(arguments[0] if isinstance(arguments[0], str) else arguments[0].decode())


sys.addaudithook(note)
from hermesguard.cli.main import main

code = main(sys.argv[1:])
print(json.dumps({"code": code, "opened": opened, "modules": sorted(sys.modules)}), file=sys.stderr)
"""

COMMANDS_ALONE = (
    "hermesguard.cli.output",
    "hermesguard.lookup.library",
    "hermesguard.cli.last_guard",
    "hermesguard.lookup.overview",
    "hermesguard.cli.report",
    "hermesguard.cli.commands.inspect",
    "hermesguard.cli.commands.recover",
    "hermesguard.demo",
)
"""Rooms of hermesguard that only commands need."""
DRAWERS = {"rich", "pygal", "shtab"}


def counted(environment, *words):
    """What a command opened and imported."""
    result = subprocess.run(
        [sys.executable, "-c", COUNTING, *words],
        cwd=cli_store.ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(result.stderr.splitlines()[-1])


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """Environments of a store with 5 sessions and of one with 60, a version of each."""
    found = {}
    for size in (5, 60):
        root = tmp_path_factory.mktemp(f"size-{size}")
        app = App(root / "sessions", Era.NEW)
        store = Store(root / "store")
        store.create()
        for number in range(size):
            path = app.create(f"Chat {number}", session_id=f"{number:012x}", turns=1).path
            store.keep(path.stem, path.read_bytes(), path.stat().st_mtime_ns, 2)
            (store.history_directory / path.stem).mkdir()
        found[size] = environment_for(
            root,
            TZ="UTC",
            HERMESGUARD_SESSIONS=str(root / "sessions"),
            HERMESGUARD_STORE=str(root / "store"),
        )
    return found


@pytest.mark.parametrize(
    ("words", "most_for_each"),
    [(["status"], 0), (["log"], 0), (["list"], 1), (["completion", "sessions"], 0)],
)
def test_files_that_a_command_opens(stores, words, most_for_each):
    small, large = (
        [
            path
            for path in counted(stores[size], *words)["opened"]
            if path.startswith(stores[size]["HERMESGUARD_STORE"])
        ]
        for size in (5, 60)
    )
    assert len(large) - len(small) == most_for_each * (60 - 5)


@pytest.mark.parametrize(
    ("words", "unwanted"),
    [
        (
            ["--help"],
            {
                *DRAWERS,
                "orjson",
                "watchdog",
                "systemd",
                "hermesguard.config.settings",
                "hermesguard.store.store",
                "socket",
            },
        ),
        (
            ["status"],
            {
                *DRAWERS,
                "watchdog",
                "hermesguard.guard.guard",
                "hermesguard.judge.judge",
                "hermesguard.daemon.loop",
            },
        ),
        (["list"], {*DRAWERS, "watchdog", "systemd", "hermesguard.guard.guard", "hermesguard.judge.judge"}),
        (["log"], {*DRAWERS, "watchdog", "systemd", "hermesguard.guard.guard", "hermesguard.judge.judge"}),
        (
            ["completion", "sessions"],
            {*DRAWERS, "watchdog", "systemd", "hermesguard.guard.guard", "hermesguard.cli.output.tables"},
        ),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_a_command_imports_what_it_needs(stores, words, unwanted):
    modules = set(counted(stores[5], *words)["modules"])
    assert not modules & unwanted
    assert not {name for name in modules if name.partition(".")[0] in unwanted}


def test_a_running_guard_has_not_imported_what_only_commands_need(tmp_path):
    program = textwrap.dedent("""
        import atexit, json, sys
        atexit.register(lambda: print(json.dumps({"event": "modules", "names": sorted(sys.modules)}), file=sys.stderr))
        from hermesguard.cli.main import main
        sys.exit(main(["run", *sys.argv[1:]]))
    """)
    with Daemon(tmp_path) as daemon:
        place = daemon._command.index("-m")
        daemon._command[place : place + 3] = ["-c", program]
        chat = App(daemon.sessions, Era.NEW).create(turns=3)
        daemon.start()
        chat.turn("one more", "indeed")
        daemon.until_kept(chat.path)
        assert daemon.stop(signal.SIGTERM) == 0
        names = set(daemon.heard("modules")[0]["names"])
    assert "hermesguard.daemon.loop" in names
    assert not [name for name in names if name.startswith(COMMANDS_ALONE)]
    assert not {name.partition(".")[0] for name in names} & {*DRAWERS, "systemd"}
    assert not [name for name in names if name.startswith(("hermesguard.lease", "ssl", "http"))]


def test_a_guard_with_nothing_to_do_has_not_loaded_openssl(tmp_path):
    """Nearly four megabytes, a fifth of what it takes at rest with 10,000 sessions."""
    with Daemon(tmp_path) as daemon:
        chat = App(daemon.sessions, Era.NEW).create(turns=3)
        daemon.start()
        daemon.until_kept(chat.path)
        assert daemon.stop(signal.SIGTERM) == 0
        daemon.start()
        assert "libcrypto" not in Path(f"/proc/{daemon.process.pid}/maps").read_text("utf-8")
        chat.turn("one more", "indeed")
        daemon.until_kept(chat.path)
