"""What comes over Redis: outcomes, events, heads, memberships, ended sessions. Each may be lost."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from google.protobuf.message import DecodeError
from polychat.internal.log.v1.record_pb2 import (
    EventRecord,
    HeadsHint,
    MembershipHint,
    OutcomeBatch,
    PartitionHeads,
    RoomHint,
    SessionHint,
)

from chassis import logs
from chassis.kafka import PARTITIONS
from chassis.redis import HEADS, MEMBERSHIP, SESSIONS, chat_channel
from services.chat.hub import Hub
from services.chat.use_cases.members import MemberCache
from services.chat.use_cases.pending import Pending
from services.chat.wire import outcomes_of

log = logs.get("chat")


class HeadNumbers:
    """Tells from the numbers of a partition's head hints whether one was lost."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[int, int]] = {}

    def lost(self, heads: PartitionHeads) -> bool:
        """The rooms of the partition must be compared: a number was jumped over, or the owner is new."""
        known = self._known.get(heads.partition)
        if known is not None and heads.owner_epoch < known[0]:
            return False  # a former owner that does not know yet; its numbers mean nothing
        self._known[heads.partition] = (heads.owner_epoch, heads.number)
        if heads.compare_all:
            return True
        return known is not None and known != (heads.owner_epoch, heads.number - 1)

    def forget(self) -> None:
        """Everything is about to be compared; start anew."""
        self._known.clear()


class Hints:
    """Hands every hint to whom it concerns. `repair` is asked to compare partitions after a loss."""

    def __init__(
        self,
        *,
        instance: str,
        hub: Hub,
        pending: Pending,
        members: MemberCache,
        repair: Callable[[Iterable[int]], None],
        on_behind: Callable[[int], None] = lambda _rooms: None,
    ) -> None:
        self._hub = hub
        self._pending = pending
        self._members = members
        self._repair = repair
        self._on_behind = on_behind
        self._numbers = HeadNumbers()
        self._takers = {
            chat_channel(instance): self._outcomes,
            HEADS: self._heads,
            MEMBERSHIP: self._memberships,
            SESSIONS: self._sessions,
        }

    @property
    def channels(self) -> list[str]:
        """To be subscribed from the start."""
        return list(self._takers)

    def on_message(self, channel: str, payload: bytes) -> None:
        """Takes a hint; one that cannot be read is logged and dropped, as if it were lost."""
        try:
            self._takers.get(channel, self._room)(payload)
        except DecodeError:
            log.error("hint_unreadable", channel=channel.rpartition(":")[0])

    def on_connect(self) -> None:
        """Hints were missed while Redis was away: everything is compared."""
        self._numbers.forget()
        self._repair(range(PARTITIONS))

    def _outcomes(self, payload: bytes) -> None:
        for outcome in outcomes_of(OutcomeBatch.FromString(payload).outcomes):
            self._pending.resolve(outcome)

    def _room(self, payload: bytes) -> None:
        hint = RoomHint.FromString(payload)
        self._forget_members(hint.events)
        self._hub.pass_events(hint.events)
        for signal in hint.signals:
            self._hub.pass_signal(signal)

    def _memberships(self, payload: bytes) -> None:
        hint = MembershipHint.FromString(payload)
        self._forget_members(hint.events)
        self._hub.pass_events(hint.events)

    def _forget_members(self, events: Iterable[EventRecord]) -> None:
        for event in events:
            for user_id in (*event.joined_user_ids, *event.left_user_ids):
                self._members.forget((event.room_id, user_id))

    def _heads(self, payload: bytes) -> None:
        for heads in HeadsHint.FromString(payload).partitions:
            if self._numbers.lost(heads):
                self._repair([heads.partition])
            behind = self._hub.compare({head.room_id: head.head_sequence for head in heads.heads})
            if behind:
                self._on_behind(behind)

    def _sessions(self, payload: bytes) -> None:
        self._hub.revoke(SessionHint.FromString(payload).revoked_session_ids)
