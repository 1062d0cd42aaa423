"""Copies of a store in use, by the tools of docs/backup.md: whole, verified, and every conversation comes back."""

import itertools
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from hermesguard.demo import acts, losses
from hermesguard.demo.chat import Chat
from hermesguard.demo.eras import Era
from hermesguard.repair.drill import drill
from hermesguard.store.store import Store
from hermesguard.store.upkeep import verify as checkup
from tests.helpers.world import World

EXAMPLES = Path(__file__).parents[2] / "packaging" / "examples"


def life(world: World) -> list[Chat]:
    """Sessions that have grown, been cut, been wiped; one is growing now."""
    app = world.app(Era.NEW)
    chats = [app.create(turns=30, answer_characters=500) for _ in range(4)]
    world.scan()
    acts.undo(chats[0])
    losses.wipe(chats[1])
    chats[2].turn("What is in the delta log?", "This is.")
    assert world.guard.copies.store.delta_log_path(chats[2].session_id).exists()
    return chats


def check(copied: Path, chats: list[Chat], at_most_missing: int = 0) -> None:
    """The copy is good, and holds every conversation but for so many of its newest messages."""
    store = Store(copied)
    store.open()
    assert checkup.verify(store, lambda name: False).damaged == []
    result = drill(store)
    assert result.restorable == len(chats)
    messages = sum(len(chat.on_disk()["messages"]) for chat in chats)
    assert messages - at_most_missing <= result.messages <= messages


def commands(unit: str, store: Path) -> list[list[str]]:
    """The commands of a unit, as systemd would run them on that store."""
    text = (EXAMPLES / unit).read_text(encoding="utf-8")
    lines = re.findall(r"^ExecStart(?:Post)?=(.*)$", text, flags=re.MULTILINE)
    return [line.replace("${STORE}", str(store)).replace("%%", "%").split() for line in lines]


def run(unit: str, store: Path, environment: dict[str, str]) -> None:
    for command in commands(unit, store):
        done = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{command}: {done.stderr}"


def test_a_copy_made_while_the_store_changes_is_good(world: World, tmp_path: Path) -> None:
    chats = life(world)
    growing = chats[2]
    for turn, first in enumerate(itertools.permutations([".json", ".delta"])):
        # One half is copied before the delta log is flushed, or begun anew, the other after it.
        for step in ("grow", "fold", "nothing"):
            copied = tmp_path / f"copy-{turn}-{step}"
            shutil.copytree(world.store_path, copied, ignore=shutil.ignore_patterns(f"*{first[1]}"))
            if step == "grow":
                growing.turn(f"More {turn}", "and more")
            elif step == "fold":
                world.pass_time(61)
                world.scan()
            for path in (world.store_path / "shadows").glob(f"*{first[1]}"):
                shutil.copy2(path, copied / "shadows" / path.name)
            check(copied, chats, at_most_missing=6)


@pytest.mark.skipif(not shutil.which("restic"), reason="restic is not installed (Debian: restic)")
def test_restic(world: World, tmp_path: Path) -> None:
    chats = life(world)
    (tmp_path / "password").write_text("a password\n")
    environment = {
        "RESTIC_REPOSITORY": str(tmp_path / "repository"),
        "RESTIC_PASSWORD_FILE": str(tmp_path / "password"),
        "RESTIC_CACHE_DIR": str(tmp_path / "cache"),
    }
    subprocess.run(["restic", "init", "--quiet"], env=os.environ | environment, check=True)
    run("backup-restic.service", world.store_path, environment)
    chats[2].turn("After the copy", "this is new")
    run("backup-restic.service", world.store_path, environment)
    back = tmp_path / "back"
    restore = ["restic", "restore", "latest", "--quiet", "--tag", "hermesguard", "--target", str(back)]
    subprocess.run(restore, env=os.environ | environment, check=True)
    copied = back / world.store_path.relative_to("/")
    check(copied, chats)
    store = Store(copied)
    assert store.shadow_note(chats[0].session_id) == world.guard.copies.store.shadow_note(chats[0].session_id)
    assert not (copied / "lock").exists()


@pytest.mark.skipif(not shutil.which("rclone"), reason="rclone is not installed (Debian: rclone)")
def test_rclone(world: World, tmp_path: Path) -> None:
    chats = life(world)
    remote = tmp_path / "remote"
    remote.mkdir()
    configuration = tmp_path / "rclone.conf"
    configuration.write_text(f"[hermesguard]\ntype = alias\nremote = {remote}\n")
    environment = {"RCLONE_CONFIG": str(configuration)}
    run("backup-rclone.service", world.store_path, environment)
    before = (remote / "shadows" / f"{chats[3].session_id}.json").read_bytes()
    acts.undo(chats[3])
    run("backup-rclone.service", world.store_path, environment)
    check(remote, chats)
    assert (remote / "shadows-before" / f"{chats[3].session_id}.json").read_bytes() == before
    assert not (remote / "lock").exists()


@pytest.mark.parametrize("tool", ["restic", "rclone"])
def test_the_units_are_understood(tool: str) -> None:
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd-analyze is not here")
    units = [str(EXAMPLES / f"backup-{tool}.{kind}") for kind in ("service", "timer")]
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", *units], capture_output=True, text=True)
    complaints = [line for line in done.stderr.splitlines() if f"{tool} is not executable" not in line]
    assert complaints == []
