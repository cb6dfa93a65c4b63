"""Follows one service in Consul and tells when the set of instances to use has changed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import NoReturn

from chassis import logs
from discovery.agent import Agent, ConsulAway, Instance
from discovery.blocking import WAIT_SECONDS, follow
from discovery.members import Members

log = logs.get("discovery")


class ServiceWatcher:
    """The instances of one service. Consul away: the last good set stays as it is, for ever."""

    def __init__(
        self,
        agent: Agent,
        service: str,
        changed: Callable[[Sequence[Instance]], None],
        *,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self.service = service
        self.members = Members()
        self._agent = agent
        self._changed = changed
        self._clock = clock or asyncio.get_running_loop().time
        self._reachable = True
        self._told: tuple[Instance, ...] = ()
        self._all_critical = False

    async def run(self) -> NoReturn:
        """Watches until cancelled; `changed` is called with every new set, never with an empty one."""

        async def ask(index: int, wait: float) -> tuple[int, list[tuple[Instance, bool]]]:
            return await self._agent.instances(self.service, index, wait)

        await follow(ask, self)

    def answered(self, value: list[tuple[Instance, bool]], *, after_break: bool) -> None:
        """Takes an answer of Consul in."""
        if not self._reachable:
            log.info("consul_reachable", watching=self.service)
        self._reachable = True
        self.members.answered(value, self._clock(), after_break=after_break)
        good = self.members.good
        self._note_critical(all_critical=bool(good) and not self.members.passing)
        if good != self._told:
            log.info("instances_changed", of=self.service, instances=[i.name for i in good])
            self._told = good
            self._changed(good)

    def problem(self) -> str | None:
        """For readiness: None unless Consul says that no instance passes its checks."""
        if not self._all_critical:
            return None
        return f"no instance of {self.service} passes its check; those known last are used"

    def away(self, error: ConsulAway) -> None:
        """Keeps what is known."""
        if self._reachable:
            log.warning("consul_away", watching=self.service, why=str(error))
        self._reachable = False

    def wait_seconds(self) -> float:
        """Until something held must be decided, at most WAIT_SECONDS."""
        expiry = self.members.next_expiry()
        if expiry is None:
            return WAIT_SECONDS
        return min(WAIT_SECONDS, max(0.1, expiry - self._clock()))

    def _note_critical(self, *, all_critical: bool) -> None:
        if all_critical != self._all_critical:
            (log.warning if all_critical else log.info)(
                "instances_critical", of=self.service, all_of_them=all_critical
            )
        self._all_critical = all_critical
