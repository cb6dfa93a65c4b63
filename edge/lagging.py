"""Lag mode: a reader that falls too far behind gets no events until it has drained, then what it missed.

Between the two it holds nothing but the names of the rooms that moved; each of them is replayed by the
code that serves a `hello` cursor (resume.py), or told by one `gap`.
"""

from __future__ import annotations

from edge.fanout import Fanout
from edge.metrics import EdgeMetrics
from edge.peer import Peer
from edge.protocol.connection import Phase
from edge.resume import Resumer


class Lagging:
    """Who lags, and what happens when it ends."""

    def __init__(self, fanout: Fanout, resumer: Resumer, metrics: EdgeMetrics) -> None:
        self._fanout = fanout
        self._resumer = resumer
        self._metrics = metrics

    def begin(self, peer: Peer) -> None:
        """A peer's unsent bytes passed the bound. Nothing happens to one that took them meanwhile."""
        if peer.moved is None and peer.slow and peer.connection.phase is Phase.OPEN:
            self._fanout.rest(peer)
            self._metrics.lags(1)

    def end(self, peer: Peer) -> None:
        """A slow peer took most of what waited."""
        if peer.moved is not None:
            rooms = self._fanout.wake(peer)
            self._metrics.lags(-1)
            self._resumer.catch_up(peer, rooms)

    def leave(self, peer: Peer) -> None:
        """A peer is closed: nothing is owed to it any more."""
        if peer.moved is not None:
            self._metrics.lags(-1)
        self._fanout.leave(peer)
