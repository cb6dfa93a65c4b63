"""Sessions and refresh tokens, in memory and on PostgreSQL."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

from services.auth.domain import (
    REFRESH_IDLE,
    EndReason,
)
from tests.support.auth_stores import NOW, Stores, active, event, rotate, session_of, token_of


async def test_a_token_is_spent_once(stores: Stores) -> None:
    """The spent one remembers when and from where; the next one is alive."""
    _, session = await active(stores)
    later = NOW + timedelta(minutes=5)
    assert await rotate(stores, session, later, "192.0.2.1")
    assert not await rotate(stores, session, later, "192.0.2.2")
    spent = await stores.sessions.find_by_token(token_of(session, 1))
    alive = await stores.sessions.find_by_token(token_of(session, 2))
    assert spent is not None
    assert alive is not None
    assert (spent.replaced_time, spent.replaced_from) == (later, "192.0.2.1")
    assert (alive.generation, alive.replaced_time, alive.replaced_from) == (2, None, None)
    assert alive.session == spent.session
    assert alive.session == replace(
        session, generation=2, last_refresh_time=later, idle_expire_time=later + REFRESH_IDLE
    )


async def test_of_many_rotations_at_once_one_wins(stores: Stores) -> None:
    """One generation has one successor."""
    _, session = await active(stores)
    results = await asyncio.gather(
        *(
            stores.sessions.rotate(session, f"candidate-{n}".encode(), NOW, NOW + REFRESH_IDLE, None)
            for n in range(8)
        )
    )
    assert sorted(results) == [False] * 7 + [True]


async def test_an_ended_session_is_not_rotated(stores: Stores) -> None:
    """A refresh that races with a sign-out loses."""
    _, session = await active(stores)
    assert await stores.sessions.end(session.session_id, EndReason.SIGNED_OUT, NOW, event())
    assert not await rotate(stores, session)
    token = await stores.sessions.find_by_token(token_of(session))
    assert token is not None
    assert (token.session.end_time, token.session.end_reason) == (NOW, EndReason.SIGNED_OUT)


async def test_a_session_ends_once(stores: Stores) -> None:
    """The first reason stays; an unknown session cannot end."""
    _, session = await active(stores)
    assert await stores.sessions.end(session.session_id, EndReason.REFRESH_TOKEN_REUSED, NOW, event())
    assert not await stores.sessions.end(session.session_id, EndReason.SIGNED_OUT, NOW, event())
    assert not await stores.sessions.end(999_999_999, EndReason.SIGNED_OUT, NOW, event())
    token = await stores.sessions.find_by_token(token_of(session))
    assert token is not None
    assert token.session.end_reason is EndReason.REFRESH_TOKEN_REUSED


async def test_surplus_sessions_end_oldest_first(stores: Stores) -> None:
    """Only the user's own, and only those that stand."""
    account, first = await active(stores)
    _, other = await active(stores, "grace")
    opened = [session_of(account.user_id) for _ in range(4)]
    ended = [await stores.sessions.open(s, token_of(s), 3, event()) for s in opened]
    assert ended == [[], [], [first.session_id], [opened[0].session_id]]
    assert await stores.sessions.not_standing([other.session_id], NOW) == []


async def test_many_sign_ins_at_once_keep_the_limit(stores: Stores) -> None:
    """Ten sign-ins at the same time leave three sessions, not more."""
    account, first = await active(stores)
    opened = [session_of(account.user_id) for _ in range(10)]
    await asyncio.gather(*(stores.sessions.open(s, token_of(s), 3, event()) for s in opened))
    everything = [first.session_id, *(s.session_id for s in opened)]
    assert len(await stores.sessions.not_standing(everything, NOW)) == 8


async def test_what_does_not_stand_is_named_once(stores: Stores) -> None:
    """Unknown, ended and expired ones, ascending, each once."""
    account, standing = await active(stores)
    ended = session_of(account.user_id)
    await stores.sessions.open(ended, token_of(ended), 10, event())
    await stores.sessions.end(ended.session_id, EndReason.SIGNED_OUT, NOW, event())
    asked = [888_888_888, ended.session_id, standing.session_id, ended.session_id]
    assert await stores.sessions.not_standing(asked, NOW) == [ended.session_id, 888_888_888]
    at_expiry = standing.idle_expire_time
    just_before = at_expiry - timedelta(microseconds=1)
    assert await stores.sessions.not_standing([standing.session_id], just_before) == []
    assert await stores.sessions.not_standing([standing.session_id], at_expiry) == [standing.session_id]
    assert await stores.sessions.not_standing([], NOW) == []


async def test_purge_takes_sessions_that_ended_long_ago(stores: Stores) -> None:
    """By their end, or their expiry; a standing one stays."""
    account, standing = await active(stores)
    ended = session_of(account.user_id)
    await stores.sessions.open(ended, token_of(ended), 10, event())
    await stores.sessions.end(ended.session_id, EndReason.SIGNED_OUT, NOW, event())
    assert await stores.sessions.purge(NOW, 10) == 0
    assert await stores.sessions.purge(NOW + timedelta(seconds=1), 10) == 1
    assert await stores.sessions.find_by_token(token_of(ended)) is None
    assert await stores.sessions.purge(standing.idle_expire_time + timedelta(seconds=1), 10) == 1
