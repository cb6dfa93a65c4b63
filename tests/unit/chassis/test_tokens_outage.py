"""A verifier while auth is away from the start."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from chassis.errors import BackendUnavailable
from chassis.tokens import TokenVerifier
from tests.support.token_forge import KEY, NOW, jwk, token


class SlowAuth:
    """Hangs until it is told to fail or to answer."""

    def __init__(self) -> None:
        self.asked = 0
        self.may_end = asyncio.Event()
        self.away = True

    async def __call__(self) -> Sequence[Mapping[str, Any]]:
        self.asked += 1
        await self.may_end.wait()
        if self.away:
            raise BackendUnavailable("auth")
        return [jwk(KEY, "k1")]


@pytest.fixture
def auth() -> SlowAuth:
    return SlowAuth()


async def storm(verifier: TokenVerifier, auth: SlowAuth) -> list[object]:
    """A hundred callers at once, all of them waiting before auth ends."""
    calls = [asyncio.create_task(verifier.verify(token())) for _ in range(100)]
    await asyncio.sleep(0)
    auth.may_end.set()
    return await asyncio.gather(*calls, return_exceptions=True)


async def test_all_who_wait_share_one_failure(auth: SlowAuth) -> None:
    """Not a timeout each, one after the other: the last of a hundred would wait for minutes."""
    verifier = TokenVerifier(auth, clock=lambda: NOW)
    found = await storm(verifier, auth)
    assert {type(item) for item in found} == {BackendUnavailable}
    assert auth.asked == 1


async def test_who_comes_next_asks_again(auth: SlowAuth) -> None:
    """The failure is not remembered: the moment auth answers, everybody is let in."""
    verifier = TokenVerifier(auth, clock=lambda: NOW)
    await storm(verifier, auth)
    auth.away = False
    assert (await verifier.verify(token())).user_id == 7
    assert auth.asked == 2


async def test_a_caller_who_gives_up_costs_the_others_nothing(auth: SlowAuth) -> None:
    """The one that asked is cancelled at its deadline; the next of them asks."""
    verifier = TokenVerifier(auth, clock=lambda: NOW)
    first, second = (asyncio.create_task(verifier.verify(token())) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait([first])
    auth.away = False
    auth.may_end.set()
    assert (await second).user_id == 7
