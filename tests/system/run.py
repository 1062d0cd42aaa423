"""`python3 run.py SUITE[:SCENARIO,...]...`: runs scenarios in their order, on the booted system, as root.

A suite is a module beside this one; its scenarios are its functions without a leading underscore, each with its meaning as
docstring. The exit code is 1 when one of them failed.
"""

import importlib
import inspect
import sys
import time
import traceback
from types import FunctionType

from machine import run, show


def scenarios(argument: str) -> list[FunctionType]:
    """Return the scenarios of a suite in their order, or those that are named."""
    name, _, chosen = argument.partition(":")
    suite = importlib.import_module(name)
    if chosen:
        return [getattr(suite, scenario) for scenario in chosen.split(",")]
    found = [
        thing
        for name, thing in vars(suite).items()
        if isinstance(thing, FunctionType) and thing.__module__ == suite.__name__ and not name.startswith("_")
    ]
    return sorted(found, key=lambda function: function.__code__.co_firstlineno)


def main() -> int:
    failed = []
    began = time.monotonic()
    for scenario in [scenario for argument in sys.argv[1:] for scenario in scenarios(argument)]:
        print("* " + " ".join((inspect.getdoc(scenario) or scenario.__name__).split()), flush=True)
        start = time.monotonic()
        verdict = "good"
        try:
            scenario()
        except Exception:  # noqa: BLE001 - the others are to be seen too
            verdict = "FAILED"
            failed.append(scenario.__name__)
            show(traceback.format_exc())
            lines = run("journalctl", "--no-pager", "--lines=15", "--output=short-precise", check=False)
            show("\n".join(line[:200] for line in lines.splitlines()))
        print(f"  {verdict} after {time.monotonic() - start:.2f} s", flush=True)
    print(f"{time.monotonic() - began:.1f} s in all; failed: {', '.join(failed) or 'none'}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
