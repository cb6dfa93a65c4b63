"""Sending a message, the same for a gRPC call and for the link of an edge."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from chassis.errors import Failure, InvalidField, OutcomeUnknown, RateLimited
from chassis.ids import uuid_bytes
from services.chat.domain import Action, Membership, permit
from services.chat.errors import NotAMember, rejection
from services.chat.ports import Clock, Disposition, Draft, Encoder, Outcome, RoomLog
from services.chat.use_cases.limits import SendLimit
from services.chat.use_cases.members import MemberCache
from services.chat.use_cases.pending import Pending

MAX_TEXT_BYTES = 16 * 1024
MAX_MENTIONS = 100


@dataclass(frozen=True, slots=True)
class Sent:
    """The message is committed. `duplicate`: an earlier send with this request id had made it."""

    room_id: int
    sequence: int
    message_id: int
    create_micros: int
    duplicate: bool


Settled = Sent | Failure
Settle = Callable[[Settled], None]


def draft(
    room_id: int,
    request_id: str,
    text: str,
    *,
    reply_to_message_id: int = 0,
    thread_root_message_id: int = 0,
    mentioned_user_ids: Sequence[int] = (),
) -> Draft:
    """A checked draft. Raises InvalidField; the link brings drafts that no interceptor has looked at."""
    key = uuid_bytes(request_id)
    if room_id <= 0:
        raise InvalidField("room_id", "must be greater than 0")
    if not text or len(text) > MAX_TEXT_BYTES or len(text.encode()) > MAX_TEXT_BYTES:
        raise InvalidField("text", f"must have 1 to {MAX_TEXT_BYTES} bytes")
    if reply_to_message_id < 0 or thread_root_message_id < 0:
        raise InvalidField("reply_to_message_id", "must not be negative")
    mentions = tuple(mentioned_user_ids)
    if len(mentions) > MAX_MENTIONS or any(user_id <= 0 for user_id in mentions):
        raise InvalidField("mentioned_user_ids", f"must be at most {MAX_MENTIONS} user ids")
    return Draft(
        room_id, request_id.lower(), key, text, reply_to_message_id, thread_root_message_id, mentions
    )


class Sending:
    """From a draft to its outcome. `new_id` gives message ids and may raise BackendUnavailable; `observe`
    is told how each send ended and after how many seconds."""

    def __init__(
        self,
        *,
        members: MemberCache,
        limit: SendLimit,
        encoder: Encoder,
        log: RoomLog,
        pending: Pending,
        new_id: Callable[[], int],
        clock: Clock,
        observe: Callable[[Settled, float], None] = lambda _settled, _seconds: None,
    ) -> None:
        self._members = members
        self._limit = limit
        self._encoder = encoder
        self._log = log
        self._pending = pending
        self._new_id = new_id
        self._clock = clock
        self._observe = observe

    async def send(self, user_id: int, message: Draft) -> Sent:
        """Returns when the message is committed. Raises what `submit` settles with."""
        done: asyncio.Future[Settled] = asyncio.get_running_loop().create_future()

        def settle(settled: Settled) -> None:
            if not done.done():
                done.set_result(settled)

        self.submit(user_id, message, settle)
        settled = await done
        if isinstance(settled, Failure):
            raise settled
        return settled

    def submit(self, user_id: int, message: Draft, settle: Settle) -> None:
        """Starts a send; `settle` is called once: Sent, or NotAMember, RateLimited, Overloaded,
        BackendUnavailable, RequestIdReused, OutcomeUnknown. Order per user and room is kept."""
        began = self._clock()

        def end(settled: Settled) -> None:
            self._observe(settled, self._clock() - began)
            settle(settled)

        self._start(user_id, message, end)

    def _start(self, user_id: int, message: Draft, settle: Settle) -> None:
        try:
            self._pending.check_room(message.room_id)
            self._check_rate(user_id, message.room_id)
            key = (message.room_id, user_id)
            known = self._members.get(key)
            if known is None:
                self._members.ask(key, lambda found: self._with_membership(user_id, message, settle, found))
            else:
                self._append(user_id, message, settle, known)
        except Failure as failure:
            settle(failure)

    def _check_rate(self, user_id: int, room_id: int) -> None:
        wait = self._limit.take((room_id, user_id))
        if wait > 0:
            raise RateLimited(retry_after=wait)

    def _with_membership(
        self, user_id: int, message: Draft, settle: Settle, found: Membership | Failure | None
    ) -> None:
        try:
            if isinstance(found, Failure):
                raise found
            self._append(user_id, message, settle, found)
        except Failure as failure:
            settle(failure)

    def _append(self, user_id: int, message: Draft, settle: Settle, membership: Membership | None) -> None:
        permit(message.room_id, membership, Action.SEND)
        message_id = self._new_id()
        entry = self._encoder.message(message, user_id, message_id)
        correlation = self._pending.next_correlation()

        def end(outcome: Outcome | Failure) -> None:
            if isinstance(outcome, Outcome) and outcome.reason == NotAMember.reason:
                self._members.forget((message.room_id, user_id))  # nobody told us of their leaving
            copied = self._log.settle(correlation, known=isinstance(outcome, Outcome))
            settle(_settled(outcome, message, message_id, copied=copied))

        self._pending.add(correlation, entry, end)
        try:
            self._log.append(entry, correlation)
        except Failure:
            self._pending.discard(correlation)
            raise


def _settled(outcome: Outcome | Failure, message: Draft, message_id: int, *, copied: bool) -> Settled:
    if isinstance(outcome, Failure):
        return outcome
    if outcome.disposition is Disposition.REJECTED:
        if copied:
            return OutcomeUnknown()
        return rejection(outcome.reason, message.room_id, message.request_id)
    # Asked by request id, message calls every committed entry a duplicate: ours is known by its id.
    duplicate = outcome.message_id != message_id
    return Sent(outcome.room_id, outcome.sequence, outcome.message_id, outcome.create_micros, duplicate)
