"""A verifier while auth is away or slow, from the start or when its keys have grown old."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from chassis.errors import BackendUnavailable, TokenInvalid
from chassis.tokens import KEYS_SECONDS, REFETCH_SECONDS, TokenVerifier
from tests.support.token_forge import CLAIMS, KEY, NOW, OTHER, Clock, es256, jwk, token


class SlowAuth:
    """Hangs until it is told to fail or to answer."""

    def __init__(self) -> None:
        self.asked = 0
        self.may_end = asyncio.Event()
        self.away = True
        self.keys = [jwk(KEY, "k1")]

    async def __call__(self) -> Sequence[Mapping[str, Any]]:
        self.asked += 1
        await self.may_end.wait()
        if self.away:
            raise BackendUnavailable("auth")
        return self.keys


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


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def verifier(auth: SlowAuth, clock: Clock) -> TokenVerifier:
    """It has the keys of now; auth hangs from here on."""
    verifier = TokenVerifier(auth, clock=clock)
    auth.away = False
    auth.may_end.set()
    await verifier.verify(token())
    auth.may_end.clear()
    return verifier


async def answered(auth: SlowAuth) -> None:
    """Lets auth answer a renewal, and waits until that has arrived."""
    auth.may_end.set()
    async with asyncio.timeout(20):
        await asyncio.gather(*(t for t in asyncio.all_tasks() if t.get_name() == "renew_token_keys"))
    auth.may_end.clear()


async def test_old_keys_are_renewed_behind_the_callers(
    verifier: TokenVerifier, auth: SlowAuth, clock: Clock
) -> None:
    """Nobody waits for it, and a hundred callers ask once."""
    clock.now += KEYS_SECONDS - 1
    await verifier.verify(token())
    await asyncio.sleep(0)
    assert auth.asked == 1
    clock.now += 1
    for number in range(100):
        async with asyncio.timeout(20):
            assert await verifier.verify(token(claims={**CLAIMS, "jti": str(number % 3)}))
        await asyncio.sleep(0)
    assert auth.asked == 2
    await answered(auth)
    await verifier.verify(token())
    await asyncio.sleep(0)
    assert auth.asked == 2


async def test_a_retired_key_is_trusted_for_minutes_only(
    verifier: TokenVerifier, auth: SlowAuth, clock: Clock
) -> None:
    """Without any unknown key id, and for tokens that were verified before."""
    before = token()
    assert await verifier.verify(before)
    auth.keys = [jwk(OTHER, "k2")]
    clock.now += KEYS_SECONDS
    assert verifier.verify_cached(before)
    await answered(auth)
    assert verifier.verify_cached(before) is None
    for gone in (before, token(claims={**CLAIMS, "jti": "another"})):
        with pytest.raises(TokenInvalid):
            await verifier.verify(gone)
    later = token({"alg": "ES256", "kid": "k2", "typ": "at+jwt"}, sign=lambda signed: es256(OTHER, signed))
    assert await verifier.verify(later)


async def test_old_keys_stay_while_auth_is_away(
    verifier: TokenVerifier, auth: SlowAuth, clock: Clock
) -> None:
    """A failure changes nothing; it is asked again half a minute later, not at every call."""
    auth.away = True
    clock.now += KEYS_SECONDS
    assert await verifier.verify(token())
    await answered(auth)
    clock.now += REFETCH_SECONDS - 1
    assert await verifier.verify(token())
    await asyncio.sleep(0)
    assert auth.asked == 2
    clock.now += 1
    assert await verifier.verify(token())
    await asyncio.sleep(0)
    assert auth.asked == 3
