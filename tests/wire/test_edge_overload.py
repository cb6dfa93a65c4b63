"""More people at the door than the edge may let in at once: the rest are told early when to come back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from websockets.exceptions import InvalidStatus

from edge.config import EdgeLiveSettings
from tests.support.edge_client import Client, Here, client, open_here, raw_client, until
from tests.support.edge_world import token

Crowded = tuple[Here, list[Client]]


@pytest.fixture
async def crowded() -> AsyncIterator[Crowded]:
    """An edge with room for two openings, and a chat that does not answer any."""
    async with open_here() as here, AsyncExitStack() as openings:
        here.limits[0] = EdgeLiveSettings(opening_connections=2)
        here.chat.hold_opens = True
        waiting = [await openings.enter_async_context(raw_client(here)) for _ in range(3)]
        for number, one in enumerate(waiting[:2]):
            await one.send(id=1, hello={"accessToken": token(number + 1)})
        await until(lambda: sum(len(request.open) for request in here.chat.requests) == 2)
        yield here, waiting


async def test_an_upgrade_without_room_is_refused_early_with_503(crowded: Crowded) -> None:
    """Trusted addresses too: a proxy brings everybody. It says when to come back."""
    here, _ = crowded
    with pytest.raises(InvalidStatus) as refused:
        async with raw_client(here):
            pass
    assert refused.value.response.status_code == 503
    assert 1 <= int(refused.value.response.headers["retry-after"]) <= 5
    assert b"OVERLOADED" in (refused.value.response.body or b"")
    assert here.value("refused_handshakes_total", reason="OVERLOADED") == 1


async def test_a_hello_without_room_closes_with_4104(crowded: Crowded) -> None:
    """Who was upgraded before it got crowded: an error with retryAfter, then the code that says wait."""
    late = crowded[1][2]
    await late.send(id=1, hello={"accessToken": token(3)})
    error = (await late.frame())["error"]
    assert (error["code"], error["reason"], error["retryable"]) == ("RESOURCE_EXHAUSTED", "OVERLOADED", True)
    assert 1 <= float(error["retryAfter"].removesuffix("s")) <= 5
    assert await late.close_code() == 4104


async def test_an_opening_that_ends_makes_room(crowded: Crowded) -> None:
    """By leaving, as by a welcome: nobody is kept out by those who were here."""
    here, waiting = crowded
    here.chat.hold_opens = False
    await waiting[0].socket.close()
    await until(lambda: here.value("closes_total", code="1000") == 1)
    for user in (4, 5, 6):
        async with client(here, user) as welcomed:
            assert welcomed.welcome["userId"] == str(user)
