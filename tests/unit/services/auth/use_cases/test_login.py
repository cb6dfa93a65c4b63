"""Signing in: who may, what it costs, and how many sessions there can be."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from chassis.errors import InvalidField, RateLimited
from services.auth.domain import MAX_SESSIONS
from services.auth.errors import InvalidCredentials
from services.auth.ports import Rate
from tests.support.auth_world import PASSWORD, UNLIMITED, World


@pytest.fixture
async def world() -> World:
    world = await World().start()
    await world.register()
    return world


def limit(world: World, *, user: int = 1_000_000, address: int = 1_000_000) -> None:
    """Sets the tries a minute."""
    world.limits = replace(UNLIMITED, login_user=Rate(user, 60.0), login_address=Rate(address, 60.0))


async def test_unknown_name_and_wrong_password_answer_alike(world: World) -> None:
    """The same failure after the same work: one password is checked in both cases, and both are audited."""
    failures = []
    for username, password in (("ada", "wrong"), ("nobody", PASSWORD)):
        checked = world.hasher.checks
        with pytest.raises(InvalidCredentials) as caught:
            await world.login(username, password)
        failures.append((caught.value.message, caught.value.metadata, world.hasher.checks - checked))
    assert failures[0] == failures[1]
    assert failures[0][2] == 1
    assert world.audited()[-2:] == ["sign_in_failed", "sign_in_failed"]


async def test_the_audit_log_does_not_keep_an_unknown_name(world: World) -> None:
    """People type passwords into the name field, so a name that nobody has is not written down."""
    with pytest.raises(InvalidCredentials):
        await world.login("hunter2")
    assert world.tables.audit[-1].user_id is None
    assert "hunter2" not in repr(world.tables.audit)


async def test_an_outdated_hash_is_renewed(world: World) -> None:
    """A password hashed with old parameters is hashed anew at the next sign-in, and only then."""
    world.hasher.version = 2
    with pytest.raises(InvalidCredentials):
        await world.login(password="wrong")
    (account,) = world.tables.accounts.values()
    assert account.password_hash.startswith("v1:")
    await world.login()
    (account,) = world.tables.accounts.values()
    assert account.password_hash == f"v2:{PASSWORD}"
    assert await world.login()


async def test_the_eleventh_session_ends_the_oldest(world: World) -> None:
    """A user has ten sessions at most; the oldest one ends and the edges are told."""
    oldest = min(world.tables.sessions)
    for _ in range(MAX_SESSIONS):
        await world.login()
    standing = [s for s in world.tables.sessions.values() if s.end_time is None]
    assert len(standing) == MAX_SESSIONS
    assert world.hints.heard == [oldest]


async def test_expired_sessions_do_not_count(world: World) -> None:
    """Sessions that ran out leave room without anything being ended."""
    for _ in range(MAX_SESSIONS - 1):
        await world.login()
    world.clock.pass_time(timedelta(days=15))
    await world.login()
    assert world.hints.heard == []


async def test_too_many_tries_at_one_account(world: World) -> None:
    """Past the limit even the right password is refused, with the time to wait; then it is let in again."""
    limit(world, user=5)
    for _ in range(5):
        with pytest.raises(InvalidCredentials):
            await world.login(password="wrong", address="192.0.2.1")
    checked = world.hasher.checks
    with pytest.raises(RateLimited) as caught:
        await world.login(address="192.0.2.1")
    assert caught.value.retry_after == pytest.approx(12.0)
    assert world.hasher.checks == checked
    world.clock.pass_time(timedelta(seconds=12))
    assert await world.login(address="192.0.2.1")


async def test_guessing_does_not_lock_the_owner_out(world: World) -> None:
    """However often others guess from elsewhere, the user signs in from their own address."""
    limit(world, user=5, address=30)
    for host in range(200):
        for _ in range(6):
            with pytest.raises((InvalidCredentials, RateLimited)):
                await world.login(password="wrong", address=f"198.51.100.{host}")
    assert await world.login(address="192.0.2.1")


async def test_too_many_tries_from_one_address(world: World) -> None:
    """One address cannot try many names either."""
    limit(world, user=5, address=30)
    for number in range(30):
        with pytest.raises(InvalidCredentials):
            await world.login(f"user{number}", address="192.0.2.1")
    with pytest.raises(RateLimited):
        await world.login(address="192.0.2.1")


async def test_too_many_tries_in_all(world: World) -> None:
    """Many addresses that try many names have one limit together; what was refused before does not count."""
    world.limits = replace(UNLIMITED, login_address=Rate(2, 60.0), login_all=Rate(6, 60.0))
    for host in range(3):
        for number in range(4):
            with pytest.raises(InvalidCredentials if number < 2 else RateLimited):
                await world.login(f"user{host}{number}", address=f"198.51.100.{host}")
    checked = world.hasher.checks
    for address in ("192.0.2.1", None):
        with pytest.raises(RateLimited) as caught:
            await world.login(address=address)
        assert caught.value.retry_after == pytest.approx(10.0)
    assert world.hasher.checks == checked
    world.clock.pass_time(timedelta(seconds=10))
    assert await world.login(address="192.0.2.1")


async def test_a_name_in_another_case_has_the_same_limit(world: World) -> None:
    """Changing the case of the name gives no more tries."""
    limit(world, user=2)
    for username in ("ada", "ADA"):
        with pytest.raises(InvalidCredentials):
            await world.login(username, "wrong")
    with pytest.raises(RateLimited):
        await world.login("Ada")


@pytest.mark.parametrize("username", ["a\0da", "\0"])
async def test_a_name_that_cannot_be_stored_is_refused(world: World, username: str) -> None:
    """U+0000 is an invalid field, not an internal error."""
    with pytest.raises(InvalidField):
        await world.login(username)
