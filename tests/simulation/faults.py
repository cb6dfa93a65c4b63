"""What may go wrong at any step, each with its share; a run that settles has all of them at zero."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field, fields


@dataclass
class Faults:
    """Shares between 0 and 1. `counts` tells how often each one struck."""

    chance: random.Random
    request_lost: float = 0.0
    """A unary call fails before the server sees it."""
    reply_lost: float = 0.0
    """A unary call fails after the server did it."""
    store_before: float = 0.0
    """PostgreSQL fails before the commit."""
    store_after: float = 0.0
    """The commit stands and its answer is lost."""
    store_late: float = 0.0
    """The answer is given up, and the transaction commits later."""
    row_locked: float = 0.0
    produce_lost: float = 0.0
    """A request to Kafka gets lost and is repeated by the client."""
    ack_lost: float = 0.0
    """Kafka appended, and the client repeats because it was not told."""
    produce_failed: float = 0.0
    """The client library gives up, before or after the append."""
    hint_lost: float = 0.0
    """A room's or an instance's hint goes nowhere."""
    publish_failed: float = 0.0
    """Redis does not take a pipeline, or takes it and does not answer."""
    counts: Counter[str] = field(default_factory=Counter)

    def strikes(self, name: str) -> bool:
        """Whether this fault happens now."""
        share: float = getattr(self, name)
        if share and self.chance.random() < share:
            self.counts[name] += 1
            return True
        return False

    def either(self) -> bool:
        """One of two, for faults that come in two forms."""
        return self.chance.random() < 0.5

    def draw(self) -> None:
        """A seed's own weather: some faults often, some never."""
        for item in fields(self):
            if item.type == "float":
                often = self.chance.random()
                share = 0.0 if often < 0.4 else self.chance.choice((0.01, 0.03, 0.1))
                setattr(self, item.name, share)

    def end(self) -> None:
        """Nothing goes wrong any more."""
        for item in fields(self):
            if item.type == "float":
                setattr(self, item.name, 0.0)
