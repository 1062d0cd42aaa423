"""The arguments of the verb `offsite`."""

import argparse
from typing import Final

from hermesguard.cli.arguments import Completes, completing, json_flag

OFFSITE_ACTIONS: Final = ("run", "status", "verify", "restore", "accept")


def _absorb_names(known: argparse.Namespace, others: list[str]) -> list[str]:
    """Take words that stand behind a flag, which argparse leaves over; return what is still strange."""
    words = [word for word in others if not word.startswith("-")]
    if words and known.action == "run" and not known.names and words[0] in OFFSITE_ACTIONS:
        known.action = words.pop(0)
    known.names = [*known.names, *words]
    return [word for word in others if word.startswith("-")]


def offsite(parser: argparse.ArgumentParser) -> None:
    parser.absorb = _absorb_names  # type: ignore[attr-defined]
    parser.add_argument(
        "action",
        nargs="?",
        choices=OFFSITE_ACTIONS,
        default="run",
        help="copy until stopped (run, the default), say how the copies stand, read some back and compare, restore, or let go "
        "of what vanished from the store without a reason (accept)",
    )
    parser.add_argument(
        "names",
        nargs="*",
        metavar="[SID...] DIR",
        help="restore: ids of sessions, or their beginnings (default: all), then an empty directory",
    )
    completing(
        parser.add_argument("--identity", metavar="FILE", help="restore, verify: the private key of age"),
        Completes.FILE,
    )
    parser.add_argument(
        "--at", metavar="TIME", help="restore: as it was then, such as 2026-11-22T10:00, 10:30 or 2h (ago)"
    )
    parser.add_argument(
        "--from", dest="folder", metavar="FOLDER", help="restore, verify: copies of that machine"
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--once", action="store_true", help="run: copy what there is, and end")
    form.add_argument("--all", action="store_true", help="verify: every object, not only ten")
    places = parser.add_argument_group(
        "storage", "each overrides its key below [offsite] in the configuration file"
    )
    places.add_argument("--url", metavar="URL", help="s3://BUCKET/PREFIX or file:///DIRECTORY")
    places.add_argument("--endpoint", metavar="URL", help="address of the S3 storage")
    places.add_argument("--region", metavar="NAME", help="its region")
    completing(
        places.add_argument("--credentials", metavar="FILE", help="file with the key of the storage"),
        Completes.FILE,
    )
    json_flag(parser)
