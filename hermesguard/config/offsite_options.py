"""The table [offsite]: where encrypted copies of the store go, for whom, and how often."""

import re
import shlex
from typing import Final

from hermesguard.config.addresses import is_web_address
from hermesguard.config.options import FILE, Kind, Option, Place, duration, number

_SEGMENT: Final = r"/(?!\.{1,2}(/|$))[^\x00-\x20\x7f-\U0010ffff/?#]+"
_URL: Final = re.compile(rf"s3://[a-z0-9][a-z0-9._-]{{1,254}}({_SEGMENT})*/?|file:///[^\0\n]+")


def _parse_url(raw: object, place: Place) -> str:
    if raw == "off":
        return ""
    if not isinstance(raw, str) or not _URL.fullmatch(raw):
        raise ValueError
    return raw.rstrip("/")


def _parse_endpoint(raw: object, place: Place) -> str:
    if raw == "off":
        return ""
    if not is_web_address(raw, with_user=False) or set(str(raw)) & set("?#"):
        raise ValueError
    return str(raw).rstrip("/")


def _parse_recipients(raw: object, place: Place) -> tuple[str, ...]:
    words = shlex.split(raw) if isinstance(raw, str) and place.source != "file" else raw
    if not isinstance(words, list) or not all(isinstance(word, str) and word.strip() for word in words):
        raise TypeError
    return tuple(word.strip() for word in words)


def _shown(recipient: str) -> str:
    """Return a recipient as it may be shown: a private key, which must not stand there, may not."""
    return "a private key" if "SECRET" in recipient.upper() or "PRIVATE" in recipient.upper() else recipient


def _parse_lifetime(raw: object, place: Place) -> float | None:
    if raw == "off":
        return None
    seconds = _LIFETIME.parse(raw, place)
    assert isinstance(seconds, float)
    return seconds


def _parse_word(raw: object, place: Place) -> str:
    if not isinstance(raw, str) or not re.fullmatch(r"[A-Za-z0-9-]{1,64}", raw):
        raise ValueError
    return raw


_LIFETIME: Final = duration(at_least="2d")

OFFSITE: Final[tuple[Option, ...]] = (
    Option(
        "offsite.url",
        "url",
        Kind(
            '"s3://BUCKET/PREFIX", "file:///DIRECTORY" or "off"', _parse_url, lambda url: f'"{url or "off"}"'
        ),
        '"off"',
        '"s3://my-bucket/hermesguard"',
        "Where `hermesguard offsite` copies the store to: any S3 storage, or a directory, such as a disk that is mounted there.",
    ),
    Option(
        "offsite.recipients",
        "recipients",
        Kind(
            "a list of public keys of age, or of ssh-ed25519 keys",
            _parse_recipients,
            lambda words: "[" + ", ".join(f'"{_shown(word)}"' for word in words) + "]",
        ),
        "[]",
        '["age1ql3z7hjy54pw3..."]',
        "Who can read the copies. The private keys must never be on this machine.",
    ),
    Option(
        "offsite.endpoint",
        "endpoint",
        Kind(
            'an address that begins with https:// (or http://), or "off"',
            _parse_endpoint,
            lambda url: f'"{url or "off"}"',
        ),
        '"off"',
        '"https://s3.eu-central-003.backblazeb2.com"',
        "Address of the S3 storage. Off: that of Amazon, by the region.",
    ),
    Option(
        "offsite.region",
        "region",
        Kind("the name of a region", _parse_word, lambda word: f'"{word}"'),
        '"us-east-1"',
        '"eu-central-1"',
        "Region of the S3 storage.",
    ),
    Option(
        "offsite.credentials",
        "credentials",
        FILE,
        '"off"',
        '"/etc/hermesguard/offsite.credentials"',
        "File with aws_access_key_id and aws_secret_access_key, which only the user of `hermesguard offsite` may read. Off: the "
        "credential offsite of its unit (LoadCredential=), else AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in its environment.",
    ),
    Option(
        "offsite.interval",
        "interval_seconds",
        duration(at_least="1s"),
        '"30s"',
        '"5m"',
        "How long changes are gathered before they are copied, while there are requests enough.",
    ),
    Option(
        "offsite.requests_per_day",
        "requests_per_day",
        number(48, 10_000_000),
        "2000",
        "500",
        "How many requests any 24 hours may have, of every kind. When half of them are used, the copies are made less often "
        "and become larger.",
    ),
    Option(
        "offsite.lifetime",
        "lifetime_seconds",
        Kind(
            _LIFETIME.allowed + ' or "off"',
            _parse_lifetime,
            lambda seconds: '"off"' if seconds is None else _LIFETIME.write(seconds),
        ),
        '"off"',
        '"60d"',
        "For a storage that removes objects by itself at this age, and a key that cannot remove any: what is still needed is "
        "copied anew at half of it, and `hermesguard offsite` removes nothing. Off: it removes what is not needed.",
    ),
)
