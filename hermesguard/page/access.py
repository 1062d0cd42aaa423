"""Who may ask: hermes-webui by its sidecar token, the page of its own by a cookie and a key; nobody else.

Everything is signed with one key that lies in the store (`page-key`, 0600), so the page's process keeps nothing and writes
nothing: whoever can read the key can read the conversations too. A new key ends every session.
"""

import hmac
import os
import re
import secrets
import time
from collections.abc import Mapping
from hashlib import sha256
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple
from urllib.parse import urlsplit

from hermesguard import files

Home = Literal["own", "webui"]
"""Where the page is shown: at an address of its own, or inside hermes-webui."""

EXTENSION: Final = "hermesguard"
KEY_FILE: Final = "page-key"
LINK_SECONDS: Final = 120
COOKIE_SECONDS: Final = 12 * 3600
KEY_HEADER: Final = "HTTP_X_HERMESGUARD_PAGE"
TOKEN_HEADER: Final = "HTTP_X_HERMES_SIDECAR_TOKEN"

_LOOPBACK: Final = re.compile(r"(?:127\.0\.0\.1|localhost|\[::1\])(?::[0-9]{1,5})?", re.IGNORECASE)
_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{16,256}")
_SIGNED: Final = re.compile(r"([0-9]{1,12})\.([0-9a-f]{32})\.([0-9a-f]{64})")
_LONGEST_FILE_BYTES: Final = 4096


class Refusal(NamedTuple):
    """Why a request is not answered."""

    status: int
    code: str
    what: str
    remedy: str = ""


FOREIGN: Final = Refusal(
    403, "foreign", "This request comes from another page or by another name", "Open the page by its own link"
)
SIGNED_OUT: Final = Refusal(
    401, "signed_out", "This page is not signed in, or no longer", "Get a new link: hermesguard open"
)
NO_TOKEN: Final = Refusal(
    503,
    "no_token",
    "hermes-webui has made no token for this extension",
    "Allow the extension's sidecar in Settings, Extensions; for the page of its own: hermesguard open",
)
WRONG_TOKEN: Final = Refusal(
    401,
    "wrong_token",
    "The token of this request is missing, or not the one that hermes-webui has made",
    "hermes-webui and this page must have the same state directory; for the page of its own: hermesguard open",
)


# -- the key of the page of its own


def read_key(store: Path) -> bytes | None:
    """Return the key of a store; None when there is none, or none that can be read."""
    try:
        data = files.read(store / KEY_FILE, _LONGEST_FILE_BYTES)[0].strip()
    except OSError:
        return None
    return data if len(data) >= 32 else None


def ensure_key(store: Path, *, is_new: bool = False) -> bytes:
    """Return the key of a store, made if there is none yet, or a new one is wanted. Raises OSError."""
    if not is_new and (key := read_key(store)):
        return key
    key = secrets.token_hex(32).encode()
    path = store / KEY_FILE
    files.write_durably(path, key + b"\n")
    owner = os.stat(store)
    if owner.st_uid != os.geteuid():  # typed by root, for the user of the store
        os.chown(path, owner.st_uid, owner.st_gid)
    return key


def _signature(key: bytes, *parts: str) -> str:
    return hmac.new(key, "|".join(parts).encode(), sha256).hexdigest()


def _signed(key: bytes, purpose: str, seconds: int) -> str:
    until, nonce = str(int(time.time()) + seconds), secrets.token_hex(16)
    return f"{until}.{nonce}.{_signature(key, purpose, until, nonce)}"


def _nonce(key: bytes, purpose: str, text: str) -> str | None:
    """Return the nonce of what was signed for that purpose; None when it was not, or is over."""
    match = _SIGNED.fullmatch(text)
    if match is None or not hmac.compare_digest(match[3], _signature(key, purpose, match[1], match[2])):
        return None
    return match[2] if int(match[1]) > time.time() else None


def new_link_token(key: bytes) -> str:
    """Return a token that is good once, for two minutes."""
    return _signed(key, "link", LINK_SECONDS)


def proof_of(key: bytes, nonce: str, port: str) -> str:
    """Return what shows that whoever listens on that port has the key of the store, without showing the key."""
    return _signature(key, "proof", port, nonce)


class Signed(NamedTuple):
    """What a browser gets when it is signed in."""

    cookie: str
    key: str


class Access:
    """Decides of each request whether it is answered. Reads both secrets anew each time: a rotation counts at once."""

    def __init__(self, store: Path, token_file: Path) -> None:
        self._store = store
        self._token_file = token_file
        self._used: dict[str, float] = {}
        self._ended: dict[str, float] = {}

    # -- inside hermes-webui

    def _token(self) -> str | None:
        try:
            data = files.read(self._token_file, _LONGEST_FILE_BYTES)[0]
        except OSError:
            return None
        token = data.decode("ascii", "replace").strip()
        return token if _TOKEN.fullmatch(token) else None

    def _of_webui(self, presented: str) -> Refusal | None:
        token = self._token()
        if token is None:
            return NO_TOKEN
        is_right = hmac.compare_digest(presented.encode("utf-8", "replace"), token.encode())
        return None if is_right else WRONG_TOKEN

    # -- on its own

    def sign_in(self, token: str) -> Signed | None:
        """Return a cookie and its key for the token of a link; None when that is used, over or forged."""
        key = read_key(self._store)
        nonce = _nonce(key, "link", token) if key else None
        if key is None or nonce is None or nonce in self._used:
            return None
        now = time.time()
        self._used = {it: end for it, end in self._used.items() if end > now} | {nonce: now + LINK_SECONDS}
        cookie = _signed(key, "cookie", COOKIE_SECONDS)
        return Signed(cookie, _signature(key, "key", cookie))

    def proof(self, nonce: str, environ: Mapping[str, Any]) -> str:
        """Return the proof for a command that this is the page of its store; empty when there is no key."""
        key = read_key(self._store)
        return proof_of(key, nonce[:64], environ.get("SERVER_PORT", "")) if key else ""

    def sign_out(self, environ: Mapping[str, Any]) -> None:
        """End the session of a request's cookie, for as long as this process lasts."""
        now = time.time()
        self._ended = {it: end for it, end in self._ended.items() if end > now}
        self._ended[_cookie(environ)] = now + COOKIE_SECONDS

    def _of_own(self, environ: Mapping[str, Any]) -> Refusal | None:
        key, cookie = read_key(self._store), _cookie(environ)
        if key is None or _nonce(key, "cookie", cookie) is None or cookie in self._ended:
            return SIGNED_OUT
        if not _is_same_origin(environ):
            return FOREIGN
        if environ["PATH_INFO"].startswith("/api/") or environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            presented = environ.get(KEY_HEADER, "").encode("utf-8", "replace")
            if not hmac.compare_digest(presented, _signature(key, "key", cookie).encode()):
                return SIGNED_OUT
        return None

    # -- the one decision

    def of(self, environ: Mapping[str, Any]) -> Home | Refusal | None:
        """Return where a request comes from, or why it is refused; None for the only answer that is open to everybody.

        `/open` is refused by whoever answers it, unless its token is right.
        """
        if not _LOOPBACK.fullmatch(environ.get("HTTP_HOST", "")):
            return FOREIGN
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        if path == "/health" and method in ("GET", "HEAD"):
            return None
        if TOKEN_HEADER in environ:
            return self._of_webui(environ[TOKEN_HEADER]) or "webui"
        if path == "/open" and method == "GET":
            return "own"
        is_page = path == "/" or path.startswith("/assets/") or KEY_HEADER in environ or _cookie(environ)
        refusal = self._of_own(environ) if is_page else (WRONG_TOKEN if self._token() else NO_TOKEN)
        return refusal or "own"


def cookie_name(environ: Mapping[str, Any]) -> str:
    """Return the name of our cookie: browsers do not keep those of two ports of one address apart."""
    return f"hermesguard_page_{environ.get('SERVER_PORT', '')}"


def _cookie(environ: Mapping[str, Any]) -> str:
    try:
        found = SimpleCookie(environ.get("HTTP_COOKIE", "")).get(cookie_name(environ))
    except CookieError:
        return ""
    return found.value if found else ""


def _is_same_origin(environ: Mapping[str, Any]) -> bool:
    if environ.get("HTTP_SEC_FETCH_SITE", "same-origin") not in ("same-origin", "none"):
        return False
    origin = environ.get("HTTP_ORIGIN")
    if origin is None:
        return environ["REQUEST_METHOD"] in ("GET", "HEAD")
    parts = urlsplit(origin)
    return bool(parts.scheme == "http") and parts.netloc.lower() == environ["HTTP_HOST"].lower()


def token_file(sessions: Path, environment: Mapping[str, str]) -> Path:
    """Return where hermes-webui keeps the token of the extension: as its own contract says, else beside the sessions."""
    if override := environment.get("HERMES_EXT_SIDECAR_TOKEN_FILE"):
        return Path(override).expanduser()
    if state := environment.get("HERMES_WEBUI_STATE_DIR"):
        directory = Path(state).expanduser()
    elif home := environment.get("HERMES_HOME"):
        directory = Path(home).expanduser() / "webui"
    else:
        directory = sessions.parent
    return directory / "sidecar-auth" / f"{EXTENSION}.token"
