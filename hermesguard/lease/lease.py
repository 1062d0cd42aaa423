"""A Lease (`coordination.k8s.io/v1`): who holds it, and holding it ourselves.

Two never both take it: each change names the version of the object that it was made from, and the API server refuses all but
the first. Whoever does not hold it counts the time by a clock of his own, from when he saw the last change: the machines'
clocks need not agree.
"""

import re
import socket
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final
from uuid import uuid4

from hermesguard.errors import ExitCode, GuardError
from hermesguard.lease.cluster import Answer, Cluster

_LABEL: Final = r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?"
_NAME: Final = re.compile(rf"(?:(?P<namespace>{_LABEL})/)?(?P<name>{_LABEL}(?:\.{_LABEL})*)")
_LONGEST_NAME: Final = 253


def clock() -> float:
    """Return seconds of a clock that nobody sets, and that does not stand still while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class LeaseError(Exception):
    """Nobody can tell at the moment whose the Lease is; it may be told a moment later."""


class Lease:
    """One Lease, and what is known of it. `holder` is who had it when it was last looked at; empty: nobody."""

    def __init__(
        self,
        cluster: Cluster,
        text: str,
        duration_seconds: int,
        identity: str = "",
        now: Callable[[], float] = clock,
    ) -> None:
        """Take "NAME" or "NAMESPACE/NAME". GuardError when that can be no Lease, or nobody says which namespace."""
        match = _NAME.fullmatch(text)
        if not match or len(match["name"]) > _LONGEST_NAME:
            raise GuardError(
                f"--lease {text}: that cannot be the name of a Lease",
                "It is NAME or NAMESPACE/NAME, in lower-case letters, digits, hyphens and dots",
                ExitCode.USAGE,
            )
        namespace = match["namespace"] or cluster.namespace()
        self.name = f"{namespace}/{match['name']}"
        # The same pod started again is another one: whether the last one is gone is not known.
        self.identity = identity or f"{socket.gethostname()}_{uuid4().hex[:12]}"
        self.holder = ""
        self._cluster = cluster
        self._path = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/{match['name']}"
        self._duration_seconds = duration_seconds
        self._now = now
        self.may_be_ours = False
        """We have asked for it, and nobody has said since that we do not have it."""
        self._ours: dict[str, Any] | None = None
        """The object as we have written it last."""
        self._seen: tuple[object, ...] = ()
        self._seen_at = 0.0

    def hold(self, timeout_seconds: float) -> bool:
        """Take the Lease, or renew it; return whether it is ours, which counts from before the call.

        Raises LeaseError when nobody can tell, GuardError when the API server will not have it.
        """
        for _ in range(2):
            lease, self._ours = self._ours or self._read(timeout_seconds), None
            if not self._is_free(lease):
                return False
            self.may_be_ours = True
            answer = self._ask("PUT", self._taken(lease), timeout_seconds)
            if answer.status == 200:
                self._ours, self.holder = answer.body, self.identity
                return True
            # 409: somebody has changed it, perhaps only a label of it.
        raise LeaseError("it is changed again and again by others")

    def release(self, timeout_seconds: float) -> None:
        """Let the next one have it at once, if it is ours. Raises as `hold` does."""
        lease = self._read(timeout_seconds)
        if _holder(lease) == self.identity:
            self._ours = None
            self._ask("PUT", lease | {"spec": lease["spec"] | {"holderIdentity": ""}}, timeout_seconds)
            self.holder, self.may_be_ours = "", False

    def _read(self, timeout_seconds: float) -> dict[str, Any]:
        lease = self._ask("GET", None, timeout_seconds).body
        if not isinstance(lease.get("metadata"), dict):
            raise LeaseError("the answer is no Lease")
        if not isinstance(lease.get("spec"), dict):
            lease["spec"] = {}
        self.holder = _holder(lease)
        self.may_be_ours = self.holder == self.identity
        return lease

    def _is_free(self, lease: dict[str, Any]) -> bool:
        """Return whether nobody holds it, or its holder has been silent for as long as he said."""
        spec, now = lease["spec"], self._now()
        if _holder(lease) in ("", self.identity):
            return True
        record = (spec.get("holderIdentity"), spec.get("renewTime"), spec.get("acquireTime"))
        if record != self._seen:
            self._seen, self._seen_at = record, now
        said = spec.get("leaseDurationSeconds")
        seconds = said if isinstance(said, int) and said > 0 else self._duration_seconds
        return now - self._seen_at > seconds

    def _taken(self, lease: dict[str, Any]) -> dict[str, Any]:
        """Return the object as it is when we hold it from now on; its version stays, as the condition."""
        spec = dict(lease["spec"])
        time_now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        if _holder(lease) != self.identity:
            count = spec.get("leaseTransitions")
            spec |= {
                "acquireTime": time_now,
                "leaseTransitions": (count if isinstance(count, int) else 0) + 1,
            }
        spec |= {
            "holderIdentity": self.identity,
            "leaseDurationSeconds": self._duration_seconds,
            "renewTime": time_now,
        }
        return lease | {"spec": spec}

    def _ask(self, method: str, body: object, timeout_seconds: float) -> Answer:
        """Return an answer that is 200 or 409."""
        try:
            answer = self._cluster.ask(method, self._path, body, timeout_seconds)
        except OSError as error:
            about = f"{error.filename}: " if error.filename else ""
            raise LeaseError(f"the API server does not answer ({about}{error.strerror or error})") from None
        if answer.status in (200, 409):
            return answer
        said = f"the API server says {answer.status}: {answer.reason}"
        if answer.status == 403:
            raise GuardError(
                f"The Lease {self.name} is not ours to hold: {said}",
                "Give the pod's service account a Role with the verbs get and update for it",
                ExitCode.REFUSED,
            )
        if answer.status == 404:
            raise GuardError(
                f"There is no Lease {self.name}: {said}",
                "Make it: kubectl apply, as in packaging/container/kubernetes-standby.yaml",
                ExitCode.NOT_FOUND,
            )
        if answer.status in (400, 405, 422):
            raise GuardError(
                f"The Lease {self.name} cannot be held: {said}",
                "Look at it: kubectl get lease --output yaml",
                ExitCode.REFUSED,
            )
        raise LeaseError(said)


def _holder(lease: dict[str, Any]) -> str:
    return str(lease["spec"].get("holderIdentity") or "")
