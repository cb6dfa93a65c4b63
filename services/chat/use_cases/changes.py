"""Seeing a change of a room through: from its transaction to its place in the room's log."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from chassis.errors import Failure, OutcomeUnknown
from services.chat.errors import rejection
from services.chat.ports import Changed, Clock, Disposition, Messages, Origin, Outcome, Relay
from services.chat.use_cases.members import MemberCache
from services.chat.use_cases.pending import GIVE_UP_SECONDS, Pending

POLL_SECONDS = (0.02, 0.25)
"""Between two looks at the log, first and at most."""


class Changes:
    """Answers a caller only when message has committed what they did, so that they may send at once."""

    def __init__(
        self,
        *,
        instance: str,
        new_request_key: Callable[[], bytes],
        pending: Pending,
        relay: Relay,
        messages: Messages,
        members: MemberCache,
        clock: Clock,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._pending = pending
        self._relay = relay
        self._messages = messages
        self._members = members
        self._clock = clock
        self._sleep = sleep
        self.origin = Origin(instance, pending.next_correlation, new_request_key)
        """For the store: who writes."""

    async def see_through(self, changed: Changed, user_ids: Sequence[int], *, members: bool) -> None:
        """Returns when every event of the change is committed. A repeat has none: its first call may not be
        through yet, so it returns when the log shows these users in the room, or out of it.

        Raises OutcomeUnknown after 5 s: the change stands and its events follow.
        """
        if changed.entries:
            await self._settle(changed)
        else:
            await self._wait_until_shown(changed.room.room_id, user_ids, members)

    async def _settle(self, changed: Changed) -> None:
        loop = asyncio.get_running_loop()
        outcomes: list[asyncio.Future[Outcome | Failure]] = []
        for row in changed.entries:
            future: asyncio.Future[Outcome | Failure] = loop.create_future()
            self._pending.add(row.correlation, row.entry, _setter(future))
            outcomes.append(future)
        for user_id in changed.memberships:
            self._members.forget((changed.room.room_id, user_id))
        moving = asyncio.create_task(self._move(changed.room.room_id))
        try:
            for future in outcomes:
                _raise_unless_committed(await future, changed.room.room_id)
            await moving
        finally:
            moving.cancel()  # the relay's own run goes on

    async def _wait_until_shown(self, room_id: int, user_ids: Sequence[int], members: bool) -> None:
        until = self._clock() + GIVE_UP_SECONDS
        await self._move(room_id)
        pause, longest = POLL_SECONDS
        expected = set(user_ids) if members else set()
        while await self._members_among(room_id, user_ids) != expected:
            if self._clock() >= until:
                raise OutcomeUnknown
            await self._sleep(pause)
            pause = min(2 * pause, longest)

    async def _members_among(self, room_id: int, user_ids: Sequence[int]) -> set[int] | None:
        try:
            return await self._messages.members_among(room_id, user_ids)
        except Failure:
            return None  # message is away: the change stands all the same, and may show itself in time

    async def _move(self, room_id: int) -> None:
        try:
            async with asyncio.timeout(GIVE_UP_SECONDS):
                await self._relay.drain(room_id)
        except (Failure, TimeoutError):
            # The rows are committed and the sweep moves them when the log is back; the caller, who waits
            # for the outcome and not for the relay, is told OUTCOME_UNKNOWN if that takes too long.
            return


def _setter(future: asyncio.Future[Outcome | Failure]) -> Callable[[Outcome | Failure], None]:
    def settle(outcome: Outcome | Failure) -> None:
        if not future.done():
            future.set_result(outcome)

    return settle


def _raise_unless_committed(outcome: Outcome | Failure, room_id: int) -> None:
    if isinstance(outcome, Failure):
        raise outcome
    if outcome.disposition is Disposition.REJECTED:
        raise rejection(outcome.reason, room_id, "")
