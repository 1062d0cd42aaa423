"""How long a fuzzer works: fixed seeds for a part of a minute, or fresh ones for HERMESGUARD_FUZZ_SECONDS."""

import os
import random
import time
from collections.abc import Iterator

SEEDS = 120
"""So many rounds each fuzzer plays when nobody asks for more: the same ones each time."""


def rounds(kind: str, count: int = SEEDS) -> Iterator[random.Random]:
    """Yield a source of randomness for each round; its seed is printed when the round fails (pytest shows what was printed)."""
    seconds = float(os.environ.get("HERMESGUARD_FUZZ_SECONDS") or 0)
    until = time.monotonic() + seconds
    first = random.SystemRandom().randrange(2**32) if seconds else 0
    number = 0
    while (time.monotonic() < until) if seconds else (number < count):
        seed = f"{kind}-{first + number}"
        print("seed", seed)
        yield random.Random(seed)
        number += 1
