"""Signing keys, in memory and on PostgreSQL."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import replace
from datetime import timedelta

from services.auth.key_rotation import KeyState, SigningKey
from tests.support.auth_stores import NOW, Stores


def key(kid: str, state: KeyState) -> SigningKey:
    """A key in a state."""
    sealed = None if state is KeyState.RETIRED else b"sealed"
    return SigningKey(kid, state, {"kid": kid, "kty": "EC"}, sealed, NOW, NOW + timedelta(days=30))


async def test_keys_change_as_planned(stores: Stores) -> None:
    """Added, moved to another state and removed in one step; what comes back is what is stored."""
    first = key("a", KeyState.CURRENT)
    upcoming = key("b", KeyState.NEXT)
    assert list(await stores.keys.change(lambda _: [first, upcoming])) == [first, upcoming]
    moved = [replace(upcoming, state=KeyState.CURRENT), key("a", KeyState.RETIRED)]
    await stores.keys.change(lambda _: moved)
    seen = list(await stores.keys.change(lambda keys: keys))
    assert sorted(seen, key=lambda k: k.kid) == sorted(moved, key=lambda k: k.kid)
    await stores.keys.change(lambda _: moved[:1])
    assert list(await stores.keys.change(lambda keys: keys)) == moved[:1]


async def test_the_first_key_is_made_once(stores: Stores) -> None:
    """Many instances that start together agree on one key."""
    numbers = itertools.count()

    def first(keys: object) -> list[SigningKey]:
        return list(keys) or [key(f"k{next(numbers)}", KeyState.CURRENT)]  # type: ignore[call-overload]

    results = await asyncio.gather(*(stores.keys.change(first) for _ in range(6)))
    assert {tuple(k.kid for k in keys) for keys in results} == {("k0",)}
