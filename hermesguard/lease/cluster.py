"""The API server of the cluster that this pod is in: one question, one answer, with the token of the pod's service account.

By the standard library alone: the client of Kubernetes for Python takes 74 MB and twelve more packages for the two requests
that are needed here.
"""

import http.client
import json
import os
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from hermesguard.errors import ExitCode, GuardError
from hermesguard.events.event import plain

ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where a pod finds token, certificate and namespace (and, an hour later, another token in the same file)."""
_LARGEST_ANSWER_BYTES: Final = 1024 * 1024
_LONGEST_REASON: Final = 300


class Answer(NamedTuple):
    """What the API server said: the HTTP status, and the object."""

    status: int
    body: dict[str, Any]

    @property
    def reason(self) -> str:
        """Its words, where they are words of an error."""
        return plain(str(self.body.get("message") or http.client.responses.get(self.status, "")))[
            :_LONGEST_REASON
        ]


class Cluster:
    """The API server, as a pod reaches it."""

    def __init__(self, host: str, port: int, account: Path = ACCOUNT) -> None:
        self._host, self._port, self._account = host, port, account

    @classmethod
    def of_this_pod(cls, environment: Mapping[str, str] = os.environ, account: Path = ACCOUNT) -> "Cluster":
        """Return the cluster that this process runs in. GuardError when it runs in none, or has no token."""
        host, port = (
            environment.get("KUBERNETES_SERVICE_HOST"),
            environment.get("KUBERNETES_SERVICE_PORT", ""),
        )
        if not host or not port.isdecimal():
            raise GuardError(
                "--lease is for a pod of a Kubernetes cluster, and this is none (KUBERNETES_SERVICE_HOST and "
                "KUBERNETES_SERVICE_PORT are not set)",
                "Elsewhere start the guard without it: a second one waits for the lock of the store",
                ExitCode.CONFIG,
            )
        found = cls(host, int(port), account)
        found._read("token")
        return found

    def namespace(self) -> str:
        """Return the namespace of this pod. GuardError when nobody says."""
        return self._read("namespace")

    def ask(self, method: str, path: str, body: object = None, timeout_seconds: float = 10.0) -> Answer:
        """Ask the API server, which may take that long for each step of it, and return what it says.

        Raises OSError when there is no answer, or none that can be read.
        """
        # A new connection each time: a token or a certificate that was exchanged counts from the next question on.
        context = ssl.create_default_context(cafile=self._account / "ca.crt")
        # The certificates of many clusters lack what RFC 5280 asks for, and Python 3.13 would refuse them for that.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        connection = http.client.HTTPSConnection(
            self._host, self._port, timeout=timeout_seconds, context=context
        )
        headers = {"Authorization": f"Bearer {self._read('token')}", "Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            response = connection.getresponse()
            said = json.loads(response.read(_LARGEST_ANSWER_BYTES) or b"{}")
            return Answer(response.status, said if isinstance(said, dict) else {})
        except ssl.SSLError:  # some are a ValueError too
            raise
        except (http.client.HTTPException, ValueError) as error:
            raise OSError(f"no answer of an API server ({type(error).__name__})") from None
        finally:
            connection.close()

    def _read(self, name: str) -> str:
        path = self._account / name
        try:
            text = path.read_text("ascii").strip()
            if text and text.isprintable():
                return text
            what = f"The {name} of this pod's service account in {path} is none"
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is no text"
            what = f"The {name} of this pod's service account cannot be read from {path}: {why}"
        raise GuardError(
            what,
            "Let the pod have one: serviceAccountName, and automountServiceAccountToken: true",
            ExitCode.CONFIG,
        )
