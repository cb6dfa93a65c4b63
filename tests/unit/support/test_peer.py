"""A peer's connection that ends while somebody asks again and again."""

from __future__ import annotations

import contextlib

from tests.support.peer import Peer
from tests.support.transports import Closed, Frame


class Ended:
    """A transport that has ended; sending says so without a pause."""

    async def send(self, _frame: Frame) -> None:
        """See transports.Transport."""
        raise Closed(0, "cut")

    async def receive(self) -> Frame:
        """See transports.Transport."""
        raise Closed(0, "cut")

    async def close(self) -> None:
        """See transports.Transport."""

    def abort(self) -> None:
        """See transports.Transport."""


async def test_who_asks_again_and_again_lets_the_peer_learn_that_it_is_lost() -> None:
    """Else a client that repeats until its connection is known to be lost stops the whole loop."""
    peer = Peer(Ended())
    tries = 0
    while peer.lost is None and tries < 100:
        tries += 1
        with contextlib.suppress(Closed):
            await peer.ask({"ping": {}})
    await peer.end()
    assert tries < 100
