"""Which instances of a service to use, given what Consul says and does not say. No I/O, no clock.

Gone from Consul is not gone: an agent that restarts shows its services as critical, or not at all,
for seconds while every one of them runs. So the set is never emptied, an entry that vanished is held
for a while, and after a break in what Consul says its bad news is not believed at once either.
Whether an instance really serves is seen by gRPC's own health checking on the connection.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from discovery.agent import Instance

HOLD_SECONDS: Final = 10.0
"""As long as every process needs at most to register again with a Consul that came back empty."""


class Members:
    """The last good set of one service's instances."""

    def __init__(self) -> None:
        self._good: dict[str, Instance] = {}
        self._passing: frozenset[str] = frozenset()
        self._missing_since: dict[str, float] = {}
        self._drop_at: dict[str, float] = {}
        self._distrust_until = float("-inf")

    @property
    def good(self) -> tuple[Instance, ...]:
        """The instances to keep connections to, sorted; empty only before the first was ever seen."""
        return tuple(sorted(self._good.values()))

    @property
    def preferred(self) -> tuple[Instance, ...]:
        """The instances that passed in the last answer; all good ones when none did."""
        passing = tuple(instance for instance in self.good if instance.name in self._passing)
        return passing or self.good

    @property
    def passing(self) -> int:
        """How many passed in the last answer."""
        return len(self._passing)

    def answered(self, found: Iterable[tuple[Instance, bool]], now: float, *, after_break: bool) -> None:
        """Takes an answer in: `(instance, whether its checks pass)` of all that are registered."""
        if after_break:
            self._distrust_until = now + HOLD_SECONDS
            self._missing_since.clear()
        known = {instance.name: (instance, passes) for instance, passes in found}
        fresh = {name: instance for name, (instance, passes) in known.items() if passes}
        self._good.update(fresh)
        self._passing = frozenset(fresh)
        self._drop_at.clear()
        for name in self._good.keys() - fresh.keys():
            since = self._missing_since.setdefault(name, now)
            self._drop_at[name] = self._held_until(since, critical=name in known)
        self._missing_since = {name: self._missing_since[name] for name in self._drop_at}
        self._expire(now)

    def next_expiry(self) -> float | None:
        """When an instance that is held would be dropped; None when none will be."""
        return min(self._drop_at.values(), default=None) if self._passing else None

    def _held_until(self, since: float, *, critical: bool) -> float:
        # A failing check is evidence (a frozen process); absence is not. After a break neither is.
        return max(since if critical else since + HOLD_SECONDS, self._distrust_until)

    def _expire(self, now: float) -> None:
        if not self._passing:
            return
        for name in [name for name, at in self._drop_at.items() if at <= now]:
            del self._good[name], self._drop_at[name], self._missing_since[name]
