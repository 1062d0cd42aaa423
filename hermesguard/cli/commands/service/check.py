"""What `config check` tries of [notify] and [offsite]: addresses, rights, and with the network what can be reached."""

import os
import socket
import tempfile
import urllib.parse
from pathlib import Path
from typing import Any, NamedTuple

from hermesguard.config.settings import Settings
from hermesguard.errors import ExitCode, GuardError
from hermesguard.notify import deliver
from hermesguard.notify import settings as notify_settings
from hermesguard.notify import state as states
from hermesguard.notify.settings import NotifySettings
from hermesguard.notify.sources import Identity, journal_knows
from hermesguard.offsite import access, process
from hermesguard.offsite import settings as offsite_settings
from hermesguard.offsite.bucket import Bucket, BucketError

_CONNECT_SECONDS = 10.0
_PROBE = "hermesguard-check/probe"
"""In no folder of a machine, so that it is no copy of anything."""


class Finding(NamedTuple):
    """Something that is wrong (`exit_code` says how), or perhaps not meant (0)."""

    what: str
    remedy: str
    exit_code: ExitCode


def of_notify(settings: Settings, with_network: bool) -> list[Finding]:
    """Return what is wrong with [notify]. Raises GuardError (exit code 12) for an invalid value."""
    options = notify_settings.load(settings)
    if options.is_idle:
        return []
    found = [*_addresses(options, with_network), *_rights(settings, options)]
    if options.addresses and not options.events:
        found.append(
            Finding(
                "notify.events is empty, so nothing would ever be told",
                'Write events = ["urgent"], or leave it away',
                ExitCode.OK,
            )
        )
    if with_network and options.ping_url:
        parts = urllib.parse.urlsplit(options.ping_url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        found += _reached("ping_url", parts.hostname or "", port)
    return found


def of_offsite(settings: Settings, with_network: bool) -> list[Finding]:
    """Return what is wrong with [offsite]. Raises GuardError (exit code 12) for an invalid value."""
    options = offsite_settings.load(settings)
    if not options.url:
        return []
    try:
        access.recipients(options.recipients)
        bucket = process.bucket_of(options, dict(os.environ))
    except GuardError as error:
        return [Finding(error.what, error.remedy, error.exit_code)]
    return _tried(bucket, is_to_remove=options.lifetime_seconds is None) if with_network else []


def _tried(bucket: Bucket, is_to_remove: bool) -> list[Finding]:
    """Do what the copies will do, with one small object; return the first thing that the storage refuses."""
    step = "offsite.url cannot be listed"
    try:
        next(bucket.names(_PROBE.partition("/")[0]), None)
        step = "the key of offsite may list the storage, but not write into it"
        with tempfile.NamedTemporaryFile(prefix="hermesguard-") as file:
            file.write(b"Written by hermesguard config check.\n")
            file.flush()
            bucket.put(_PROBE, Path(file.name))
        if is_to_remove:
            step = "the key of offsite may write into the storage, but not remove anything"
            bucket.remove([_PROBE])
            if any(one.name == _PROBE for one in bucket.names(_PROBE.partition("/")[0])):
                raise BucketError("it was removed, and is still there", is_refusal=True)
    except OSError as error:
        remedy = "Look at the address, the bucket, the key and what it may do"
        if "remove" in step:
            remedy = "Allow it, or set offsite.lifetime where the storage itself removes what is old: see docs/offsite.md"
        return [Finding(f"{step}: {error}", remedy, ExitCode.PROBLEM)]
    return []


def _addresses(options: NotifySettings, with_network: bool) -> list[Finding]:
    if not options.addresses:
        return []
    if not deliver.has_apprise():
        return [
            Finding("Apprise is not installed, which sends the messages", deliver.INSTALL, ExitCode.CONFIG)
        ]
    found = []
    for address in options.addresses:
        service = deliver.instance(address.url)
        if service is None:
            found.append(
                Finding(
                    f"{address.name} is no address that Apprise knows, or lacks a part",
                    "Compare it with those in docs/notify.md; `apprise --details` lists what each service wants",
                    ExitCode.CONFIG,
                )
            )
        elif with_network and (place := _place(service)):
            found += _reached(address.name, *place)
    return found


def _place(service: Any) -> tuple[str, int] | None:
    """Return (host, port) that a service will speak to; None when Apprise does not tell."""
    if host := getattr(service, "smtp_host", None):
        return str(host), int(service.port or 25)
    url = None
    if getattr(service, "mode", None) == "cloud":
        url = getattr(service, "cloud_notify_url", None)
    elif "host" in getattr(service, "template_tokens", {}) and service.host:
        return str(service.host), int(service.port or (443 if service.secure else 80))
    url = url or getattr(service, "notify_url", None) or getattr(service, "api_url", None)
    host = urllib.parse.urlsplit(str(url)).hostname if url else None
    return (host, 443) if host else None


def _reached(name: str, host: str, port: int) -> list[Finding]:
    try:
        socket.create_connection((host, port), timeout=_CONNECT_SECONDS).close()
    except (OSError, UnicodeError, OverflowError) as error:
        why = getattr(error, "strerror", "") or str(error) or "no answer"
        return [
            Finding(
                f"{name} cannot be reached now: {why}",
                "Look at the address and the network",
                ExitCode.PROBLEM,
            )
        ]
    return []


def _rights(settings: Settings, options: NotifySettings) -> list[Finding]:
    found = []
    directory = states.directory_of(settings.store)
    place = directory if directory.is_dir() else directory.parent
    if place.is_dir() and not os.access(place, os.W_OK | os.X_OK):
        found.append(
            Finding(
                f"this user may not write into {place}, where notify keeps what it has sent",
                "Check it as the user of the service, which systemd gives that directory",
                ExitCode.OK,
            )
        )
    if options.source == "journal" and not journal_knows(Identity.of(settings.store, options.unit)):
        found.append(
            Finding(
                f"the journal has nothing of {options.unit or 'the guard'} that this user may read",
                "Start the guard once; the user of notify must be in the group systemd-journal, as in the packaged units",
                ExitCode.OK,
            )
        )
    return found
