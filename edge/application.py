"""What happens on connections, as the wires see it."""

from __future__ import annotations

from typing import Protocol

from edge.peer import Peer
from edge.protocol.errors import FrameInvalid


class Application(Protocol):
    """What happens on the connections."""

    def connected(self, peer: Peer) -> None:
        """The handshake is done."""

    def receive(self, peer: Peer, data: bytes) -> None:
        """A whole message of the agreed kind came in."""

    def refuse(self, peer: Peer, failure: FrameInvalid) -> None:
        """A message came in that is not of the agreed kind."""

    def drained(self, peer: Peer) -> None:
        """The peer was slow and took most of what waited."""

    def closed(self, peer: Peer, code: int) -> None:
        """The connection is over."""
