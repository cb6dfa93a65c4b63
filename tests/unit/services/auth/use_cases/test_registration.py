"""Registering: an account and its profile, or neither, whichever step fails."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from chassis.errors import BackendUnavailable, InvalidField
from services.auth.errors import EmailTaken, InvalidCredentials, UsernameTaken
from services.auth.use_cases.registration import NewUser
from tests.support.auth_world import PASSWORD, World, away, nothing


@pytest.fixture
async def world() -> World:
    return await World().start()


def nothing_left(world: World) -> bool:
    """Neither an account nor a profile is there."""
    return not world.tables.accounts and not world.profiles.names and not world.profiles.emails


async def test_a_registered_user_is_signed_in(world: World) -> None:
    """Register gives a pair of tokens, and the password signs in from then on, in any case of the name."""
    pair = await world.register("Ada")
    assert pair.username == "Ada"
    assert pair.user_id in world.profiles.names
    assert (await world.login("aDA")).user_id == pair.user_id
    assert world.audited() == ["registered", "signed_in", "signed_in"]


async def test_a_name_in_another_case_is_taken(world: World) -> None:
    """Two names that differ only in case are one."""
    await world.register("Ada")
    with pytest.raises(UsernameTaken) as caught:
        await world.register("aDA")
    assert caught.value.metadata == {"username": "aDA"}


@pytest.mark.parametrize("password", ["password1", "PassWord1", "1q2w3e4r", "qwertyuiop"])
async def test_a_common_password_is_refused(world: World, password: str) -> None:
    """In any case of its letters, before any work; the field is named and the password is not."""
    with pytest.raises(InvalidField) as caught:
        await world.register(password=password)
    (violation,) = caught.value.violations
    assert violation.field == "password"
    assert password not in violation.description + caught.value.message
    assert nothing_left(world)


async def test_a_password_with_a_common_one_in_it_is_taken(world: World) -> None:
    """Nothing but the whole password is compared, and there is no rule of composition."""
    for number, password in enumerate(("password1 of my own", " password1", "ppassword")):
        assert await world.register(f"user{number}", password=password)


async def test_a_taken_email_leaves_the_name_free(world: World) -> None:
    """EMAIL_TAKEN takes the reservation back, so that the name can be registered at once."""
    await world.register("ada", "ada@example.org")
    with pytest.raises(EmailTaken):
        await world.register("grace", "ADA@example.org")
    assert await world.register("grace", "grace@example.org")


async def test_user_service_down_leaves_nothing(world: World) -> None:
    """When the profile cannot be made nothing is left once the service answers; the same name works then."""
    world.profiles.before_put = world.profiles.before_remove = away
    with pytest.raises(BackendUnavailable):
        await world.register()
    with pytest.raises(BackendUnavailable):
        await world.register()
    world.profiles.before_put = world.profiles.before_remove = lambda: None
    assert await world.register()
    assert len(world.tables.accounts) == len(world.profiles.names) == 1


async def test_a_lost_answer_of_the_user_service_leaves_nothing(world: World) -> None:
    """The profile was made and the answer lost: it is removed again."""
    world.profiles.after_put = away
    with pytest.raises(BackendUnavailable):
        await world.register("ada", "ada@example.org")
    assert nothing_left(world)


async def test_a_crash_after_the_profile_frees_the_name_soon(world: World) -> None:
    """A registration that died holds the name for 10 s; then the next one clears it away and has it."""

    def crash() -> None:
        raise asyncio.CancelledError

    world.profiles.after_put = crash
    with pytest.raises(asyncio.CancelledError):
        await world.register("ada", "ada@example.org")
    world.profiles.after_put = lambda: None
    with pytest.raises(UsernameTaken):
        await world.register("ada", "ada@example.org")
    world.clock.pass_time(timedelta(seconds=11))
    pair = await world.register("ada", "ada@example.org")
    assert set(world.profiles.names) == {pair.user_id}


async def test_the_sweep_removes_what_a_crash_left(world: World) -> None:
    """A minute after a crash the sweep has removed account and profile, and not before."""

    def crash() -> None:
        raise asyncio.CancelledError

    world.profiles.after_put = crash
    with pytest.raises(asyncio.CancelledError):
        await world.register("ada", "ada@example.org")
    world.clock.pass_time(timedelta(seconds=59))
    assert await world.registration.sweep() == 0
    world.clock.pass_time(timedelta(seconds=2))
    assert await world.registration.sweep() == 1
    assert nothing_left(world)


async def test_the_sweep_leaves_users_alone(world: World) -> None:
    """An active account is never swept."""
    await world.register()
    world.clock.pass_time(timedelta(days=1))
    assert await world.registration.sweep() == 0
    assert await world.login()


async def test_the_sweep_waits_for_the_user_service(world: World) -> None:
    """While the profile cannot be removed the account stays, so that the profile is not forgotten."""
    world.profiles.before_put = world.profiles.before_remove = away
    with pytest.raises(BackendUnavailable):
        await world.register()
    world.clock.pass_time(timedelta(minutes=2))
    with pytest.raises(BackendUnavailable):
        await world.registration.sweep()
    world.profiles.before_remove = lambda: None
    assert await world.registration.sweep() == 1
    assert nothing_left(world)


async def test_the_sweep_goes_on_past_what_it_cannot_clear(world: World) -> None:
    """One account in trouble does not keep the others; the sweep fails at the end, so that it is told."""
    world.profiles.before_put = world.profiles.before_remove = away
    for username in ("ada", "grace", "edsger"):
        with pytest.raises(BackendUnavailable):
            await world.register(username)
    world.clock.pass_time(timedelta(minutes=2))
    first = True

    def away_once() -> None:
        nonlocal first
        if first:
            first = False
            away()

    world.profiles.before_remove = away_once
    with pytest.raises(BackendUnavailable):
        await world.registration.sweep()
    assert [account.username for account in world.tables.accounts.values()] == ["ada"]
    assert await world.registration.sweep() == 1
    assert nothing_left(world)


async def test_a_registration_that_was_cleared_away_cannot_finish(world: World) -> None:
    """A slow registration whose account was swept meanwhile fails, and leaves no profile behind."""

    async def be_slow() -> None:
        world.clock.pass_time(timedelta(minutes=2))
        assert await world.registration.sweep() == 1

    world.accounts.before_activate = be_slow
    with pytest.raises(BackendUnavailable):
        await world.register()
    assert nothing_left(world)


async def test_a_late_put_does_not_revive_a_profile(world: World) -> None:
    """The id of a registration that was given up is dead for good."""
    world.profiles.after_put = away
    with pytest.raises(BackendUnavailable):
        await world.register()
    (user_id,) = world.profiles.removed
    with pytest.raises(BackendUnavailable):
        await world.profiles.put(user_id, "ada", "", "")
    assert nothing_left(world)


async def test_one_of_two_registrations_of_a_name_wins(world: World) -> None:
    """Of many at once exactly one gets the name; the others are told that it is taken."""
    results = await asyncio.gather(*(world.register("ada") for _ in range(8)), return_exceptions=True)
    losers = [result for result in results if isinstance(result, BaseException)]
    assert len(losers) == 7
    assert all(isinstance(loser, UsernameTaken) for loser in losers)
    assert len(world.profiles.names) == 1


async def store_away() -> None:
    """What a call finds when PostgreSQL is down."""
    raise BackendUnavailable("postgres")


async def test_a_store_that_fails_at_the_end_leaves_nothing(world: World) -> None:
    """When the account cannot be activated both are taken back."""
    world.accounts.before_activate = store_away
    with pytest.raises(BackendUnavailable):
        await world.register()
    assert nothing_left(world)
    world.accounts.before_activate = nothing
    assert await world.register()


async def test_an_activation_whose_answer_was_lost_stays(world: World) -> None:
    """The account became active and nobody heard: it is not taken back, and its user can sign in."""
    world.accounts.after_activate = store_away
    with pytest.raises(BackendUnavailable):
        await world.register()
    assert await world.login(password=PASSWORD)
    assert len(world.profiles.names) == 1


async def test_a_pending_account_cannot_sign_in(world: World) -> None:
    """Until the registration has ended there is nobody of that name."""
    world.profiles.before_put = world.profiles.before_remove = away
    with pytest.raises(BackendUnavailable):
        await world.register()

    with pytest.raises(InvalidCredentials):
        await world.login()


async def test_text_that_cannot_be_stored_is_refused(world: World) -> None:
    """U+0000 is an invalid field, not an internal error."""

    with pytest.raises(InvalidField):
        await world.registration.register(NewUser("ada", PASSWORD, "a\0b", "", ""), None)
    assert nothing_left(world)
