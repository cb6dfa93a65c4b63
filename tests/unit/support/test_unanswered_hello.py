"""A server that neither answers a hello nor closes breaks a promise, and the swarm's client says so."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.api import Api, User
from tests.support.eventually import eventually
from tests.support.journal import Journal
from tests.support.peer import Peer
from tests.support.swarm_client import SwarmClient
from tests.support.transports import Closed, Frame, Transport

SHORT = 0.05


class SilentEdge:
    """Takes every frame and says nothing, or ends the connection at the first one."""

    def __init__(self, *, closes: bool) -> None:
        self._closes = closes
        self._over = asyncio.Event()

    async def send(self, _frame: Frame) -> None:
        """No reply."""
        if self._closes:
            self._over.set()

    async def receive(self) -> Frame:
        """The end only."""
        await self._over.wait()
        raise Closed(0, "lost")

    async def close(self) -> None:
        """Ends the reading."""
        self._over.set()

    def abort(self) -> None:
        """Lost."""
        self._over.set()


@pytest.mark.parametrize("closes", [False, True], ids=["silent", "closed"])
async def test_a_hello_is_answered_or_its_connection_closed(
    monkeypatch: pytest.MonkeyPatch, closes: bool
) -> None:
    """The client tries again in either case."""
    monkeypatch.setattr(Peer.ask, "__defaults__", (SHORT,))
    opened: list[SilentEdge] = []

    async def open_() -> Transport:
        opened.append(SilentEdge(closes=closes))
        return opened[-1]

    async def again() -> bool:
        return len(opened) > 2

    journal = Journal()
    client = SwarmClient("c", User(9, "c", "t", "r"), [], open_, Api("http://127.0.0.1:1"), journal, seed=1)
    running = asyncio.create_task(client.run())
    await eventually(again, what="the third connection")
    running.cancel()
    await asyncio.wait([running])
    told = {"c got neither an answer nor a close for its hello"}
    assert set(journal.complaints) == (set() if closes else told)
