"""What goes wrong, as sentences on the standard error."""

import contextlib
import sys

from hermesguard.events.event import plain


def complain(sentences: str) -> None:
    """Print sentences for who types: on a terminal in lines that fit it, commands unbroken; elsewhere as they are."""
    safe = "\n".join(map(plain, sentences.splitlines()))
    with contextlib.suppress(OSError):  # when nobody listens, the exit code still speaks
        print(_fitted(safe) if sys.stderr.isatty() else safe, file=sys.stderr, flush=True)


def _fitted(text: str) -> str:
    # In an installation that is not whole, and without memory, it is said all the same.
    with contextlib.suppress(ImportError, MemoryError):
        from hermesguard.cli.output import terminal, transcript

        return "\n".join(transcript.wrapped(terminal.of(sys.stderr), text, ""))
    return text
