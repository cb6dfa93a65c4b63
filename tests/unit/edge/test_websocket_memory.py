"""What a connection leaves behind: nothing that waits for the cycle collector."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Callable
from unittest.mock import Mock

import pytest
from websockets.protocol import State

from edge.bounds import Bounds
from edge.peer import Outbox
from edge.protocol.connection import Connection
from edge.server import WebSocketPeer
from edge.websocket import EdgeProtocol
from tests.conformance.echo_edge import Nothing


def in_the_middle(peer: WebSocketPeer) -> None:
    peer.data_received(b"\x81\x82\0")
    peer.eof_received()


ENDS: dict[str, Callable[[WebSocketPeer], object]] = {
    "cut off": lambda _: None,
    "without a close frame": lambda peer: peer.eof_received(),
    "with one": lambda peer: peer.data_received(b"\x88\x82\0\0\0\0\x03\xe8"),
    "with a frame that is not masked": lambda peer: peer.data_received(b"\x81\x02hi"),
    "with a frame that is too large": lambda peer: peer.data_received(b"\x81\xff" + bytes([1] * 12)),
    "in the middle of a frame": in_the_middle,
}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
async def test_an_ended_connection_is_freed_at_once(end: Callable[[WebSocketPeer], object]) -> None:
    """With ten thousand that stay, a whole collection comes too seldom for those that come and go."""
    protocol = EdgeProtocol(state=State.OPEN, max_size=1_000)
    gone = weakref.ref(protocol)
    bounds = Bounds(65_536, 16, 65_536, 1_048_576)
    outbox = Outbox(asyncio.get_running_loop())
    peer = WebSocketPeer(Connection(1), protocol, Nothing(), outbox, bounds, "")
    gc.disable()
    try:
        peer.connection_made(Mock(asyncio.Transport))
        end(peer)
        peer.connection_lost(None)
        del peer, protocol
        assert gone() is None
    finally:
        gc.enable()
