"""serve, open and extension: what a user types."""

import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import urllib.request

import pytest

from hermesguard.page import access
from tests.helpers import cli_store
from tests.helpers.daemon_process import REPOSITORY
from tests.helpers.page_client import free_port
from tests.helpers.waiting import until

LINK = re.compile(r"http://127\.0\.0\.1:(\d+)/open\?token=\S+")


@pytest.fixture
def scene(tmp_path):
    made = cli_store.make(tmp_path / "webui")
    return made


def listening(port):
    """The processes that listen on a port, by /proc."""
    inodes = set()
    with open("/proc/net/tcp") as table:
        for line in table.read().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and int(fields[1].split(":")[1], 16) == port:
                inodes.add(f"socket:[{fields[9]}]")
    return [
        int(pid)
        for pid in filter(str.isdecimal, os.listdir("/proc"))
        for number in _descriptors(pid)
        if _target(pid, number) in inodes
    ]


def _descriptors(pid):
    try:
        return os.listdir(f"/proc/{pid}/fd")
    except OSError:
        return []


def _target(pid, number):
    try:
        return os.readlink(f"/proc/{pid}/fd/{number}")
    except OSError:
        return ""


def test_open_starts_the_page_gives_a_link_and_the_page_ends_by_itself(scene):
    port = free_port()
    more = {"HERMESGUARD_PAGE_PORT": str(port), "HERMESGUARD_PAGE_IDLE": "2s"}
    first = scene.run("open", "--no-browser", environment=more)
    assert first.returncode == 0, first.stderr
    link = LINK.match(first.stdout.decode())
    assert link
    assert int(link[1]) == port
    (pid,) = listening(port)
    second = json.loads(scene.run("open", "--json", environment=more).stdout)
    assert second["seconds"] == 120
    assert second["link"] != link[0]
    assert listening(port) == [pid], "the same page serves both"
    with urllib.request.urlopen(link[0]) as response:
        assert b"hermesguard-key" in response.read()
    until(lambda: not listening(port), 20)


def test_open_without_a_store_says_what_makes_one(tmp_path):
    places = {"HOME": str(tmp_path), "PATH": os.environ["PATH"], "XDG_STATE_HOME": str(tmp_path)}
    result = subprocess.run(
        [sys.executable, "-m", "hermesguard", "open", "--store", str(tmp_path / "none")],
        cwd=REPOSITORY, env=places, capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    assert result.returncode == 10
    assert "no store" in result.stderr


def test_a_port_that_is_taken_is_said(scene):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        result = scene.run("serve", "--page-port", other.getsockname()[1])
    assert result.returncode == 1
    assert b"cannot be had" in result.stderr


def test_a_socket_that_others_could_reach_is_refused(scene):
    """As systemd hands over a socket, but of every address."""
    with socket.socket() as everywhere:
        everywhere.bind(("0.0.0.0", 0))
        everywhere.listen()
        os.set_inheritable(everywhere.fileno(), True)
        program = (
            "import os, sys\n"
            "os.dup2(int(sys.argv[1]), 3)\n"
            "os.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid()))\n"
            "sys.argv[1:] = ['serve']\n"
            "from hermesguard.cli.main import main\n"
            "raise SystemExit(main())\n"
        )
        result = subprocess.run(
            [sys.executable, "-c", program, str(everywhere.fileno())],
            cwd=REPOSITORY, env=scene.environment(), capture_output=True, text=True, timeout=30, close_fds=False,
        )  # fmt: skip
    assert result.returncode == 14
    assert "loopback" in result.stderr


def test_serve_ends_at_once_when_it_is_told(scene):
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "hermesguard", "serve", "--page-port", str(port)],
        cwd=REPOSITORY, env=scene.environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip
    until(lambda: listening(port))
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    assert process.stderr
    assert process.stderr.read() == b""
    process.stderr.close()


# -- the extension


def state_of(scene):
    return scene.root


def test_the_extension_is_installed_where_hermes_webui_finds_it(scene):
    result = scene.run("extension", "install", environment={"HERMESGUARD_PAGE_PORT": "18001"})
    assert result.returncode == 0, result.stderr
    assert b"One click is left" in result.stdout
    folder = scene.root / "extensions" / "hermesguard"
    manifest = json.loads((folder / "manifest.json").read_bytes())["extensions"][0]
    assert manifest["sidecar"]["origin"] == "http://127.0.0.1:18001"
    assert (
        json.loads((folder / "extension.json").read_bytes())["sidecar"]["origin"] == "http://127.0.0.1:18001"
    )
    for asset in (*manifest["scripts"], *manifest["stylesheets"]):
        assert (folder / asset).is_file()
    listed = json.loads((scene.root / "extension-install-manifest.json").read_bytes())
    entry = listed["installed"]["hermesguard"]
    assert set(entry["files"]) == {
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
    }
    for path in folder.rglob("*"):
        assert not stat.S_IMODE(path.stat().st_mode) & 0o022


def test_other_extensions_stay_in_the_list_and_an_upgrade_leaves_nothing_old(scene):
    list_file = scene.root / "extension-install-manifest.json"
    other = {"version": "1", "files": ["a.js"], "installed_at": ""}
    list_file.write_text(json.dumps({"version": 1, "installed": {"other": other}}))
    scene.run("extension", "install")
    old = scene.root / "extensions" / "hermesguard" / "assets" / "old.js"
    old.write_text("")
    assert scene.run("extension", "install").returncode == 0
    assert not old.exists()
    assert json.loads(list_file.read_bytes())["installed"]["other"] == other
    assert scene.run("extension", "remove").returncode == 0
    assert not (scene.root / "extensions" / "hermesguard").exists()
    assert json.loads(list_file.read_bytes())["installed"] == {"other": other}


def test_status_says_what_is_there_and_what_is_left(scene):
    assert scene.run("extension", "status").returncode == 4
    scene.run("extension", "install")
    told = scene.run("extension", "status")
    assert told.returncode == 0
    assert b"One click is left" in told.stdout
    token = scene.root / "sidecar-auth" / "hermesguard.token"
    token.parent.mkdir()
    token.write_text("x" * 40)
    assert b"approved" in scene.run("extension", "status").stdout
    known = json.loads(scene.run("extension", "status", "--json").stdout)
    assert (known["is_listed"], known["has_token"]) == (True, True)


def test_a_list_that_is_not_understood_is_not_written_over(scene):
    list_file = scene.root / "extension-install-manifest.json"
    list_file.write_text("{broken")
    result = scene.run("extension", "install")
    assert result.returncode == 14
    assert list_file.read_text() == "{broken"


def test_a_link_in_the_way_is_not_followed(scene, tmp_path):
    (scene.root / "extensions").mkdir()
    (scene.root / "extensions" / "hermesguard").symlink_to(tmp_path)
    result = scene.run("extension", "install")
    assert result.returncode == 14
    assert not (tmp_path / "manifest.json").exists()


def test_the_key_is_made_for_the_owner_of_the_store(tmp_path):
    store = tmp_path / "store"
    store.mkdir()
    os.chown(store, 65534, 65534)
    access.ensure_key(store)
    found = (store / access.KEY_FILE).stat()
    assert (found.st_uid, stat.S_IMODE(found.st_mode)) == (65534, 0o600)
