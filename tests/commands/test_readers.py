"""Who may read a store and not write it: every command that only reads works, dry runs too, each other one says what to type."""

import contextlib
import hashlib
import importlib
import json
import os
import pkgutil
import shutil
import socket
import tempfile
from dataclasses import replace
from pathlib import Path
from unittest import mock

import pytest

import hermesguard
from hermesguard.daemon import control
from hermesguard.errors import ExitCode, GuardError
from tests.helpers import lost_home
from tests.helpers.cli_store import Scene

NOBODY = 65534
DRY = [
    ["restore", "parser@-1", "--dry-run"],
    ["restore", "parser@-1", "--replace", "--dry-run"],
    ["restore", "--all-missing", "--dry-run"],
    ["undo", "7", "--dry-run"],
    ["accept", "boat", "--dry-run"],
    ["purge", "present", "--dry-run"],
    ["prune", "--dry-run"],
    ["salvage", "--restore", "--dry-run"],
]
READING = [
    ["status"],
    ["status", "--json"],
    ["status", "--nagios"],
    ["lost"],
    ["find", "part", "20", "does"],
    ["list"],
    ["show", "parser"],
    ["show", "present"],
    ["history", "parser"],
    ["diff", "parser"],
    ["explain", "7"],
    ["explain", "boat"],
    ["log"],
    ["scan", "--check"],
    ["salvage", "--dry-run"],
    ["report", "-o", "-"],
    ["drill"],
    ["verify"],
    ["config", "show"],
    *DRY,
]
WRITING = [
    ["restore", "parser@-1"],
    ["restore", "--all-missing"],
    ["undo", "7"],
    ["purge", "present", "--yes"],
    ["scan"],
    ["prune"],
    ["accept", "boat"],
    ["salvage"],
    ["salvage", "--restore"],
]


@pytest.fixture(scope="module")
def home():
    """A furnished store in a place that every user can reach; the program is loaded, for another user may not read it."""
    for module in pkgutil.walk_packages(hermesguard.__path__, "hermesguard."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    root = Path(tempfile.mkdtemp(prefix="hermesguard-readers-"))
    root.chmod(0o755)
    charts = importlib.import_module("pygal.svg")  # not sooner: it leaves an import hook behind
    shutil.copytree(Path(charts.__file__).parent / "css", root / "css")
    home = lost_home.make(root)
    home.scene = Scene(home.root, home.app, "", "", "", "")
    variables = {"HERMESGUARD_SESSIONS": str(home.sessions)}
    home.run = lambda *words: home.scene.call(*words, **variables)
    home.run("scan")
    home.act()
    home.run("scan")
    # Beside its module it looks for its style sheets, at each chart.
    with mock.patch.object(charts, "__file__", str(root / "svg.py")):
        yield home
    give(home, 0o700, 0o600)
    shutil.rmtree(root)


def give(home, directory, file):
    for where, _, names in os.walk(home.root, topdown=False):
        for name in names:
            os.chmod(os.path.join(where, name), file)
        os.chmod(where, directory)


def as_user(uid, run):
    """Return (exit code, stdout, stderr) of what a process of another user runs."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(reader)
            if os.geteuid() == 0:
                os.setgroups([])
                os.setgid(uid)
                os.setuid(uid)
            with os.fdopen(writer, "w") as file:
                json.dump(run(), file)
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as file:
        said = file.read()
    os.waitpid(pid, 0)
    return json.loads(said)


@pytest.fixture(params=["readable by others", "writable by nobody"])
def readable(home, request):
    """The home as its reader finds it, and who that is. What is his own and cannot be written is as a mount for reading alone."""
    uid = os.geteuid()
    if uid == 0:
        uid = NOBODY
        owner = 0 if request.param == "readable by others" else NOBODY
        for where, directories, names in os.walk(home.root):
            for name in (*directories, *names, "."):
                os.chown(os.path.join(where, name), owner, owner)
    give(home, 0o555, 0o444)
    home.as_reader = lambda *words: as_user(uid, lambda: home.run(*words))
    return home


def content(home):
    return {
        path: hashlib.sha256(path.read_bytes()).hexdigest() for path in home.root.rglob("*") if path.is_file()
    }


def state(home):
    """All that is there, directories too: what was made and removed again shows in their times."""
    found = {path: path.lstat() for path in (home.root, *home.root.rglob("*"))}
    return content(home), {path: (one.st_ino, one.st_mode, one.st_mtime_ns) for path, one in found.items()}


@pytest.mark.parametrize("words", READING, ids=" ".join)
def test_who_may_only_read_can_ask_everything(readable, words):
    before = state(readable)
    code, out, err = readable.as_reader(*words)
    assert code in (ExitCode.OK, ExitCode.PROBLEM, *((2,) if "--nagios" in words else ())), out + err
    assert out
    assert "Traceback" not in err
    assert "cannot be read" not in out + err
    assert state(readable) == before


@pytest.mark.parametrize("words", WRITING, ids=" ".join)
def test_what_writes_says_what_hinders_it_and_changes_nothing(readable, words):
    before = content(readable)
    code, out, err = readable.as_reader(*words)
    said = out + err
    assert code not in (ExitCode.OK, ExitCode.USAGE), said
    assert "Traceback" not in said
    is_foreign = "belongs to uid" in said
    assert ("sudo -u root" in said) if is_foreign else ("Permission denied" in said), said
    assert content(readable) == before


@pytest.fixture
def of_root(home):
    """The home as another user finds it: root's, readable, until something is closed."""
    for where, directories, names in os.walk(home.root):
        for name in (*directories, *names, "."):
            os.chown(os.path.join(where, name), 0, 0)
    give(home, 0o755, 0o644)
    home.as_reader = lambda *words: as_user(NOBODY, lambda: home.run(*words))
    return home


CLOSED = [
    ("shadows", ["lost", "find garden", "list", "show parser", "status", "report -o -"]),
    ("incidents.jsonl", ["lost", "find garden", "log", "status", "explain 1"]),
    ("history", ["lost", "history parser", "report -o -"]),
]


@pytest.mark.parametrize(("part", "command"), [(part, one) for part, commands in CLOSED for one in commands])
def test_a_part_that_others_may_not_read_names_who_may(home, request, part, command):
    if os.geteuid():
        return  # another user is needed
    reader = request.getfixturevalue("of_root").as_reader
    (home.scene.store / part).chmod(0)
    code, out, err = reader(*command.split())
    assert code == ExitCode.FAILED, out
    assert f"{home.scene.store / part}" in err
    assert err.endswith("Permission denied. Type the same with sudo -u root before it.\n")


@contextlib.contextmanager
def guard_of_its_owner(home):
    """A guard's socket that only the store's owner may use, until the end."""
    path = home.scene.store / control.SOCKET_NAME
    with socket.socket(socket.AF_UNIX) as guard:
        guard.bind(str(path))
        guard.listen()
        path.chmod(0o600)
        yield
        path.unlink()


@pytest.mark.parametrize("command", ["status", "restore parser@-1"])
def test_a_guard_that_others_may_not_ask_names_who_may(home, request, command):
    if os.geteuid():
        return  # another user is needed
    reader = request.getfixturevalue("of_root").as_reader
    with guard_of_its_owner(home):
        code, out, err = reader(*command.split())
    assert (code, out) == (ExitCode.FAILED, "")
    assert err.endswith("may not be asked by this user. Type the same with sudo -u root before it.\n")


@pytest.mark.parametrize("words", DRY, ids=" ".join)
def test_a_dry_run_needs_no_guard_that_may_be_asked(home, request, words):
    if os.geteuid():
        return  # another user is needed
    reader = request.getfixturevalue("of_root").as_reader
    with guard_of_its_owner(home):
        before = state(home)
        code, out, err = reader(*words)
        after = state(home)
    typed = f"sudo -u root hermesguard --store {home.scene.store}"
    assert (code, out.replace(typed, "hermesguard"), err) == home.run(*words), "as its owner sees it"
    assert (code, err) == (ExitCode.OK, "")
    assert after == before


@pytest.mark.parametrize("words", DRY, ids=" ".join)
def test_a_dry_run_of_who_may_write_writes_nothing_either(home, words):
    give(home, 0o700, 0o600)
    before = state(home)
    code, out, err = home.run(*words)
    assert (code, err) == (ExitCode.OK, ""), out
    assert state(home) == before


def test_a_dry_run_too_is_refused_on_the_store_of_another_application(home):
    give(home, 0o755, 0o644)
    other = replace(home.scene.settings(), sessions=home.root / "other")
    with pytest.raises(GuardError, match=f"is that of {home.sessions}, not of {other.sessions}") as refused:
        control.ask(other, "restore_all_missing", dry_run=True)
    assert refused.value.exit_code == ExitCode.REFUSED


@pytest.mark.parametrize("room", ["shadows", "history"])
def test_what_a_reader_may_not_read_is_no_damage(home, request, room):
    if os.geteuid():
        return  # another user is needed
    reader = request.getfixturevalue("of_root").as_reader
    path = next(path for path in (home.scene.store / room).rglob("*") if path.is_file())
    path.chmod(0)
    code, out, err = reader("verify")
    assert (code, out) == (ExitCode.FAILED, "")
    assert err == f"hermesguard: {path}: Permission denied. Type the same with sudo -u root before it.\n"


def test_a_check_that_may_not_read_a_part_says_that_it_knows_nothing(home, request):
    if os.geteuid():
        return  # another user is needed
    reader = request.getfixturevalue("of_root").as_reader
    for part in ("shadows", "incidents.jsonl", "history"):
        give(home, 0o755, 0o644)
        (home.scene.store / part).chmod(0)
        code, out, err = reader("status", "--nagios")
        assert (code, err) == (3, "")
        assert out == f"HERMESGUARD UNKNOWN - {home.scene.store / part}: Permission denied\n"


def test_what_one_session_alone_hides_keeps_no_other_from_being_listed(home, request):
    if os.geteuid():
        return  # another user is needed
    reader = request.getfixturevalue("of_root").as_reader
    home.sessions.chmod(0)
    for closed in (home.scene.store / "history").iterdir():
        closed.chmod(0)
        for command in ("status", "list", "lost", "find part"):
            code, out, err = reader(*command.split())
            assert code in (ExitCode.OK, ExitCode.PROBLEM), (command, out, err)
        closed.chmod(0o755)


def test_a_store_that_others_may_not_read_names_the_command_that_can(home):
    if os.geteuid():
        return  # another user is needed
    for where, directories, names in os.walk(home.root):
        for name in (*directories, *names, "."):
            os.chown(os.path.join(where, name), 0, 0)
    give(home, 0o755, 0o644)
    home.scene.store.chmod(0o700)
    code, _, err = as_user(NOBODY, lambda: home.run("lost"))
    assert code == ExitCode.FAILED
    assert f"sudo -u root hermesguard --store {home.scene.store} status" in err
