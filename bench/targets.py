"""What each figure is to reach, and what after that."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Target:
    """A bound of one figure of one scenario; `then` is the next one, None when there is none."""

    scenario: str
    figure: str
    bound: float
    then: float | None = None
    at_least: bool = False

    def met(self, value: float) -> bool:
        """Whether a figure reaches the bound."""
        return value >= self.bound if self.at_least else value <= self.bound

    @property
    def sign(self) -> str:
        """How the bound is written."""
        return "≥" if self.at_least else "≤"


TARGETS = (
    Target("rooms", "microsPerDelivery", 75, 50),
    Target("rooms", "deliverP50", 5, 4),
    Target("rooms", "deliverP99", 15),
    Target("rooms-cheap", "microsPerDelivery", 45, 25),
    Target("rooms-cheap", "deliverP99", 50),
    Target("rooms-1000", "microsPerDelivery", 20, 14),
    Target("rooms-2000", "microsPerDelivery", 11, 8),
    Target("rooms-2000", "deliverP99", 80),
    Target("rooms-most", "deliveriesPerSecond", 300_000, 1_000_000, at_least=True),
    Target("pairs-most", "messagesPerSecond", 10_000, 20_000, at_least=True),
    Target("fanout", "microsPerDelivery", 12, 9),
    Target("pairs", "microsPerDelivery", 400, 280),
    Target("connections", "kibPerConnection", 8, 5),
    Target("connections", "residentMb", 150),
    Target("reconnect", "caughtUpSeconds", 5, 2),
    Target("room-list", "callP50", 30, 10),
    Target("history", "callP50", 5, 3),
    Target("log", "eventsPerSecond", 20_000, 50_000, at_least=True),
    Target("idle", "idleMillisPerSecond", 30, 15),
)
