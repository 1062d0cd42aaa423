"""Two never hold a Lease at one time, whatever is lost, late or simultaneous."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hermesguard.errors import ExitCode, GuardError
from hermesguard.lease import keeper
from hermesguard.lease.cluster import Answer, Cluster
from hermesguard.lease.lease import Lease, LeaseError

SECONDS = 15


class Fake:
    """A cluster with one Lease and one time; what it does next is said from outside."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.lease: dict[str, Any] = {"metadata": {"resourceVersion": "1", "labels": {"app": "x"}}}
        self.before_put: Callable[[], object] = lambda: None
        self.fault = ""

    def namespace(self) -> str:
        return "chat"

    def ask(self, method: str, path: str, body: Any = None, timeout_seconds: float = 0) -> Answer:
        assert path == "/apis/coordination.k8s.io/v1/namespaces/chat/leases/guard"
        if self.fault == "unheard":
            raise OSError("connection refused")
        status = 200
        if method == "PUT":
            meanwhile, self.before_put = self.before_put, lambda: None
            meanwhile()
            version = self.lease["metadata"]["resourceVersion"]
            if body["metadata"]["resourceVersion"] == version:
                self.lease = json.loads(json.dumps(body))
                self.lease["metadata"]["resourceVersion"] = str(int(version) + 1)
            else:
                status = 409
        if self.fault == "lost":
            raise TimeoutError("timed out")
        return Answer(status, json.loads(json.dumps(self.lease)) if status == 200 else {})

    def held_by(self, identity: str, **more: object) -> None:
        """Let somebody else hold it, as he writes it himself."""
        version = int(self.lease["metadata"]["resourceVersion"]) + 1
        self.lease["metadata"]["resourceVersion"] = str(version)
        self.lease["spec"] = {"holderIdentity": identity, "renewTime": str(version), **more}


def lease(fake: Fake, identity: str = "", ahead: float = 0.0, text: str = "guard") -> Lease:
    return Lease(cast(Cluster, fake), text, SECONDS, identity, lambda: fake.now + ahead)


def test_what_nobody_holds_is_taken_and_all_else_of_the_object_stays() -> None:
    fake = Fake()
    one = lease(fake, "a")
    assert one.hold(1)
    assert fake.lease["metadata"] == {"resourceVersion": "2", "labels": {"app": "x"}}
    spec = fake.lease["spec"]
    assert (spec["holderIdentity"], spec["leaseDurationSeconds"], spec["leaseTransitions"]) == ("a", 15, 1)
    assert one.hold(1)
    assert fake.lease["spec"]["leaseTransitions"] == 1
    assert fake.lease["spec"]["acquireTime"] == spec["acquireTime"] <= fake.lease["spec"]["renewTime"]
    one.release(1)
    assert fake.lease["spec"]["holderIdentity"] == ""
    assert lease(fake, "b").hold(1)
    assert fake.lease["spec"]["leaseTransitions"] == 2


@pytest.mark.parametrize(
    ("said", "seconds"), [(40, 40), (4, 4), (None, SECONDS), (0, SECONDS), ("soon", SECONDS)]
)
def test_a_silent_holder_keeps_it_for_as_long_as_he_said(said: object, seconds: int) -> None:
    fake = Fake()
    fake.held_by("other", leaseDurationSeconds=said)
    one = lease(fake, "a")
    assert not one.hold(1)
    assert one.holder == "other"
    fake.now += seconds
    assert not one.hold(1)
    fake.held_by("other", leaseDurationSeconds=said)
    fake.now += 1
    assert not one.hold(1), "he is heard of again, and the time begins anew"
    fake.now += seconds + 0.1
    assert one.hold(1)


def test_only_the_first_of_two_that_find_it_free_has_it() -> None:
    fake = Fake()
    one, other = lease(fake, "a"), lease(fake, "b")
    fake.before_put = lambda: other.hold(1)
    assert not one.hold(1)
    assert one.holder == "b"
    assert not one.may_be_ours


def test_one_that_was_not_heard_is_ours_and_is_released() -> None:
    fake = Fake()
    one = lease(fake, "a")
    fake.fault = "lost"
    with pytest.raises(LeaseError):
        one.hold(1)
    fake.fault = ""
    fake.lease["spec"] = {"holderIdentity": "a"}
    assert one.hold(1)
    one.release(1)
    assert not lease(fake, "b").may_be_ours
    assert lease(fake, "b").hold(1)
    one.release(1)
    assert fake.lease["spec"]["holderIdentity"] == "b", "that of another is left alone"


def test_the_same_pod_started_again_is_another_holder() -> None:
    fake = Fake()
    assert lease(fake).identity != lease(fake).identity
    assert lease(fake).hold(1)
    assert not lease(fake).hold(1)


@pytest.mark.parametrize("text", ["guard", "chat/guard"])
def test_the_namespace_is_that_of_the_pod_where_none_is_named(text: str) -> None:
    assert lease(Fake(), text=text).name == "chat/guard"


@pytest.mark.parametrize(
    "text", ["/guard", "chat/", "a/b/c", "Chat", "-a", "a-", "a b", "a\n", "x" * 64, "../pods"]
)
def test_what_can_be_no_name_never_reaches_a_path(text: str) -> None:
    with pytest.raises(GuardError) as failed:
        lease(Fake(), text=text)
    assert failed.value.exit_code is ExitCode.USAGE


ACTS = st.sampled_from(["hold", "hold", "hold", "race", "unheard", "lost", "release", "touch"])


@given(
    st.lists(st.tuples(st.integers(0, 2), ACTS, st.floats(0, 1.3 * SECONDS)), max_size=60),
    st.lists(st.floats(-1e6, 1e6), min_size=3, max_size=3),
)
def test_two_never_hold_it_at_one_time(steps: list[tuple[int, str, float]], ahead: list[float]) -> None:
    """Each lets its guard live for a part of the duration from before the request; those spans never overlap."""
    fake = Fake()
    leases = [lease(fake, str(number), ahead[number]) for number in range(3)]
    until = [0.0, 0.0, 0.0]

    def attempt(number: int, fault: str = "") -> None:
        fake.fault, began = fault, fake.now
        try:
            until[number] = began + keeper._KILL * SECONDS if leases[number].hold(1) else 0.0
        except LeaseError:
            pass  # until then it goes on
        finally:
            fake.fault = ""
        alive = [one for one in range(3) if until[one] > fake.now]
        assert len(alive) < 2

    for number, act, seconds in steps:
        fake.now += seconds
        if act == "race":
            fake.before_put = lambda number=number: attempt((number + 1) % 3)  # type: ignore[misc]
        if act == "touch":
            fake.lease["metadata"]["resourceVersion"] += "0"
        elif act == "release":
            if leases[number].may_be_ours:
                until[number] = 0.0
                leases[number].release(1)
        else:
            attempt(number, act if act in ("unheard", "lost") else "")
        fake.before_put = lambda: None


@pytest.mark.parametrize(("text", "seconds"), [("15s", 15), ("2s", 2), ("1h", 3600), ("1m 30s", 90)])
def test_the_duration(text: str, seconds: int) -> None:
    assert keeper.seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "0", "1s", "2.5s", "61m", "soon", "15"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(GuardError, match="whole seconds"):
        keeper.seconds_of(text)


def test_a_guard_is_over_before_the_lease_can_go_to_another() -> None:
    assert keeper._RENEW + keeper._ANSWER < keeper._GIVE_UP < keeper._KILL < 1


@pytest.mark.parametrize("port", ["", "https", "-1"])
def test_a_cluster_that_is_none(tmp_path: Path, port: str) -> None:
    environment = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": port}
    with pytest.raises(GuardError, match="this is none"):
        Cluster.of_this_pod(environment, tmp_path)
