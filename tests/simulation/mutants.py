"""Rules of the product, each broken in one place: the simulation has to see every one of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import edge.fanout
import edge.holes
import edge.peer
import edge.protocol.catch_up
import edge.resume
import services.chat.placement
import services.chat.room_log
import services.chat.use_cases.sending
import services.message.hints
import services.message.memory
import services.message.use_cases.sequencing
from edge.protocol.events import Event
from services.chat.domain import Action, permit

Mutant = Callable[[Any], None]
"""Breaks a rule; the argument is pytest's monkeypatch."""


def stale_heads(monkeypatch: Any) -> None:
    """An owner that gets a partition back goes on with the heads that it knew. (Without the fence alone
    nothing goes wrong in sight: the unique request ids hold up whatever a former owner writes.)"""
    sequencer = services.message.use_cases.sequencing.Sequencer

    def keep_heads(self: Any, partitions: Iterable[int]) -> None:
        for partition in partitions:
            self._positions.pop(partition, None)

    monkeypatch.setattr(sequencer, "release", keep_heads)


def no_dedupe(monkeypatch: Any) -> None:
    """A request id that was committed before is taken for a new one."""
    memory = services.message.memory.MemoryLog

    async def nothing_known(_self: Any, _keys: object) -> dict[Any, Any]:
        return {}

    monkeypatch.setattr(memory, "known", nothing_known)
    monkeypatch.setattr(memory, "_check", lambda _self, _plan: None)


def shuffled_outbox(monkeypatch: Any) -> None:
    """The rows of a room go into the log with the newest first."""
    log: Any = services.chat.room_log.KafkaRoomLog
    real = log.append_all

    async def backwards(self: Any, rows: Sequence[Any]) -> None:
        await real(self, rows[::-1])

    monkeypatch.setattr(log, "append_all", backwards)


def short_ring(monkeypatch: Any) -> None:
    """A resume from the ring begins one event too late."""
    log: Any = edge.protocol.catch_up.RoomLog
    real = log.since

    def wrong(self: Any, cursor: int) -> list[Event] | None:
        found: list[Event] | None = real(self, cursor)
        return found[1:] if found and len(found) > 1 else found

    monkeypatch.setattr(log, "since", wrong)


def holes_passed_over(monkeypatch: Any) -> None:
    """An event is let out although one before it is missing."""
    log: Any = edge.protocol.catch_up.RoomLog

    def eager(self: Any, event: Event) -> list[Event]:
        if event.sequence <= self.head:
            return []
        self.target = max(self.target, event.sequence)
        self._advance(event)
        return [event]

    monkeypatch.setattr(log, "accept", eager)


def holes_not_mended(monkeypatch: Any) -> None:
    """What a lost hint left out is never fetched."""
    monkeypatch.setattr(edge.holes.Mender, "want", lambda _self, _room: None)


def leaving_unseen(monkeypatch: Any) -> None:
    """Who left a room goes on getting its events."""
    monkeypatch.setattr(edge.fanout.Fanout, "_part", lambda _self, _room, _user, _sequence: None)


def lists_not_read_again(monkeypatch: Any) -> None:
    """Joinings that were missed while Redis was away stay unseen."""

    async def nothing(_self: Any, _user_ids: object) -> None:
        return None

    monkeypatch.setattr(services.chat.placement.Placement, "read_again", nothing)


def heads_not_told(monkeypatch: Any) -> None:
    """The last hint of a room has no successor, and nobody says that the head moved."""

    async def silent(_self: Any) -> None:
        return None

    monkeypatch.setattr(services.message.hints.Hints, "publish_heads", silent)


def answered_twice(monkeypatch: Any) -> None:
    """A send gets its `sent`, and once more."""
    peer: Any = edge.peer.Peer
    real = peer.send_sent

    def again(self: Any, request_id: int, sent: object) -> None:
        real(self, request_id, sent)
        real(self, request_id, sent)

    monkeypatch.setattr(peer, "send_sent", again)


def members_refused(monkeypatch: Any) -> None:
    """Whoever sends is taken for a stranger, and told so at once."""

    def refuse(room_id: int, _membership: object, action: Action) -> None:
        permit(room_id, None, action)

    monkeypatch.setattr(services.chat.use_cases.sending, "permit", refuse)


def gap_too_far(monkeypatch: Any) -> None:
    """A gap says one event less than is left out."""
    peer: Any = edge.peer.Peer
    real = peer.send_gap

    def wrong(self: Any, room_id: int, first: int, head: int, *, reset: bool = False) -> None:
        real(self, room_id, first + 1, head, reset=reset)

    monkeypatch.setattr(peer, "send_gap", wrong)


def lag_forgotten(monkeypatch: Any) -> None:
    """Who was slow goes on at the head, as if nothing had happened meanwhile."""
    monkeypatch.setattr(edge.resume.Resumer, "catch_up", lambda _self, _peer, _rooms: None)


def receipts_to_the_head(monkeypatch: Any) -> None:
    """Whatever somebody says that they have read, their receipt is put at the head of the room."""
    memory: Any = services.message.memory.MemoryLog
    real = memory.advance

    async def jump(self: Any, room_id: int, user_id: int, _sequence: int) -> int | None:
        moved: int | None = await real(self, room_id, user_id, self.room_head[room_id].head_sequence)
        return moved

    monkeypatch.setattr(memory, "advance", jump)


MUTANTS: dict[str, Mutant] = {
    mutant.__name__: mutant
    for mutant in (
        stale_heads,
        no_dedupe,
        shuffled_outbox,
        short_ring,
        holes_passed_over,
        holes_not_mended,
        leaving_unseen,
        lists_not_read_again,
        heads_not_told,
        answered_twice,
        members_refused,
        gap_too_far,
        lag_forgotten,
        receipts_to_the_head,
    )
}
