"""Looks after waiting entries: asks message about those whose hint does not come, gives up on the late."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from chassis import logs
from chassis.errors import Failure
from services.chat.ports import Messages
from services.chat.use_cases.pending import SWEEP_SECONDS, Pending

log = logs.get("chat")


class Sweeper:
    """A round every 250 ms; message is asked beside it, so that a slow answer delays nobody's 5 s."""

    def __init__(
        self,
        pending: Pending,
        messages: Messages,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._pending = pending
        self._messages = messages
        self._sleep = sleep

    async def run(self) -> None:
        """Sweeps until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            asking: asyncio.Task[None] | None = None
            while True:
                await self._sleep(SWEEP_SECONDS)
                self._pending.expire()
                if asking is None or asking.done():
                    asking = tasks.create_task(self.ask())

    async def ask(self) -> None:
        """Asks once about all that are due."""
        keys = self._pending.to_ask()
        if not keys:
            return
        try:
            outcomes = await self._messages.lookup(keys)
        except Failure as failure:
            log.warning("lookup_failed", keys=len(keys), reason=failure.reason)
            return
        for outcome in outcomes:
            self._pending.resolve(outcome)
