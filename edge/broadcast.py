"""The innermost loop: the same events to many peers."""

from __future__ import annotations

from collections.abc import Sequence

from edge.peer import Outbox, Peer
from edge.protocol.events import Event, Wire


def broadcast(events: Sequence[Event], peers: Sequence[Peer], outbox: Outbox, *, at_once: bool) -> None:
    """Gives events of a room to peers; all of one wire share the bytes, joined.

    They gather in the outbox with what else comes in this tick. `at_once` says that nothing else does: then
    only peers of which something waits already go through the outbox.
    """
    joined: list[bytes | None] = [None, None]
    put = outbox.put
    for peer in peers:
        wire = peer.wire
        if wire is Wire.STREAM:
            for event in events:
                put(peer, event.frame(wire))
            continue
        frames = joined[wire]
        if frames is None:
            frames = joined[wire] = b"".join([event.frame(wire) for event in events])
        write = peer.write
        if at_once and write is not None and peer.pending is None:
            write(frames)
        else:
            put(peer, frames)
