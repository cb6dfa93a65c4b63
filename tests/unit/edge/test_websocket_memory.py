"""What a connection leaves behind: nothing that waits for the cycle collector."""

from __future__ import annotations

import asyncio
import gc
import weakref
from unittest.mock import Mock

from websockets.protocol import State

from edge.bounds import Bounds
from edge.peer import Outbox
from edge.protocol.connection import Connection
from edge.server import WebSocketPeer
from edge.websocket import EdgeProtocol
from tests.conformance.echo_edge import Nothing


async def test_an_ended_connection_is_freed_at_once() -> None:
    """With ten thousand that stay, a whole collection comes too seldom for those that come and go."""
    protocol = EdgeProtocol(state=State.OPEN)
    gone = weakref.ref(protocol)
    bounds = Bounds(65_536, 16, 65_536, 1_048_576)
    outbox = Outbox(asyncio.get_running_loop())
    peer = WebSocketPeer(Connection(1), protocol, Nothing(), outbox, bounds, "")
    gc.disable()
    try:
        peer.connection_made(Mock(asyncio.Transport))
        peer.connection_lost(None)
        del peer, protocol
        assert gone() is None
    finally:
        gc.enable()
