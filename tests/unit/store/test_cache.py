"""The copies in memory: bounded, and counted without counting them again."""

import json
import random

from hermesguard.store.cache import IDLE_SECONDS, Cache, Copy
from hermesguard.webui.session import parse


def copy(size_bytes: int, stream: str | None = None) -> Copy:
    text = json.dumps(
        {"session_id": "x", "active_stream_id": stream, "messages": [], "note": "n" * size_bytes}
    )
    return Copy(text.encode(), parse(text.encode()))


def test_the_size_is_that_of_the_cached_copies_and_within_the_bound() -> None:
    draw = random.Random(1)
    cache = Cache(limit_bytes=100_000)
    names: set[str] = set()
    for now in range(500):
        name = f"s{draw.randrange(40)}"
        if draw.random() < 0.2:
            cache.forget(name)
        elif draw.random() < 0.05:
            cache.forget_idle(now + IDLE_SECONDS - 3)
        else:
            names.add(name)
            cache.put(name, copy(draw.randrange(3000), draw.choice([None, "stream"])), now)
        copies = [found for name in names if (found := cache.get(name, now))]
        assert cache.size_bytes == sum(found.lighten() for found in copies)
        assert cache.size_bytes <= 100_000
    assert len(copies) > 3


def test_one_copy_is_held_however_large_it_is() -> None:
    cache = Cache(limit_bytes=10)
    cache.put("a", copy(100), 0)
    cache.put("b", copy(200), 1)
    assert cache.get("a", 2) is None
    assert cache.get("b", 2)
