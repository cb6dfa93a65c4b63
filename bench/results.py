"""What one repeat of a scenario gives, whatever it measures."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any

from bench.world import World


@dataclass(frozen=True)
class Repeat:
    """Figures by their names in FIGURES; `parts` says what each part of the stack has in one of them."""

    figures: Mapping[str, float]
    parts: Mapping[str, float] = field(default_factory=dict)
    parts_of: str = "microsPerDelivery"
    broken: Sequence[str] = ()
    """Promises that did not hold, each in a sentence: the figures are worth nothing then."""
    raw: Mapping[str, Any] = field(default_factory=dict)


Once = Callable[[], Awaitable[Repeat]]
Opened = AbstractAsyncContextManager[Once]


@dataclass(frozen=True)
class Scenario:
    """What is measured. `open` prepares a world for it and gives what makes one repeat."""

    text: str
    open: Callable[[World], Opened]
    clients: int
    """Connections at the most, at full size."""
    env: Mapping[str, str] = field(default_factory=dict)
    """Settings of the stack: environment variables, as `POLYCHAT_PRODUCE_PACE_MS`."""
    warm: bool = True
    """Whether `--warm` and `--seconds` mean something to it."""


FIGURES = {
    "microsPerDelivery": "server CPU, us per delivery",
    "microsPerMessage": "server CPU, us per message",
    "floorMicrosPerDelivery": "floor CPU, us per delivery",
    "ratioToFloor": "server CPU / floor CPU",
    "deliverP50": "send to delivery p50, ms",
    "deliverP99": "send to delivery p99, ms",
    "ackP50": "send to ack p50, ms",
    "ackP99": "send to ack p99, ms",
    "floorDeliverP99": "floor: send to delivery p99, ms",
    "generatorMicrosPerDelivery": "generator CPU, us per delivery",
    "deliveriesPerSecond": "most deliveries a second",
    "messagesPerSecond": "most messages a second",
    "floorDeliveriesPerSecond": "floor: most deliveries a second",
    "floorMessagesPerSecond": "floor: most messages a second",
    "kibPerConnection": "edge memory, KiB per connection",
    "residentMb": "edge memory, MB (10^6 bytes) in all",
    "beforeMb": "the same edge before, MB",
    "connections": "connections",
    "caughtUpSeconds": "until all have caught up, s",
    "caughtUpP50Seconds": "until half have caught up, s",
    "clients": "clients",
    "readsPerClient": "calls to message per client",
    "transactionsPerClient": "database transactions per client",
    "refusals": "attempts told to come later",
    "millisPerClient": "server CPU, ms per client",
    "callP50": "call p50, ms",
    "callP99": "call p99, ms",
    "wholeP50": "the whole list p50, ms",
    "wholeP99": "the whole list p99, ms",
    "serverMicrosPerCall": "server CPU, us per call",
    "messagesStored": "messages in the database",
    "rooms": "rooms",
    "eventsPerSecond": "events committed a second",
    "microsPerEvent": "server CPU, us per event",
    "events": "events",
    "idleMillisPerSecond": "CPU, ms a second",
}
"""What each name means, in the order of the table."""
