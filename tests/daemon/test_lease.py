"""Guards that hold a Lease of their cluster: one guards, the other stands by, and takes over when the Lease is free.

The API server is a real one for one Lease (tests/helpers/lease_server.py). Durations are an hour where a takeover has to be at
once, and short where the Lease has to run out: what a slow machine does to these is a takeover more.
"""

import math
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import pytest

from hermesguard.demo import losses
from hermesguard.demo.app import App
from hermesguard.demo.chat import Chat
from hermesguard.demo.eras import Era
from hermesguard.errors import ExitCode
from hermesguard.lease.cluster import Cluster
from hermesguard.lease.lease import Lease, LeaseError
from hermesguard.store.lock import lock_holder
from tests.helpers.daemon_process import REPOSITORY, Daemon, Record, environment_for, hermesguard
from tests.helpers.lease_server import NAME, NAMESPACE, LeaseServer, lease_server, make_certificates
from tests.helpers.waiting import until

LEASE = f"{NAMESPACE}/{NAME}"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def server(tmp_path: Path, certificates: Path) -> Iterator[LeaseServer]:
    with lease_server(tmp_path / "cluster", certificates) as one:
        yield one


@pytest.fixture
def chat(tmp_path: Path) -> Chat:
    return App(tmp_path / "webui" / "sessions", Era.OLD).create(turns=4)


def at(record: Record) -> float:
    return datetime.fromisoformat(record["time"]).timestamp()


def guarded(daemon: Daemon) -> list[tuple[float, float]]:
    """From when to when its guards have run."""
    ends = [at(one) for one in daemon.heard("stopped")] + [math.inf]
    return [(at(one), min(end for end in ends if end >= at(one))) for one in daemon.heard("started")]


@contextmanager
def holder_and_standby(root: Path, server: LeaseServer) -> Iterator[tuple[Daemon, Daemon]]:
    """One guards, the other stands by; of a Lease that runs out soon."""
    with (
        server.daemon(root, "pod-a", duration="3s") as first,
        server.daemon(root, "pod-b", duration="3s") as second,
    ):
        first.start()
        second.start(ready=False)
        second.until_heard("standby")
        yield first, second


def guard_of(daemon: Daemon) -> int:
    """The process of the guard that a keeper has started."""
    assert daemon.process
    children = Path(f"/proc/{daemon.process.pid}/task/{daemon.process.pid}/children")
    return int(until(lambda: children.read_text().split())[0])


def test_the_second_stands_by_and_takes_over_at_once_when_the_first_is_stopped(
    tmp_path: Path, server: LeaseServer, chat: Chat
) -> None:
    with server.daemon(tmp_path, "pod-a") as first, server.daemon(tmp_path, "pod-b") as second:
        first.start()
        holder = server.holder
        assert first.heard("lease_held")[0]["holder"] == holder
        second.start(ready=False)
        assert second.until_heard("standby", lease=LEASE, holder=holder)
        second.until(lambda: len([asked for asked in server.asked if asked[0].startswith("pod-b.")]) > 1)
        assert len(second.heard("standby")) == 1, "it is said once"
        assert not second.heard("started")
        assert first.stop() == ExitCode.OK
        second.until_heard("ready")  # the Lease would last for an hour
        assert at(first.heard("stopped")[0]) <= at(second.heard("started")[0])
        assert server.holder == second.heard("lease_held")[0]["holder"] != holder
        losses.wipe(chat)
        second.until_heard("restored")
    assert server.holder == ""


def test_a_holder_that_is_killed_is_followed_when_the_lease_has_run_out(
    tmp_path: Path, server: LeaseServer, chat: Chat
) -> None:
    with holder_and_standby(tmp_path, server) as (first, second):
        first.kill()  # a guard that outlives what holds the Lease for it is an error of its own (InPod)
        assert first.heard("stopped"), "it ends in good order even then"
        second.until_heard("ready", seconds=120)
        silences = [
            after.at - before.at
            for before, after in pairwise(server.changes)
            if "" != before.holder != after.holder
        ]
        assert silences
        assert min(silences) > 2.9
        losses.wipe(chat)
        second.until_heard("restored")


def test_a_holder_that_is_cut_off_has_ended_its_guard_before_the_other_begins(
    tmp_path: Path, server: LeaseServer, chat: Chat
) -> None:
    with holder_and_standby(tmp_path, server) as (first, second):
        server.moods["pod-a"] = "trickle"
        second.until_heard("started", seconds=120)
        first.until_heard("lease_lost")
        server.moods.clear()
        first.until_heard("standby", seconds=120)  # it stands by like any other, and has not ended
        other = second.heard("lease_held")[0]["holder"]
        for began, ended in guarded(first):
            assert not [
                change for change in server.changes if change.holder == other and began < change.at < ended
            ]
            assert not [one for one in guarded(second) if one[0] < ended and began < one[1]]


def test_a_guard_that_does_not_end_is_ended_by_force(tmp_path: Path, server: LeaseServer, chat: Chat) -> None:
    with server.daemon(tmp_path, "pod-a", duration="3s") as one:
        one.start()
        guard = guard_of(one)
        os.kill(guard, signal.SIGSTOP)
        server.moods["pod-a"] = "broken"
        one.until_heard("lease_lost")
        until(lambda: not Path(f"/proc/{guard}").exists())


def test_it_goes_on_when_the_object_is_changed_and_the_token_exchanged(
    tmp_path: Path, server: LeaseServer, chat: Chat
) -> None:
    account = server.pod("pod-a")
    with server.daemon(tmp_path, account) as one:
        one.start()
        old, new = account.token, account.rotate()
        account.valid.discard(old)
        server.touch()
        one.until(lambda: [asked for asked in server.asked if asked == (new, "PUT", 200)])
        assert (new, "PUT", 409) in server.asked
        assert not one.heard("lease_unanswered") + one.heard("lease_lost")


def test_a_cluster_that_is_away_at_the_start_is_waited_for(
    tmp_path: Path, server: LeaseServer, chat: Chat
) -> None:
    server.stop()
    with server.daemon(tmp_path, "pod-a") as one:
        one.start(ready=False)
        assert "Connection refused" in one.until_heard("lease_unanswered")["error"]
        server.start()
        one.until_heard("ready")
        assert len(one.heard("lease_unanswered")) == 1


def test_rights_that_are_taken_away_end_it_when_the_time_is_over(
    tmp_path: Path, server: LeaseServer, chat: Chat
) -> None:
    with server.daemon(tmp_path, "pod-a", duration="3s") as one:
        one.start()
        server.moods["pod-a"] = "forbidden"
        assert one.ended() == ExitCode.REFUSED
        assert "403" in one.heard("lease_lost")[0]["reason"]
        assert one.heard("stopped")


def test_a_guard_that_ends_by_itself_lets_the_other_one_try(
    tmp_path: Path, server: LeaseServer, chat: Chat
) -> None:
    with server.daemon(tmp_path, "pod-a") as first, server.daemon(tmp_path, "pod-b") as second:
        first.start()
        second.start(ready=False)
        second.until_heard("standby")
        os.kill(guard_of(first), signal.SIGKILL)
        assert first.ended() == 128 + signal.SIGKILL
        second.until_heard("ready")


def test_the_lock_of_the_store_is_waited_for_too(tmp_path: Path, server: LeaseServer, chat: Chat) -> None:
    """A file server may keep the lock of a machine that is gone for longer than the cluster keeps its Lease."""
    with Daemon(tmp_path) as older, server.daemon(tmp_path, "pod-a") as one:
        older.start()
        one.start(ready=False)
        one.until_heard("standby", store=str(one.store))
        count = len(server.changes)
        one.until(lambda: len(server.changes) > count)  # it has looked at the lock more than once
        assert len(one.heard("standby")) == 1
        assert not one.heard("failed")
        older.stop()
        one.until_heard("ready")
        assert lock_holder(one.store / "lock") == guard_of(one)


def test_a_reload_and_an_interrupt_reach_the_guard(tmp_path: Path, server: LeaseServer, chat: Chat) -> None:
    with server.daemon(tmp_path, "pod-a") as one:
        one.start()
        assert one.process
        one.process.send_signal(signal.SIGHUP)
        one.until_heard("reloaded")
        assert one.stop(signal.SIGINT) == 128 + signal.SIGINT
        assert one.heard("stopped")
    assert server.holder == ""


def test_one_that_stands_by_ends_at_once_and_leaves_the_lease_alone(
    tmp_path: Path, server: LeaseServer, chat: Chat
) -> None:
    with server.daemon(tmp_path, "pod-a") as first, server.daemon(tmp_path, "pod-b") as second:
        first.start()
        second.start(ready=False)
        second.until_heard("standby")
        holder = server.holder
        assert second.stop() == ExitCode.OK
        assert server.holder == holder
        assert {change.holder for change in server.changes} == {holder}


def test_one_that_waits_for_an_answer_ends_all_the_same(
    tmp_path: Path, server: LeaseServer, chat: Chat
) -> None:
    server.moods["pod-a"] = "deaf"
    with server.daemon(tmp_path, "pod-a") as one:
        one.start(ready=False)
        one.until(lambda: server.received)
        assert one.stop() == ExitCode.OK
        assert not one.heard("lease_unanswered"), "it did not wait for the end of its patience"


@pytest.mark.parametrize("mood", ["broken", "portal", "lost"])
def test_what_is_no_answer_tells_nothing_of_the_lease(tmp_path: Path, server: LeaseServer, mood: str) -> None:
    pod = server.pod("pod-a")
    lease = Lease(Cluster("127.0.0.1", server.port, pod.directory), NAME, 15)
    server.moods["pod-a"] = mood
    with pytest.raises(LeaseError):
        lease.hold(30)
    server.moods.clear()
    assert lease.hold(30)
    server.moods["pod-a"] = mood
    with pytest.raises(LeaseError):
        lease.hold(30)
    server.moods.clear()
    assert lease.hold(30)


def test_the_token_is_shown_to_no_other_server(tmp_path: Path, server: LeaseServer) -> None:
    pod = server.pod("pod-a")
    (tmp_path / "another").mkdir()
    (pod.directory / "ca.crt").write_bytes((make_certificates(tmp_path / "another") / "ca.crt").read_bytes())
    with pytest.raises(LeaseError, match="certificate verify failed"):
        Lease(Cluster("127.0.0.1", server.port, pod.directory), NAME, 15).hold(30)
    assert not server.received


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (
            ["--lease", "Chat/Guard"],
            ExitCode.USAGE,
            "--lease Chat/Guard: that cannot be the name of a Lease.",
        ),
        (["--lease", "a/b/c"], ExitCode.USAGE, "NAME or NAMESPACE/NAME"),
        (
            ["--lease", LEASE, "--lease-duration", "soon"],
            ExitCode.USAGE,
            "--lease-duration soon: invalid value",
        ),
        (["--lease", LEASE, "--lease-duration", "1s"], ExitCode.USAGE, "from 2s to 1h"),
        (["--lease", "chat/another"], ExitCode.NOT_FOUND, "There is no Lease chat/another"),
        (
            ["--lease", NAME],
            ExitCode.REFUSED,
            "The Lease chat/hermesguard is not ours to hold: the API server says 403",
        ),
    ],
)
def test_what_can_never_be_held_is_said_with_what_to_do(
    tmp_path: Path, server: LeaseServer, words: list[str], code: ExitCode, said: str
) -> None:
    server.moods["pod-a"] = "forbidden"
    pod = server.pod("pod-a")
    with Daemon(tmp_path, *words, prefix=pod.prefix, environment=server.environment) as one:
        one.start(ready=False)
        assert one.ended() == code
        assert said in one.lines[-1]
        assert len([line for line in one.lines if not line.startswith("{")]) == 1
        assert [event["event"] for event in one.events] == ["failed"]


@pytest.mark.parametrize(
    ("lacking", "said"), [("token", "token of this pod"), ("namespace", "namespace of this")]
)
def test_a_pod_without_an_account_says_so(
    tmp_path: Path, server: LeaseServer, lacking: str, said: str
) -> None:
    pod = server.pod("pod-a")
    (pod.directory / lacking).unlink()
    done = subprocess.run(
        [*pod.prefix, sys.executable, "-m", "hermesguard", "run", "--lease", NAME],
        env=environment_for(tmp_path, **server.environment),
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == ExitCode.CONFIG
    assert said in done.stderr
    assert "automountServiceAccountToken: true" in done.stderr


def test_elsewhere_than_in_a_pod_it_says_so(tmp_path: Path) -> None:
    done = hermesguard(tmp_path, "run", "--lease", NAME)
    assert done.returncode == ExitCode.CONFIG
    assert "is for a pod of a Kubernetes cluster, and this is none" in done.stderr
