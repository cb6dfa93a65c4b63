"""What a peer may leave untaken, and who is at it.

Unsent bytes of one peer, at most:

    slow_bytes      64 KiB   typing and receipts are dropped from here on
    unsent_bytes   256 KiB   the peer lags: no more events, until it has drained
    + a portion              64 KiB of events, as JSON: what was on its way when the bound was passed
    clogged_bytes  512 KiB   nothing is read from it
    REPLIES_BYTES  768 KiB   no large reply any more; small ones are bounded by IN_FLIGHT: 128 KiB

Beside them a replay holds one answer of the log, 512 KiB, and only while the peer is not slow; what
was read from it and not handled is 320 KiB at most. Together less than 1.5 MiB. The kernel's share is
bounded by TCP_NOTSENT_LOWAT (listening.py). The one exception is a reply larger than all that to a
peer that has taken everything before: a page of history of 4 MiB, the most that a service may answer.

Who is closed for taking too little gives back at once what its transport was not given. What is left,
mostly 64 KiB and a portion and never more than unsent_bytes, counts on for as long as a closing handshake
may last, and is the first to go when all peers together have too much.
"""

from __future__ import annotations

from edge.peer import Peer


class Bounds:
    """What one WebSocket or stream may hold, and the slow ones."""

    __slots__ = (
        "clogged_bytes",
        "ease_bytes",
        "fragments",
        "leaving",
        "message_bytes",
        "peak",
        "slow",
        "slow_bytes",
        "unsent_bytes",
    )

    def __init__(self, message_bytes: int, fragments: int, slow_bytes: int, unsent_bytes: int) -> None:
        self.message_bytes = message_bytes
        self.fragments = fragments
        self.slow_bytes = slow_bytes
        self.ease_bytes = slow_bytes // 4
        """At this much a slow peer is slow no more."""
        self.unsent_bytes = unsent_bytes
        self.clogged_bytes = 2 * unsent_bytes
        self.peak = 0
        """The most unsent bytes that any peer ever had since it was slow."""
        self.slow: dict[Peer, tuple[int | None, float]] = {}
        """Slow peers with the bytes they had taken when last looked at, and when that was; None: not yet."""
        self.leaving: set[Peer] = set()
        """Closed for taking too little, until their wire is down."""

    def forget(self, peer: Peer) -> None:
        """A peer is slow no more, or gone."""
        self.slow.pop(peer, None)
        self.leaving.discard(peer)

    def over(self, peer: Peer) -> bool:
        """Notes what a slow peer has unsent; True when it is past the bound."""
        unsent = peer.unsent
        self.peak = max(self.peak, unsent)
        peer.connection.clogged = peer.connection.clogged or unsent > self.clogged_bytes
        return unsent > self.unsent_bytes

    def stalled(self, now: float, seconds: float) -> list[Peer]:
        """Slow peers that took no byte for this long."""
        found = []
        for peer, (taken, since) in tuple(self.slow.items()):
            if peer.taken != taken:
                self.slow[peer] = (peer.taken, now)
            elif now - since >= seconds:
                found.append(peer)
        return found

    @property
    def unsent(self) -> int:
        """Bytes that all of them hold."""
        return sum(peer.unsent for peer in (*self.slow, *self.leaving))

    def heaviest(self, limit: int) -> list[Peer]:
        """Those leaving, then the slow peers with the most unsent: as many as have to go, so that all
        together have no more than this."""
        excess = self.unsent - limit
        found = []
        for peer in (*self.leaving, *sorted(self.slow, key=lambda peer: peer.unsent, reverse=True)):
            if excess <= 0:
                break
            excess -= peer.unsent
            found.append(peer)
        return found
