"""The arguments of the verb `run`."""

import argparse
import sys

from hermesguard.config.options import OPTIONS
from hermesguard.config.renamed import RENAMED


def guard(parser: argparse.ArgumentParser) -> None:
    settings = parser.add_argument_group("settings", "each overrides its key in the configuration file")
    for option in OPTIONS:
        if option.key not in ("sessions", "store") and not option.key.startswith("page_"):
            settings.add_argument(
                option.flag,
                metavar="VALUE",
                default=argparse.SUPPRESS,
                help=(option.meaning + f" Default: {option.default}").replace("%", "%%"),
            )

    standby = parser.add_argument_group("one of several machines", "in a cluster of Kubernetes")
    standby.add_argument(
        "--lease",
        metavar="NAME",
        default="",
        help="guard only while this Lease (NAME or NAMESPACE/NAME) is held, and wait for it otherwise",
    )
    standby.add_argument(
        "--lease-duration",
        metavar="VALUE",
        default="15s",
        help="how long a machine that is not heard of keeps the Lease. Default: 15s",
    )
    for old, key in RENAMED.items():
        flag = f"--{old.replace('_', '-')}"
        settings.add_argument(
            flag, dest=key, action=_Renamed, default=argparse.SUPPRESS, help=argparse.SUPPRESS
        )


class _Renamed(argparse.Action):
    """A flag of before 0.2.0: taken, with a word about its new name."""

    def __call__(
        self, parser: object, namespace: argparse.Namespace, value: object, flag: str | None = None
    ) -> None:
        now = f"--{self.dest.replace('_', '-')}"
        print(f"hermesguard: {flag} is {now} now; the old name will go.", file=sys.stderr)
        setattr(namespace, self.dest, value)
