"""How many and how often: limits per user, per address and for the whole process."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection

from chassis.errors import Failure, Overloaded, RateLimited
from edge.config import EdgeLiveSettings
from edge.peer import Peer
from edge.protocol.errors import TooManyConnections

MAX_ADDRESSES = 10_000
"""Addresses whose handshake rate is remembered."""
COME_BACK_SECONDS = (1.0, 5.0)
"""Who is refused for want of room is told a time between these, so that they do not come back at once."""


class Bucket:
    """A token bucket; time comes in as an argument."""

    __slots__ = ("_level", "_seen")

    def __init__(self, level: float, now: float) -> None:
        self._level = level
        self._seen = now

    def take(self, rate: float, burst: float, now: float) -> bool:
        """Takes one; False when there is none."""
        self._level = min(burst, self._level + (now - self._seen) * rate)
        self._seen = now
        if self._level < 1.0:
            return False
        self._level -= 1.0
        return True


class Admission:
    """Decides who may come in and how fast they may talk. `limits` may change while it runs."""

    def __init__(
        self, limits: Callable[[], EdgeLiveSettings], trusted: Collection[str], clock: Callable[[], float]
    ) -> None:
        self._limits = limits
        self._trusted = frozenset(trusted)
        self._clock = clock
        self._by_address: dict[str, int] = {}
        self._peers = 0
        self._plain: dict[str, int] = {}
        self._plain_count = 0
        self._by_user: dict[int, set[Peer]] = {}
        self._ungreeted: set[Peer] = set()
        self._opening: set[Peer] = set()
        self._handshakes: dict[str, Bucket] = {}
        self._strikes: dict[Peer, int] = {}

    # ---- handshakes -----------------------------------------------------------------------------

    def refuse_handshake(self, address: str) -> Failure | None:
        """Why this address may not upgrade now, or None. Nothing per address counts for trusted ones."""
        limits = self._limits()
        if self._peers >= limits.connections or len(self._opening) >= limits.opening_connections:
            return _come_back()
        if address in self._trusted:
            return None
        if self._by_address.get(address, 0) >= limits.connections_per_address:
            return TooManyConnections(limit=str(limits.connections_per_address))
        rate, now = limits.handshakes_per_address_per_second, self._clock()
        bucket = self._handshakes.get(address)
        if bucket is None:
            if len(self._handshakes) >= MAX_ADDRESSES:
                self._handshakes.clear()
            bucket = self._handshakes[address] = Bucket(rate, now)
        if len(self._ungreeted) >= limits.ungreeted_connections or not bucket.take(rate, rate, now):
            return RateLimited(retry_after=1.0)
        return None

    def arrived(self, peer: Peer) -> None:
        """A peer is connected and has not said hello."""
        self._peers += 1
        peer.allowance, peer.allowance_time = self._limits().frames_burst, self._clock()
        if peer.address not in self._trusted:
            self._by_address[peer.address] = self._by_address.get(peer.address, 0) + 1
            self._ungreeted.add(peer)

    def begin_opening(self, peer: Peer) -> None:
        """The peer says hello; its welcome costs reads of the log. Raises Overloaded."""
        if len(self._opening) >= self._limits().opening_connections:
            raise _come_back()
        self._opening.add(peer)

    def end_opening(self, peer: Peer) -> None:
        """The hello was answered, or nobody waits for the answer any more."""
        self._opening.discard(peer)

    def admit(self, peer: Peer, user_id: int) -> None:
        """A user says hello. Raises TooManyConnections."""
        limit = self._limits().connections_per_user
        peers = self._by_user.setdefault(user_id, set())
        if len(peers) >= limit:
            raise TooManyConnections(limit=str(limit))
        peers.add(peer)

    def greeted(self, peer: Peer) -> None:
        """The peer was welcomed."""
        self._ungreeted.discard(peer)
        self.end_opening(peer)

    def left(self, peer: Peer) -> None:
        """The peer is gone."""
        self._peers -= 1
        self._ungreeted.discard(peer)
        self.end_opening(peer)
        self._strikes.pop(peer, None)
        peers = self._by_user.get(peer.connection.user_id)
        if peers is not None:
            peers.discard(peer)
            if not peers:
                del self._by_user[peer.connection.user_id]
        if peer.address not in self._trusted:
            count = self._by_address.get(peer.address, 1) - 1
            if count > 0:
                self._by_address[peer.address] = count
            else:
                self._by_address.pop(peer.address, None)

    # ---- plain HTTP -----------------------------------------------------------------------------

    def enter(self, address: str) -> bool:
        """See Gate. Nothing per address counts for trusted ones, which may be proxies."""
        limits, present = self._limits(), self._plain.get(address, 0)
        crowded = address not in self._trusted and present >= limits.http_connections_per_address
        if crowded or self._plain_count >= limits.http_connections:
            return False
        self._plain[address] = present + 1
        self._plain_count += 1
        return True

    def leave(self, address: str) -> None:
        """See Gate."""
        self._plain_count -= 1
        present = self._plain[address] = self._plain[address] - 1
        if present == 0:
            del self._plain[address]

    # ---- frames -----------------------------------------------------------------------------------

    def may_send(self, peer: Peer) -> bool:
        """Whether a frame of the peer is within its rate; takes it off."""
        limits, now = self._limits(), self._clock()
        level = min(
            limits.frames_burst, peer.allowance + (now - peer.allowance_time) * limits.frames_per_second
        )
        if level >= limits.frames_burst:
            self._strikes.pop(peer, None)
        peer.allowance_time = now
        peer.allowance = level - 1.0 if level >= 1.0 else level
        return level >= 1.0

    def wait_seconds(self, peer: Peer) -> float:
        """How long until the next frame is within the rate."""
        return max(0.05, (1.0 - peer.allowance) / self._limits().frames_per_second)

    def strike(self, peer: Peer) -> int:
        """Counts a frame over the rate; how many there were since the peer last kept still."""
        strikes = self._strikes[peer] = self._strikes.get(peer, 0) + 1
        return strikes


def _come_back() -> Overloaded:
    return Overloaded(retry_after=random.uniform(*COME_BACK_SECONDS))  # noqa: S311 — spreads the reconnects
