"""The life of a signing key on a clock that is set."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from datetime import timedelta

import pytest

from chassis.errors import BackendUnavailable
from chassis.tokens import TokenVerifier
from services.auth.domain import ACCESS_TOKEN_LIFE
from services.auth.key_rotation import PUBLISH_AHEAD, RETIRED_KEPT, KeyState, NewKey, SigningKey, rotate
from tests.support.auth_world import START, World

PERIOD = timedelta(days=30)


def forge_of() -> itertools.count[int]:
    """Numbers for new keys."""
    return itertools.count(1)


def step(keys: Sequence[SigningKey], at: timedelta, numbers: itertools.count[int]) -> tuple[SigningKey, ...]:
    """The rotation at a moment after the start."""
    return rotate(keys, START + at, PERIOD, lambda: NewKey(f"k{next(numbers)}", {}, b"sealed"))


def shown(keys: Sequence[SigningKey]) -> dict[str, str]:
    """State by kid."""
    return {key.kid: str(key.state) for key in keys}


def test_the_first_key_signs_at_once() -> None:
    """Nobody can know another key yet."""
    assert shown(step((), timedelta(), forge_of())) == {"k1": "current"}


def test_nothing_changes_without_need() -> None:
    """In the middle of its time a key stays as it is."""
    numbers = forge_of()
    keys = step((), timedelta(), numbers)
    assert step(keys, timedelta(days=28), numbers) == keys


def test_the_next_key_is_published_a_day_before_it_signs() -> None:
    """It is shown for 24 h; then it signs, and of the old one only the public half is kept."""
    numbers = forge_of()
    keys = step(step((), timedelta(), numbers), timedelta(days=29), numbers)
    assert shown(keys) == {"k1": "current", "k2": "next"}
    keys = step(keys, timedelta(days=30) - timedelta(seconds=1), numbers)
    assert shown(keys) == {"k1": "current", "k2": "next"}
    keys = step(keys, timedelta(days=30), numbers)
    assert shown(keys) == {"k2": "current", "k1": "retired"}
    (retired,) = [key for key in keys if key.state is KeyState.RETIRED]
    assert retired.sealed_private is None
    assert retired.not_after - (START + timedelta(days=30)) >= ACCESS_TOKEN_LIFE


def test_a_retired_key_goes_in_the_end() -> None:
    """A day later no token of it can be alive."""
    numbers = forge_of()
    keys = step(step((), timedelta(), numbers), timedelta(days=29), numbers)
    keys = step(keys, timedelta(days=30), numbers)
    keys = step(keys, timedelta(days=30) + RETIRED_KEPT, numbers)
    assert shown(keys) == {"k2": "current"}


def test_after_a_long_stop_the_new_key_is_still_published_first() -> None:
    """A service that was down past the rotation goes on with the old key for one more day."""
    numbers = forge_of()
    keys = step(step((), timedelta(), numbers), timedelta(days=100), numbers)
    assert shown(keys) == {"k1": "current", "k2": "next"}
    keys = step(keys, timedelta(days=100) + PUBLISH_AHEAD, numbers)
    assert shown(keys) == {"k2": "current", "k1": "retired"}


async def test_a_verifier_a_day_behind_checks_every_token() -> None:
    """Over two rotations, keys read 23 h ago are enough for a token signed now."""
    world = await World().start()
    pair = await world.register()
    kids = set()
    for _ in range(80):
        known = world.keys.jwks()
        world.clock.pass_time(timedelta(hours=23))
        await world.keys.refresh()
        pair = await world.sessions.refresh(pair.refresh_token, None)

        async def read_before(known: Sequence[Mapping[str, str]] = known) -> Sequence[Mapping[str, str]]:
            return known

        verifier = TokenVerifier(read_before, clock=world.clock.seconds)
        assert (await verifier.verify(pair.access_token)).user_id == pair.user_id
        kids.add(world.keys.current().kid)
    assert len(kids) == 3


async def test_without_a_key_nothing_is_signed() -> None:
    """Before the store was read once, sign-ins are UNAVAILABLE and the process is not ready."""
    world = World()
    assert world.keys.problem() is not None
    with pytest.raises(BackendUnavailable):
        await world.register()
    await world.start()
    assert world.keys.problem() is None


async def test_the_last_view_stays_when_the_store_is_away() -> None:
    """Signing goes on while PostgreSQL does not answer."""
    world = await World().start()
    kid = world.keys.current().kid

    class Away:
        async def change(self, _plan: object) -> Sequence[SigningKey]:
            raise BackendUnavailable("postgres")

    world.keys._store = Away()
    with pytest.raises(BackendUnavailable):
        await world.keys.refresh()
    assert world.keys.current().kid == kid
