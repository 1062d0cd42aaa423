"""`hermesguard COMMAND ...`: finds the command, imports what it needs, turns any outcome into a sentence and an exit code."""

import contextlib
import os
import sys
from collections.abc import Sequence
from io import TextIOWrapper

from hermesguard.errors import ExitCode, GuardError

_ENDED_BY_INTERRUPT = 130
_ENDED_BY_PIPE = 141


def main(argv: Sequence[str] | None = None) -> int:
    """Run the verb in `argv` (default: the process's arguments) and return its exit code; never raises an Exception.

    HERMESGUARD_DEBUG=1 in the environment shows the traceback of an unexpected error.
    """
    try:
        return _spoken(argv)
    except KeyboardInterrupt:
        _give_up_stdout()
        return _ENDED_BY_INTERRUPT


def _spoken(argv: Sequence[str] | None) -> int:
    """Run the verb; return its exit code, an error said in a sentence. Lets KeyboardInterrupt through."""
    try:
        _take_any_text()
        code = _dispatch(argv)
        sys.stdout.flush()
        return code
    except GuardError as error:
        from hermesguard.lookup import typed

        _say(str(GuardError(error.what, typed.as_typed(error.remedy))))
        if os.getpid() == 1 and "run" in (sys.argv[1:] if argv is None else argv):
            from hermesguard.cli.commands.service.run import wait_before_a_restart

            wait_before_a_restart(error.exit_code)
        return error.exit_code
    except BrokenPipeError:
        _give_up_stdout()  # the reader has what it wanted
        return _ENDED_BY_PIPE
    except OSError as error:
        _debug()
        place = f"{error.filename}: " if error.filename else ""
        _say(f"{place}{error.strerror or error}.{_way_in(error)}")
        _give_up_stdout()
        return ExitCode.FAILED
    except MemoryError:
        _debug()
        _say(
            "there is not enough memory for that. Type it where more may be used, or about one session alone."
        )
        return ExitCode.FAILED
    except ModuleNotFoundError as error:
        _debug()
        _say(
            f"the Python module {error.name} is missing, the installation is not whole. Install hermesguard again."
        )
        return ExitCode.FAILED
    except Exception as error:  # noqa: BLE001 - a user is to see a sentence, whatever happened
        _debug()
        _say(
            f"this should not have happened: {type(error).__name__}: {error}. Please report it, with what the same "
            "command prints when HERMESGUARD_DEBUG=1 stands before it."
        )
        return ExitCode.FAILED


def _way_in(error: OSError) -> str:
    """Return a sentence about who may do what this user may not; empty when there is none to say."""
    if not isinstance(error, PermissionError) or not isinstance(error.filename, str):
        return ""
    from pathlib import Path

    from hermesguard.lookup import typed

    path = Path(error.filename)
    owner = next((uid for one in (path, *path.parents) if (uid := typed.owner_of(one)) is not None), None)
    if owner is None or owner == os.geteuid():
        return ""
    return f" Type the same with {typed.as_user(owner)} before it."


def _dispatch(argv: Sequence[str] | None) -> int:
    # Imported here so that an interrupt during the imports is caught above.
    from importlib import import_module

    from hermesguard.cli import parser
    from hermesguard.cli.verbs import VERBS

    first = next(iter(sys.argv[1:] if argv is None else argv), "")
    grammar = parser.build(only=first if any(verb.name == first for verb in VERBS) else None)
    try:
        arguments = grammar.parse_args(argv)
    except SystemExit as stop:
        return int(stop.code or 0)
    if arguments.verb is None:
        grammar.print_help()
        return ExitCode.USAGE
    verb = next(verb for verb in VERBS if verb.name == arguments.verb)
    settings = None
    if verb.reads_settings:
        from hermesguard.config import settings as config
        from hermesguard.lookup import guards, typed

        flags = {key: value for key, value in vars(arguments).items() if key in config.FLAGS}
        if flags.get("store"):
            flags["store"] = guards.store_named(flags["store"])
        profile = getattr(arguments, "profile", "") or guards.profile_named(flags.get("sessions"), verb.name)
        if profile:
            flags["sessions"] = None
        settings = config.load(flags, os.environ)
        if profile:
            settings = guards.of_profile(settings, profile, verb.name)
        typed.know(one.name for one in VERBS)
        settings = guards.with_its_store(settings, verb.name, sys.argv[1:] if argv is None else argv)
    module, function = verb.run.split(":")
    return int(getattr(import_module(module), function)(arguments, settings))


def _take_any_text() -> None:
    """Let stdout take every text, what its encoding lacks written out; and let both streams be there, if only to nowhere."""
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115 - they last as long as the process
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def _say(sentence: str) -> None:
    from hermesguard.cli.output.complaint import complain

    complain(f"hermesguard: {sentence}")


def _give_up_stdout() -> None:
    """Let what stdout still holds go nowhere, for the interpreter would complain about it as it ends."""
    with contextlib.suppress(OSError, ValueError):
        try:
            sys.stdout.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _debug() -> None:
    if os.environ.get("HERMESGUARD_DEBUG"):
        import traceback

        traceback.print_exc()
