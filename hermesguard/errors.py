"""Errors that people read: what is wrong, what to do next, and the exit code that scripts test."""

from collections.abc import Iterable
from enum import IntEnum


class ExitCode(IntEnum):
    """The exit codes of every command; 128+n means ended by signal n."""

    OK = 0
    FAILED = 1
    USAGE = 2
    PROBLEM = 4
    NO_STORE = 10
    LOCKED = 11
    CONFIG = 12
    NOT_FOUND = 13
    REFUSED = 14


class GuardError(Exception):
    """Something that a user must know of: `what` is wrong, and the `remedy` that repairs it.

    The command line prints both as sentences and leaves with `exit_code`; nobody ever sees a traceback for it.
    """

    def __init__(self, what: str, remedy: str = "", exit_code: ExitCode = ExitCode.FAILED) -> None:
        super().__init__(f"{what}. {remedy}." if remedy else f"{what}.")
        self.what = what
        self.remedy = remedy
        self.exit_code = exit_code


def nearest_of(word: str, known: Iterable[str], otherwise: str) -> str:
    """Return the remedy for a word that is none of those that are known: the nearest one, or `otherwise`."""
    from difflib import get_close_matches  # only a mistake needs it

    nearest = get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f"The nearest is {nearest[0]}" if nearest else otherwise
