"""Refresh tokens: one alive at a time, a short grace for lost answers, and an end for thieves."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from chassis.errors import InvalidField, RateLimited, SessionRevoked
from services.auth.domain import TokenPair
from services.auth.errors import RefreshTokenInvalid, RefreshTokenReused
from services.auth.ports import Rate
from tests.support.auth_world import UNLIMITED, World

LATER = timedelta(seconds=11)


@pytest.fixture
async def world() -> World:
    return await World().start()


async def test_a_refresh_gives_a_new_pair(world: World) -> None:
    """Both tokens are new, and the new refresh token works in its turn."""
    first = await world.register()
    second = await world.sessions.refresh(first.refresh_token, None)
    assert second.refresh_token != first.refresh_token
    assert second.access_token != first.access_token
    third = await world.sessions.refresh(second.refresh_token, None)
    assert third.user_id == first.user_id


async def test_a_lost_answer_is_given_again(world: World) -> None:
    """The token spent last, shown again within 10 s, gets the very same refresh token."""
    first = await world.register()
    second = await world.sessions.refresh(first.refresh_token, None)
    world.clock.pass_time(timedelta(seconds=10))
    assert (await world.sessions.refresh(first.refresh_token, None)).refresh_token == second.refresh_token
    assert await world.sessions.refresh(second.refresh_token, None)


async def test_two_refreshes_at_once_get_the_same_pair(world: World) -> None:
    """Only one of them spends the token; the other is in grace."""
    first = await world.register()
    pairs = await asyncio.gather(*(world.sessions.refresh(first.refresh_token, None) for _ in range(5)))
    assert len({pair.refresh_token for pair in pairs}) == 1
    (session,) = world.tables.sessions.values()
    assert session.generation == 2


async def test_reuse_after_the_grace_ends_the_session(world: World) -> None:
    """A spent token after 10 s: the session is over for everybody, the edges and the audit log know."""
    first = await world.register()
    second = await world.sessions.refresh(first.refresh_token, None)
    world.clock.pass_time(LATER)
    with pytest.raises(RefreshTokenReused):
        await world.sessions.refresh(first.refresh_token, None)
    (session,) = world.tables.sessions.values()
    assert session.end_reason == "refresh_token_reused"
    assert world.hints.heard == [session.session_id]
    assert world.audited()[-1] == "refresh_token_reused"
    with pytest.raises(SessionRevoked):
        await world.sessions.refresh(second.refresh_token, None)


async def test_reuse_is_answered_alike_every_time(world: World) -> None:
    """A repeat of the reuse is still told apart from junk, and neither audited nor told again."""
    first = await world.register()
    await world.sessions.refresh(first.refresh_token, None)
    world.clock.pass_time(LATER)
    for _ in range(3):
        with pytest.raises(RefreshTokenReused):
            await world.sessions.refresh(first.refresh_token, None)
    assert len(world.hints.heard) == 1
    assert world.audited().count("refresh_token_reused") == 1


async def test_an_older_generation_has_no_grace(world: World) -> None:
    """Only the immediate predecessor may come again, however fast the others were spent."""
    first = await world.register()
    second = await world.sessions.refresh(first.refresh_token, None)
    await world.sessions.refresh(second.refresh_token, None)
    with pytest.raises(RefreshTokenReused):
        await world.sessions.refresh(first.refresh_token, None)


async def test_another_device_has_no_grace(world: World) -> None:
    """The spent token from another address is a theft, even within the 10 s."""
    first = await world.register()
    await world.sessions.refresh(first.refresh_token, "192.0.2.1")
    with pytest.raises(RefreshTokenReused):
        await world.sessions.refresh(first.refresh_token, "198.51.100.7")


async def test_an_ended_session_has_no_grace(world: World) -> None:
    """After a sign-out the predecessor does not bring the session back."""
    first = await world.register()
    await world.sessions.refresh(first.refresh_token, None)
    (session_id,) = world.tables.sessions
    await world.sessions.logout(first.user_id, session_id, None)
    with pytest.raises(RefreshTokenReused):
        await world.sessions.refresh(first.refresh_token, None)


@pytest.mark.parametrize("token", ["x", "", "A" * 512])
async def test_junk_is_no_refresh_token(world: World, token: str) -> None:
    """What we never gave out is refused and ends nothing."""
    await world.register()
    with pytest.raises(RefreshTokenInvalid):
        await world.sessions.refresh(token, None)
    assert world.hints.heard == []


async def test_an_access_token_is_no_refresh_token(world: World) -> None:
    """Token confusion: each kind is good for its own purpose only."""
    pair = await world.register()
    with pytest.raises(RefreshTokenInvalid):
        await world.sessions.refresh(pair.access_token, None)


async def test_an_idle_session_expires(world: World) -> None:
    """Two weeks without a refresh end a session; a refresh starts them anew."""
    pair = await world.register()
    world.clock.pass_time(timedelta(days=13))
    pair = await world.sessions.refresh(pair.refresh_token, None)
    world.clock.pass_time(timedelta(days=14))
    with pytest.raises(RefreshTokenInvalid):
        await world.sessions.refresh(pair.refresh_token, None)


async def test_a_session_ends_after_ninety_days(world: World) -> None:
    """However often it is refreshed; the last access token ends with it."""
    pair = await world.register()
    for _ in range(8):
        world.clock.pass_time(timedelta(days=11))
        pair = await world.sessions.refresh(pair.refresh_token, None)
    world.clock.pass_time(timedelta(days=2) - timedelta(minutes=5))
    pair = await world.sessions.refresh(pair.refresh_token, None)
    assert pair.expires_in == timedelta(minutes=5)
    world.clock.pass_time(timedelta(minutes=5))
    with pytest.raises(RefreshTokenInvalid):
        await world.sessions.refresh(pair.refresh_token, None)


async def test_logout_ends_the_session_once(world: World) -> None:
    """The second time the session is gone already."""
    pair = await world.register()
    (session_id,) = world.tables.sessions
    await world.sessions.logout(pair.user_id, session_id, None)
    assert world.hints.heard == [session_id]
    with pytest.raises(SessionRevoked):
        await world.sessions.logout(pair.user_id, session_id, None)
    with pytest.raises(SessionRevoked):
        await world.sessions.refresh(pair.refresh_token, None)
    assert world.audited().count("signed_out") == 1


async def test_check_names_what_does_not_stand(world: World) -> None:
    """Ended, expired and unknown sessions come back, standing ones do not."""
    pair = await world.register()
    await world.login()
    first, second = sorted(world.tables.sessions)
    await world.sessions.logout(pair.user_id, first, None)
    assert await world.sessions.check([first, second, 5]) == [5, first]
    world.clock.pass_time(timedelta(days=15))
    assert await world.sessions.check([second]) == [second]


async def test_check_is_bounded(world: World) -> None:
    """More than 5,000 at once are refused."""
    with pytest.raises(InvalidField):
        await world.sessions.check(range(1, 5002))


async def test_ended_sessions_are_deleted_after_a_month(world: World) -> None:
    """Until then a spent token is told apart from junk."""
    pair = await world.register()
    world.clock.pass_time(timedelta(days=14 + 29))
    assert await world.sessions.purge() == 0
    world.clock.pass_time(timedelta(days=2))
    assert await world.sessions.purge() == 1
    with pytest.raises(RefreshTokenInvalid):
        await world.sessions.refresh(pair.refresh_token, None)


class StolenToken(RuleBasedStateMachine):
    """A victim and a thief share a session; each refreshes with any token they ever got, at any time."""

    @initialize()
    def sign_in(self) -> None:
        """Both start with the same token: it was stolen."""
        self.world = World()
        self.runner = asyncio.Runner()
        self.runner.run(self.world.start())
        pair: TokenPair = self.runner.run(self.world.register())
        self.held = {"victim": [pair.refresh_token], "thief": [pair.refresh_token]}
        self.dead = False

    def teardown(self) -> None:
        """Ends the loop of this run."""
        if hasattr(self, "runner"):
            self.runner.close()

    @rule(who=st.sampled_from(["victim", "thief"]), back=st.integers(0, 3))
    def refresh(self, who: str, back: int) -> None:
        """Shows one of the last tokens."""
        token = self.held[who][-1 - min(back, len(self.held[who]) - 1)]
        try:
            pair = self.runner.run(self.world.sessions.refresh(token, None))
        except (RefreshTokenReused, SessionRevoked):
            self.dead = True
        else:
            assert not self.dead, "a dead session gave a token"
            self.held[who].append(pair.refresh_token)

    @rule(seconds=st.sampled_from([1, 11]))
    def wait(self, seconds: int) -> None:
        """Time passes, within the grace or past it."""
        self.world.clock.pass_time(timedelta(seconds=seconds))

    @invariant()
    def one_token_lives(self) -> None:
        """At most one token of the session can be spent."""
        if not hasattr(self, "world"):
            return
        alive = [t for _, t in self.world.tables.tokens.values() if t.replaced_time is None]
        assert len(alive) == 1


TestStolenToken = StolenToken.TestCase
TestStolenToken.settings = settings(max_examples=40, stateful_step_count=20, deadline=None)


async def test_a_session_is_refreshed_so_often_and_no_more(world: World) -> None:
    """Past the limit the token is not spent: after the time to wait it works. Other sessions go on."""
    world.limits = replace(UNLIMITED, refresh_session=Rate(10, 60.0))
    pair, other = await world.register(), await world.register("grace")
    for _ in range(10):
        pair = await world.sessions.refresh(pair.refresh_token, None)
    with pytest.raises(RateLimited) as caught:
        await world.sessions.refresh(pair.refresh_token, None)
    assert caught.value.retry_after == pytest.approx(6.0)
    assert await world.sessions.refresh(other.refresh_token, None)
    world.clock.pass_time(timedelta(seconds=6))
    assert await world.sessions.refresh(pair.refresh_token, None)


async def test_a_repeat_counts_against_the_limit(world: World) -> None:
    """A lost answer that is asked for again and again costs as much."""
    world.limits = replace(UNLIMITED, refresh_session=Rate(2, 60.0))
    pair = await world.register()
    for _ in range(2):
        await world.sessions.refresh(pair.refresh_token, None)
    with pytest.raises(RateLimited):
        await world.sessions.refresh(pair.refresh_token, None)


async def test_no_limit_shields_a_thief(world: World) -> None:
    """A token spent long ago ends the session, however often it was refreshed."""
    world.limits = replace(UNLIMITED, refresh_session=Rate(2, 60.0))
    first = await world.register()
    second = await world.sessions.refresh(first.refresh_token, None)
    await world.sessions.refresh(second.refresh_token, None)
    with pytest.raises(RefreshTokenReused):
        await world.sessions.refresh(first.refresh_token, None)
