"""Every hour: is what the storage should have still there, and what need not be there gone?"""

from typing import Final

from hermesguard.clock import Clock
from hermesguard.offsite import batch
from hermesguard.offsite.bucket import Bucket, BucketError
from hermesguard.offsite.settings import OffsiteSettings
from hermesguard.offsite.state import Object, State
from hermesguard.offsite.upload import retention

_SETTLED_NS: Final = 60 * 1_000_000_000


class Upkeep:
    """Of one store and one storage."""

    def __init__(self, options: OffsiteSettings, state: State, bucket: Bucket, clock: Clock) -> None:
        self._options = options
        self._state = state
        self._bucket = bucket
        self._clock = clock

    def run(self, machine: str) -> set[str]:
        """Compare, remove what goes, and return the files that are to be copied anew. Raises OSError."""
        now_ns = int(self._clock.now().timestamp() * 1e9)
        listed = {one.name: one.size_bytes for one in self._bucket.names(machine)}
        self._forget_missing(listed, now_ns)
        rules = retention.Rules(
            self._options.keep_deleted_seconds,
            self._options.keep_history_seconds,
            self._options.lifetime_seconds,
        )
        stored = self._state.objects("stored")
        planned = retention.plan(stored, self._state.entries(), rules, now_ns)
        self._state.set_stage(planned.remove, "leaving")
        strangers = self._strangers(listed)
        self._state.note(
            strangers=len(strangers), listed=len(listed), listed_bytes=sum(listed.values()), listed_ns=now_ns
        )
        if self._options.lifetime_seconds is None:
            self._remove(listed, strangers)
        else:
            gone = [one for one in self._state.objects("leaving") if one.name not in listed]
            self._state.forget(gone)
        return planned.renew

    def _forget_missing(self, listed: dict[str, int], now_ns: int) -> None:
        """Forget what another took away, or what came out short: the next look copies what it held once more."""
        missing = [
            one
            for one in self._state.objects("stored")
            if listed.get(one.name) != one.size_bytes and abs(now_ns - one.created_ns) > _SETTLED_NS
        ]
        if missing:
            short = [one for one in missing if one.name in listed]
            self._state.forget([one for one in missing if one.name not in listed])
            self._state.set_stage(short, "leaving")
            self._state.note(missing=len(missing), missing_ns=now_ns)

    def _strangers(self, listed: dict[str, int]) -> list[str]:
        """Return the objects in this machine's folder that nothing is known of."""
        known = {one.name for one in self._state.objects()}
        return [name for name in listed if name not in known and batch.time_of(name)]

    def _remove(self, listed: dict[str, int], strangers: list[str]) -> None:
        leaving = self._state.objects("leaving")
        names = [one.name for one in leaving if one.name in listed]
        facts = self._state.facts()
        if facts.get("waiting") == "0" and self._may_go(facts):
            # All is copied, and what was lost with an earlier state of this machine would have been missed by now.
            began_ns = int(facts.get("began_ns", "0"))
            names += [name for name in strangers if self._is_before(name, began_ns)]
        self._state.note(left_behind=len(names))
        if names:
            self._bucket.remove(names)
            left = {one.name for one in self._bucket.names(names[0].partition("/")[0])} & set(names)
            self._state.note(left_behind=len(left))
            if left:
                self._forget(leaving, left)
                raise BucketError(
                    f"the storage still has {len(left)} objects that were removed", is_refusal=True
                )
        if facts.get("let_go") == "1":
            self._state.note(let_go=0)
        self._forget(leaving, set())

    def _forget(self, leaving: list[Object], left: set[str]) -> None:
        self._state.forget([one for one in leaving if one.name not in left])

    def _may_go(self, facts: dict[str, str]) -> bool:
        """Return whether what an earlier state made may be removed: it may be all that is left of a store that was lost."""
        since = (self._clock.now().timestamp() * 1e9 - int(facts.get("began_ns", "0"))) / 1e9
        return facts.get("let_go") == "1" or since >= retention.earlier_seconds(self._options)

    def _is_before(self, name: str, began_ns: int) -> bool:
        time = batch.time_of(name)
        return time is not None and time.timestamp() * 1e9 < began_ns
