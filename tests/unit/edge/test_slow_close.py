"""A slow peer's way out: whole frames that can be taken back until its transport was given them (I7)."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterable
from typing import Any

import pytest
import uvloop
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.uri import parse_uri

from edge.bounds import Bounds
from edge.peer import Outbox, Peer
from edge.protocol.codes import CloseCode
from edge.protocol.connection import Connection
from edge.protocol.errors import FrameInvalid
from edge.server import WebSocketPeer
from edge.stream_peer import StreamPeer
from edge.websocket import EdgeProtocol

SLOW, UNSENT = 4096, 64 * 1024
PAYLOADS = [b"%04d" % number + b"x" * 1000 for number in range(64)]


class Watched:
    """An application that notes how its peer is."""

    def __init__(self) -> None:
        self.drains = 0
        self.codes: list[int] = []

    def connected(self, peer: Peer) -> None:
        """See Application."""

    def receive(self, peer: Peer, data: bytes) -> None:
        """See Application."""

    def refuse(self, peer: Peer, failure: FrameInvalid) -> None:
        """See Application."""

    def drained(self, peer: Peer) -> None:
        """See Application."""
        self.drains += 1

    def closed(self, peer: Peer, code: int) -> None:
        """See Application."""
        self.codes.append(code)


class Narrow(asyncio.Transport):
    """Keeps what is written until the far end takes it."""

    def __init__(self, peer: WebSocketPeer) -> None:
        super().__init__()
        self._peer = peer
        self._high = self._low = 0
        self._paused = False
        self._closing = False
        self.kept = bytearray()
        self.reader = ClientProtocol(parse_uri("ws://x/"), state=State.OPEN, max_size=None)
        """The far end."""

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """See asyncio: there is no socket."""
        return default

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """See asyncio."""
        assert high is not None
        self._high, self._low = high, high // 4 if low is None else low

    def get_write_buffer_size(self) -> int:
        """See asyncio."""
        return len(self.kept)

    def write(self, data: Any) -> None:
        """See asyncio."""
        self.kept += data
        if len(self.kept) > self._high and not self._paused:
            self._paused = True
            self._peer.pause_writing()

    def is_closing(self) -> bool:
        """See asyncio."""
        return self._closing

    def close(self) -> None:
        """See asyncio."""
        self._closing = True

    def pause_reading(self) -> None:
        """See asyncio."""

    def resume_reading(self) -> None:
        """See asyncio."""

    def take(self, most: int) -> None:
        """The far end takes so many bytes."""
        taken, self.kept = self.kept[:most], self.kept[most:]
        self.reader.receive_data(bytes(taken))
        if self._paused and len(self.kept) <= self._low:
            self._paused = False
            self._peer.resume_writing()

    def take_all(self) -> list[bytes]:
        """Everything that comes; the payloads of the messages."""
        while self.kept:
            self.take(777)
        return _messages(self.reader)


def _messages(reader: ClientProtocol) -> list[bytes]:
    frames = [event for event in reader.events_received() if isinstance(event, Frame)]
    return [bytes(frame.data) for frame in frames if frame.opcode is Opcode.TEXT]


@pytest.fixture
async def application() -> Watched:
    return Watched()


@pytest.fixture
async def peer(application: Watched) -> WebSocketPeer:
    """A WebSocket on a narrow transport, with more sent to it than it took."""
    peer = _peer(application, asyncio.get_running_loop())
    peer.connection_made(Narrow(peer))
    _send(peer, PAYLOADS)
    assert peer.slow
    return peer


def _peer(application: Watched, loop: asyncio.AbstractEventLoop) -> WebSocketPeer:
    bounds = Bounds(65_536, 16, SLOW, UNSENT)
    protocol = EdgeProtocol(state=State.OPEN)
    return WebSocketPeer(Connection(1), protocol, application, Outbox(loop), bounds, "")


def _send(peer: Peer, payloads: Iterable[bytes]) -> None:
    for payload in payloads:
        peer.put(payload)
        peer.outbox.flush()


def far_end(peer: WebSocketPeer) -> Narrow:
    """What the peer writes to."""
    transport = peer._transport
    assert isinstance(transport, Narrow)
    return transport


async def test_a_slow_peer_is_given_all_in_order(peer: WebSocketPeer, application: Watched) -> None:
    """Little at a time; it is at ease once, when a quarter is left, and quick from then on."""
    transport = far_end(peer)
    assert len(transport.kept) <= SLOW + 2000
    assert peer.unsent > 64 * 1000
    while peer.unsent > SLOW // 4:
        assert peer.slow
        transport.take(100)
        assert len(transport.kept) <= SLOW + 2000
    assert not peer.slow
    assert application.drains == 1
    assert transport.take_all() == PAYLOADS
    _send(peer, PAYLOADS[:3])
    assert not peer.slow
    assert transport.take_all() == PAYLOADS[:3]


async def test_what_waits_is_taken_back_at_whole_frames(peer: WebSocketPeer, application: Watched) -> None:
    """What was begun goes on, and then comes the code. The memory of the rest is free at once."""
    transport = far_end(peer)
    transport.take(500)
    waiter = asyncio.ensure_future(peer.drained())
    await asyncio.sleep(0)
    peer.put(b"pending")
    peer.drop_waiting()
    assert peer.unsent == peer._bounds.unsent == len(transport.kept) <= SLOW + 2000
    assert not peer.slow
    await waiter
    peer.shut(CloseCode.SLOW, "SLOW")
    _send(peer, PAYLOADS)
    told = transport.take_all()
    assert told == PAYLOADS[: len(told)]
    assert transport.reader.close_rcvd is not None
    assert transport.reader.close_rcvd.code == CloseCode.SLOW
    assert not peer.slow
    for data in transport.reader.data_to_send():
        peer.data_received(data)
    assert transport.is_closing()
    peer.connection_lost(None)
    assert application.codes == [CloseCode.SLOW]
    assert peer._bounds.leaving == set()


async def test_who_is_closed_is_sent_nothing_more(peer: WebSocketPeer) -> None:
    """Not even pongs: nobody bounds them while the code waits to be taken."""
    transport = far_end(peer)
    peer.drop_waiting()
    peer.shut(CloseCode.OVERLOADED, "OVERLOADED")
    kept = peer.unsent
    transport.reader.send_ping(b"x" * 100)
    for data in transport.reader.data_to_send():
        peer.data_received(data)
    assert peer.unsent == kept


async def test_an_ordinary_close_comes_after_everything(peer: WebSocketPeer) -> None:
    transport = far_end(peer)
    peer.shut(CloseCode.SHUTTING_DOWN, "")
    assert transport.take_all() == PAYLOADS
    assert transport.reader.close_rcvd is not None
    assert transport.reader.close_rcvd.code == CloseCode.SHUTTING_DOWN


async def test_who_closes_itself_gets_everything_and_its_answer(peer: WebSocketPeer) -> None:
    transport = far_end(peer)
    transport.reader.send_close(1000)
    for data in transport.reader.data_to_send():
        peer.data_received(data)
    assert transport.is_closing()
    assert transport.take_all() == PAYLOADS
    assert transport.reader.close_rcvd is not None
    assert transport.reader.close_rcvd.code == 1000


async def test_a_stream_ends_after_the_frame_that_is_being_sent(application: Watched) -> None:
    bounds = Bounds(65_536, 16, SLOW, UNSENT)
    peer = StreamPeer(Connection(1), Outbox(asyncio.get_running_loop()), application, bounds, "")
    _send(peer, PAYLOADS)
    frames = peer.frames()
    assert await anext(frames) == PAYLOADS[0]
    assert peer.slow
    peer.put(b"pending")
    peer.drop_waiting()
    assert (peer.unsent, peer.slow) == (0, False)
    peer.shut(CloseCode.SLOW, "SLOW")
    assert [frame async for frame in frames] == []
    assert peer.closed_with == (CloseCode.SLOW, "SLOW")


LOOPS = {"asyncio": asyncio.SelectorEventLoop, "uvloop": uvloop.new_event_loop}


@pytest.mark.parametrize("new_loop", LOOPS.values(), ids=LOOPS.keys())
async def test_the_transports_of_either_loop_give_all_and_the_code(
    new_loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    """Over a real socket, far more than it takes at once, to a reader that begins late."""

    async def story() -> tuple[list[bytes], int | None]:
        near, far = socket.socketpair()
        application, loop = Watched(), asyncio.get_running_loop()
        peer = _peer(application, loop)
        await loop.create_connection(lambda: peer, sock=near)
        reader, writer = await asyncio.open_connection(sock=far, limit=1024)
        while peer.unsent < 4 * UNSENT:
            _send(peer, PAYLOADS)
        sent = peer.unsent // 1000 // len(PAYLOADS)
        client = ClientProtocol(parse_uri("ws://x/"), state=State.OPEN, max_size=None)
        told: list[bytes] = []
        while application.drains == 0:
            client.receive_data(await reader.read(3000))
            told += _messages(client)
        assert len(told) >= sent * len(PAYLOADS)
        while not peer.slow:
            _send(peer, PAYLOADS)
        peer.drop_waiting()
        peer.shut(CloseCode.OVERLOADED, "")
        while client.close_rcvd is None:
            client.receive_data(await reader.read(3000))
            told += _messages(client)
        writer.close()
        return told, client.close_rcvd.code

    def run() -> tuple[list[bytes], int | None]:
        with asyncio.Runner(loop_factory=new_loop) as runner:
            return runner.run(asyncio.wait_for(story(), 20))

    told, code = await asyncio.to_thread(run)
    assert code == CloseCode.OVERLOADED
    assert told == [PAYLOADS[number % len(PAYLOADS)] for number in range(len(told))]
