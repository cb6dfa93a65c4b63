"""What is bounded: rings and early events by bytes, connections, replies to who does not take them (I7)."""

from __future__ import annotations

import asyncio

import pytest

from edge.admission import Admission
from edge.bounds import Bounds
from edge.config import EdgeLiveSettings
from edge.peer import Outbox, Peer
from edge.protocol.catch_up import RoomLog
from edge.protocol.connection import Connection
from edge.protocol.events import Event
from edge.protocol.limits import EARLY_BYTES, IN_FLIGHT, REPLIES_BYTES, RING_BYTES, RING_EVENTS
from edge.protocol.rings import Rings
from edge.stream_peer import StreamPeer

BIG = b"x" * 16_000


class Nothing:
    """An application that only lets its peers be."""

    def receive(self, peer: Peer, data: bytes) -> None:
        """See Application."""

    def drained(self, peer: Peer) -> None:
        """See Application."""


def events(first: int, last: int, payload: bytes = BIG) -> list[Event]:
    return [Event(7, sequence, payload) for sequence in range(first, last + 1)]


def log_of(count: int, rings: Rings, payload: bytes = BIG) -> RoomLog:
    """A room in which so much happened."""
    log = RoomLog(0, rings)
    for event in events(1, count, payload):
        log.accept(event)
    return log


@pytest.fixture
async def peer() -> StreamPeer:
    """A stream that nobody takes anything from."""
    bounds = Bounds(65_536, 16, 64 * 1024, 256 * 1024)
    return StreamPeer(Connection(1), Outbox(asyncio.get_running_loop()), Nothing(), bounds, "")


def test_a_ring_of_large_messages_is_short() -> None:
    """Large ones by bytes, small ones by count."""
    rings = Rings()
    log = log_of(RING_EVENTS, rings)
    assert rings.held <= RING_BYTES
    assert log.since(RING_EVENTS - 5) is not None
    assert log.since(RING_EVENTS - RING_BYTES // len(BIG)) is None
    assert log_of(RING_EVENTS, Rings(), b"").since(0) is not None


def test_the_room_that_moved_longest_ago_gives_up_its_ring() -> None:
    """All rings of a process have one bound."""
    rings = Rings(3 * RING_BYTES)
    logs = [log_of(20, rings) for _ in range(3)]
    logs[0].accept(Event(7, 21, BIG))
    fourth = log_of(20, rings)
    assert rings.held <= 3 * RING_BYTES
    assert [log.since(log.head - 1) is not None for log in (*logs, fourth)] == [True, False, True, True]


def test_a_room_that_ends_gives_its_bytes_back() -> None:
    rings = Rings()
    log_of(20, rings).drop_ring()
    assert rings.held == 0


def test_early_events_are_bounded_by_bytes() -> None:
    """What does not fit is fetched again when the hole is filled."""
    log = RoomLog(0)
    for event in events(2, 100):
        log.accept(event)
    kept = EARLY_BYTES // events(1, 1)[0].size
    assert [event.sequence for event in log.accept(events(1, 1)[0])] == list(range(1, kept + 2))


async def test_large_replies_go_to_who_takes_them(peer: StreamPeer) -> None:
    """One of any size; behind what is not taken only small ones, and large ones while they fit."""
    assert peer.has_room(4 * 1024 * 1024)
    peer.put(b"x" * 100_000)
    assert peer.has_room(REPLIES_BYTES - 100_000)
    assert not peer.has_room(REPLIES_BYTES)
    peer.outbox.flush()
    assert peer.slow
    assert not peer.has_room(REPLIES_BYTES)
    assert peer.has_room(1000)


async def test_the_heaviest_go_when_all_together_hold_too_much(peer: StreamPeer) -> None:
    """The fewest that bring the sum below the bound."""
    bounds, outbox = peer._bounds, peer.outbox
    peers = [peer, *(StreamPeer(Connection(n), outbox, Nothing(), bounds, "") for n in (2, 3))]
    for number, one in enumerate(peers):
        one.put(b"x" * (100_000 * (number + 1)))
    outbox.flush()
    assert bounds.heaviest(600_000) == []
    assert bounds.heaviest(599_999) == [peers[2]]
    assert bounds.heaviest(250_000) == [peers[2], peers[1]]
    bounds.forget(peer)
    bounds.leaving.add(peer)
    assert bounds.unsent == 600_000
    assert bounds.heaviest(550_000) == [peer]
    assert bounds.heaviest(250_000) == [peer, peers[2]]


@pytest.mark.parametrize("taken", [-1, 0, 1])
async def test_who_became_slow_just_now_has_its_time(
    peer: StreamPeer, monkeypatch: pytest.MonkeyPatch, taken: int
) -> None:
    """Wherever its count begins: a WebSocket's is below zero by what waited before."""
    monkeypatch.setattr(StreamPeer, "taken", taken)
    peer.put(b"x" * 100_000)
    peer.outbox.flush()
    assert peer._bounds.stalled(1000.0, 30.0) == []
    assert peer._bounds.stalled(1029.0, 30.0) == []
    assert peer._bounds.stalled(1030.0, 30.0) == [peer]


async def test_receipts_that_a_connection_gave_are_few(peer: StreamPeer) -> None:
    """The last ones: their echo comes soon or never."""
    for room in range(IN_FLIGHT + 1):
        peer.gave_receipt(room, 5)
    assert not peer.knows_receipt(0, 5)
    assert peer.knows_receipt(1, 4)
    assert not peer.knows_receipt(1, 6)
    peer.take_back_receipt(1)
    assert not peer.knows_receipt(1, 5)


def admission(**limits: int) -> Admission:
    return Admission(lambda: EdgeLiveSettings(**limits), ("127.0.0.1",), lambda: 0.0)


def test_plain_connections_of_one_address_are_bounded() -> None:
    """Those of others and of proxies are not; one that ends makes room."""
    gate = admission(http_connections_per_address=2)
    assert [gate.enter("10.0.0.1") for _ in range(3)] == [True, True, False]
    assert gate.enter("10.0.0.2")
    assert all(gate.enter("127.0.0.1") for _ in range(5))
    gate.leave("10.0.0.1")
    assert gate.enter("10.0.0.1")


def test_plain_connections_of_the_process_are_bounded() -> None:
    gate = admission(http_connections=2)
    assert [gate.enter(address) for address in ("10.0.0.1", "127.0.0.1", "10.0.0.2")] == [True, True, False]


async def test_connections_of_the_process_are_bounded(peer: StreamPeer) -> None:
    """Past it a handshake is told to come back, whoever asks."""
    door = admission(connections=1)
    assert door.refuse_handshake("127.0.0.1") is None
    door.arrived(peer)
    refusal = door.refuse_handshake("127.0.0.1")
    assert refusal is not None
    assert refusal.reason == "OVERLOADED"
    door.left(peer)
    assert door.refuse_handshake("127.0.0.1") is None
