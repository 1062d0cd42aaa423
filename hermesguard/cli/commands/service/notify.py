"""`notify`: tell people."""

import argparse
import os
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from hermesguard.cli.output import terminal as screen
from hermesguard.config.settings import Settings
from hermesguard.errors import ExitCode, GuardError
from hermesguard.lookup.typed import owner_of
from hermesguard.notify import deliver, life, ping
from hermesguard.notify import settings as notify_settings
from hermesguard.notify.digest import Message
from hermesguard.notify.notifier import Notifier, Surroundings
from hermesguard.notify.settings import NotifySettings
from hermesguard.store.place import user_name


def notify(arguments: argparse.Namespace, settings: Settings) -> int:
    """Tell until stopped, or send a test."""
    options = notify_settings.load(settings)
    if options.is_idle:
        raise GuardError(
            "Nobody is named who could be told",
            "Name an address in the configuration, notify.urls or notify.urls_file, or a notify.ping_url: see docs/notify.md",
            ExitCode.CONFIG,
        )
    if options.addresses and not deliver.has_apprise():
        raise GuardError(
            "Apprise is not installed, which sends the messages", deliver.INSTALL, ExitCode.CONFIG
        )
    here = screen.of()
    if arguments.test:
        return _test(here, options, settings)
    _require_owner(settings.store)

    def say(line: str) -> None:
        print(here.safe(line), file=sys.stderr, flush=True)

    return life.run(Notifier(settings, options, Surroundings(say=say)), arguments.once)


def _require_owner(store: Path) -> None:
    """Raise GuardError when the store is another user's, who could not read what this one leaves beside it."""
    owner = owner_of(store)
    if owner is not None and owner != os.geteuid():
        raise GuardError(
            f"The store {store} belongs to {user_name(owner)}",
            f"Run it as that user: sudo -u {user_name(owner)} hermesguard notify",
            ExitCode.REFUSED,
        )


def _test(here: screen.Screen, options: NotifySettings, settings: Settings) -> int:
    """Send a test message to each address, and ping, if the guard gives reason to; say what became of it."""
    failed = 0
    message = Message(
        0,
        f"hermesguard on {Surroundings().host}: a test",
        "This is a test. Alerts of hermesguard will come here: what they mean and what to do stands in each.",
        "info",
    )
    # Not where the running notifier has its state: this may be another user.
    with tempfile.TemporaryDirectory(prefix="hermesguard-") as directory:
        for address in options.addresses:
            error = deliver.Delivery(Path(directory), address, message).wait()
            failed += bool(error)
            here.write(here.safe(f"{address.name}: {error or 'the test message was taken'}"))
    if options.ping_url:
        proof = ping.prove(settings.store, datetime.now(UTC))
        if proof.reason:
            error = f"not visited, for the guard proves nothing: {proof.reason}"
        else:
            error = ping.visit(options.ping_url, options.ping_style, ping.Signal("success"))
        failed += bool(error)
        here.write(here.safe(f"ping_url: {error or 'visited'}"))
    return ExitCode.FAILED if failed else ExitCode.OK
