"""Real S3 servers that are killed, full, slow, refusing, or no servers at all: nothing lost, nothing half, nothing twice."""

import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pyrage
import pytest

from hermesguard.demo.app import App
from hermesguard.demo.eras import Era
from hermesguard.offsite.bucket import Bucket
from hermesguard.store.store import Store
from tests.helpers.copies import Copies, same
from tests.helpers.s3_server import BUCKET, KEY, MOODS, BadLine, S3Server, s3_server
from tests.helpers.waiting import until
from tests.helpers.world import World


@pytest.fixture(params=["rclone", "moto"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[S3Server]:
    with s3_server(request.param, tmp_path / "server") as running:
        yield running


@pytest.fixture
def rclone(tmp_path: Path) -> Iterator[S3Server]:
    with s3_server("rclone", tmp_path / "server") as running:
        yield running


def copies_in(world: World, root: Path, endpoint: str, seconds: float = 5.0) -> Copies:
    url = f"s3://{BUCKET}/a/prefix"
    return Copies(
        world.store_path,
        root,
        url,
        lambda: Bucket(url, endpoint, credentials=KEY, timeout=timedelta(seconds=seconds)),
        endpoint=endpoint,
    )


def lived(world: World) -> App:
    app = world.app(Era.NEW)
    for _ in range(5):
        app.create(turns=6)
    world.scan()
    return app


def test_there_and_back(world: World, server: S3Server, tmp_path: Path) -> None:
    app = lived(world)
    copies = copies_in(world, tmp_path / "offsite", server.endpoint)
    copies.turn()
    chat = app.create(turns=2)
    world.scan()
    copies.turn()
    same(copies.back()[1], Store(world.store_path))
    world.guard.copies.store.purge(chat.session_id)
    copies.upkeep()
    assert copies.uploader.failure == ""
    assert copies.state.facts()["upkeep_error"] == ""
    same(copies.back()[1], Store(world.store_path))
    assert {one.name for one in copies.bucket.names()} == {one.name for one in copies.state.objects()}


@pytest.mark.parametrize("mood", [*sorted(set(MOODS) - {"good"}), "silence"])
def test_whatever_the_storage_does_is_survived(
    world: World, rclone: S3Server, tmp_path: Path, mood: str
) -> None:
    app = lived(world)
    line = BadLine(rclone)
    copies = copies_in(world, tmp_path / "offsite", line.endpoint, seconds=1.0)
    try:
        line.mood = mood
        copies.turn()
        # No attempt is made that is not counted; the server may notice one only after it was given up.
        until(lambda: line.connections == sum(copies.state.requests().values()))
        assert copies.uploader.failure
        assert copies.safe() == set()
        app.create(turns=1)
        world.scan()
        line.mood = "good"
        for _ in range(3):
            copies.turn(1000)
        assert copies.uploader.failure == ""
        same(copies.back()[1], Store(world.store_path))
        assert len(list(copies.bucket.names())) == 2, "what was half done is done, and not once more"
    finally:
        line.close()


def test_a_server_that_is_killed_and_started_again(world: World, server: S3Server, tmp_path: Path) -> None:
    lived(world)
    copies = copies_in(world, tmp_path / "offsite", server.endpoint)
    server.kill()
    copies.turn()
    assert "tcp connect error" in copies.uploader.failure
    server.start()
    copies.turn(60)
    assert copies.uploader.failure == ""
    if server.kind == "moto":  # it forgets all
        server.kill()
        server.start()
        copies.upkeep()
    same(copies.back()[1], Store(world.store_path))


def test_at_each_point_the_way_back_has_what_is_called_safe(
    world: World, rclone: S3Server, tmp_path: Path
) -> None:
    chooser = random.Random(19)
    app = lived(world)
    chats = [app.create(turns=1) for _ in range(4)]
    line, good = BadLine(rclone, chooser), Bucket(f"s3://{BUCKET}/a/prefix", rclone.endpoint, credentials=KEY)
    copies = copies_in(world, tmp_path / "offsite", line.endpoint, seconds=2.0)
    try:
        for step in range(24):
            chooser.choice(chats).turn(f"Question {step}", "and answer")
            world.scan()
            copies.turn(chooser.choice((31, 1000, 3700)))
            if chooser.random() < 0.3:
                copies.state.close()
                copies.start()
            if step % 4 == 3:
                safe = copies.safe()
                copies.make = lambda: good
                _, store = copies.back() if safe else (None, None)
                copies.make = lambda: copies_in_bucket(line)
                for path in safe if store else ():
                    if path.startswith("shadows/"):
                        session = path[8:-5]
                        assert store.read_shadow(session) == Store(world.store_path).read_shadow(session)
    finally:
        line.close()


def copies_in_bucket(line: BadLine) -> Bucket:
    return Bucket(f"s3://{BUCKET}/a/prefix", line.endpoint, credentials=KEY, timeout=timedelta(seconds=2))


def test_kills_of_the_process_at_random(world: World, rclone: S3Server, tmp_path: Path) -> None:
    chooser = random.Random(7)
    app = lived(world)
    identity = pyrage.x25519.Identity.generate()
    key, credentials = tmp_path / "key.txt", tmp_path / "credentials"
    key.write_text(str(identity))
    credentials.write_text(
        f"aws_access_key_id = {KEY.access_key_id}\naws_secret_access_key = {KEY.secret_access_key}\n"
    )
    credentials.chmod(0o600)
    config = tmp_path / "hermesguard.toml"
    config.write_text(
        f'store = "{world.store_path}"\nsessions = "{world.sessions}"\n[offsite]\nurl = "s3://{BUCKET}/kills"\n'
        f'endpoint = "{rclone.endpoint}"\nrecipients = ["{identity.to_public()}"]\n'
        f'credentials = "{credentials}"\ninterval = "1s"\nrequests_per_day = 100000\n'
    )
    command = [sys.executable, "-m", "hermesguard", "offsite", "--config", str(config)]
    for number in range(12):
        app.create(turns=1)
        world.scan()
        process = subprocess.Popen([*command, "run"], stderr=subprocess.DEVNULL)
        try:
            process.wait(0.15 + chooser.random() * 0.35)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL if number % 3 else signal.SIGTERM)
        process.wait()
    done = subprocess.run([*command, "run", "--once"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    into = tmp_path / "into"
    restore = [*command, "restore", "--identity", str(key), str(into)]
    done = subprocess.run(restore, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    same(Store(into), Store(world.store_path))
    status = subprocess.run([*command, "status"], capture_output=True, text=True)
    assert "by a timer" in status.stdout
    assert f"{len(Store(into).sessions())} of " in status.stdout


def test_a_disk_that_is_full_here_loses_nothing(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lived(world)
    copies = Copies(world.store_path, tmp_path / "offsite")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    copies.turn()
    monkeypatch.undo()
    assert copies.uploader.failure == "No space left on device"
    assert copies.safe() == set()
    copies.turn(1000)
    same(copies.back()[1], Store(world.store_path))


def test_a_day_never_has_more_requests_than_allowed(world: World, tmp_path: Path) -> None:
    lived(world)
    copies = Copies(world.store_path, tmp_path / "offsite", requests_per_day=60, interval_seconds=60.0)
    note = world.store_path / "incidents.jsonl"
    for number in range(600):
        note.write_bytes(b"%d\n" % number)
        copies.turn(300)
    by_hour = copies.state.requests()
    assert len(by_hour) > 40
    for first in by_hour:
        assert sum(by_hour.get(first + number, 0) for number in range(24)) <= 60
    assert max(by_hour[hour] for hour in sorted(by_hour)[24:]) <= 6, "it never stops for hours"
    copies.turn(90000)
    same(copies.back()[1], Store(world.store_path))
