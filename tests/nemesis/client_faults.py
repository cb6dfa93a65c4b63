"""Faults at the clients' end: connections that are gone without a word."""

from __future__ import annotations

import random

from tests.nemesis.fault import Fault, Inject, World


def client_faults() -> list[Fault]:
    """All clients at once, or some."""
    return [
        Fault("cut all clients", "clients", _cuts(1.0), weight=2),
        Fault("cut some clients", "clients", _cuts(0.3), weight=2),
    ]


def _cuts(share: float) -> Inject:
    async def cut(world: World, _seconds: float, chance: random.Random) -> None:
        for client in (*world.swarm.clients, *world.wanderers.clients):
            if chance.random() < share:
                client.cut()

    return cut
