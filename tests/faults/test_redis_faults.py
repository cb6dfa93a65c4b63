"""What may befall Redis while a swarm sends: it holds hints and counts, which may be lost (I1 to I4)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
import pytest_asyncio
from redis.asyncio import Redis

from chassis.redis import room_channel
from tests.support.api import PASSWORD, Api, ApiError
from tests.support.consul_kv import live_setting
from tests.support.emptied import killed_and_emptied
from tests.support.eventually import eventually
from tests.support.matrix import Matrix
from tests.support.outages import frozen
from tests.support.peer import Refused, signed_in
from tests.support.sight import sight, troubles_now
from tests.support.stack import Stack
from tests.support.swarm import Swarm
from tests.support.transports import open_json

FILLED_SECONDS = 3.0
"""A lost hint is made good by the heads that are said each second: two seconds, and one for the answer."""
LISTS_READ_SECONDS = 10.0
"""Channels are listened to again within a second or two, and lists read once in five."""
FROZEN_SECONDS = 12.0
LOGINS_A_MINUTE = 5
BURST = 20
"""Messages of one user in one room at once, while that is set: fewer than a connection may have in flight."""
SEND_SECONDS = 5.0
BUFFER_BYTES = 64 * 1024

pytestmark = pytest.mark.timeout(300)


@pytest_asyncio.fixture
async def redis(own_stack: Stack) -> AsyncIterator[Redis]:
    """The administrator of the Redis to break."""
    client = Redis.from_url(own_stack.redis_url)
    yield client
    await client.aclose()


@asynccontextmanager
async def _setting(redis: Redis, **values: str) -> AsyncIterator[None]:
    """Settings of the running server, put back afterwards."""
    names = {name: name.replace("_", "-") for name in values}
    before: dict[str, Any] = {names[name]: (await redis.config_get(names[name])) for name in values}
    for name, value in values.items():
        await redis.config_set(names[name], value)
    try:
        yield
    finally:
        for name, found in before.items():
            await redis.config_set(name, found[name])


async def test_a_flushed_redis_is_not_missed(
    own_stack: Stack, swarm: Swarm, matrix: Matrix, redis: Redis
) -> None:
    """Every key is gone at once; what is counted there counts anew."""
    async with matrix.fault("redis flushed", swarm):
        await redis.flushall()
        flushed = time.monotonic()
        await swarm.everyone_sent(flushed, SEND_SECONDS)


@pytest.mark.parametrize("policy", ["noeviction", "allkeys-lru"])
async def test_a_redis_without_memory_takes_hints_and_no_counts(
    own_stack: Stack, swarm: Swarm, matrix: Matrix, redis: Redis, policy: str
) -> None:
    """Full of keys that are not ours: sends go on, sign-ins are limited by each instance alone."""
    async with matrix.fault(f"redis out of memory ({policy})", swarm):
        await _fill(redis)
        async with sight(own_stack) as seen, _setting(redis, maxmemory="8mb", maxmemory_policy=policy):
            full = time.monotonic()
            user = await swarm.api.register("full")
            await swarm.api.login(user)
            if policy == "noeviction":
                await seen.everything(
                    metric="auth_limits_kept_locally", log="limits_kept", trouble="auth/redis"
                )
            await swarm.everyone_sent(full, SEND_SECONDS)
        await redis.flushall()


async def _fill(redis: Redis) -> None:
    """With more than there will be room for."""
    for number in range(9):
        await redis.set(f"junk:{number}", bytes(1024 * 1024))


async def test_a_subscriber_that_is_cut_off_misses_nothing(
    own_stack: Stack, swarm: Swarm, matrix: Matrix, redis: Redis
) -> None:
    """Its buffer overflows at a hint, or an administrator ends it: what it missed comes in time."""
    anna, bert = await swarm.api.register("anna"), await swarm.api.register("bert")
    room = await swarm.api.create_room(anna, [bert])
    async with (
        signed_in(await open_json(own_stack.ws_url), anna.access_token) as writer,
        signed_in(await open_json(own_stack.ws_url), bert.access_token) as reader,
    ):

        async def missed(cut: str) -> None:
            subscribers = await _subscribers(redis)
            await (_overflow(own_stack, redis, room) if cut == "overflow" else _end_subscribers(redis))
            await eventually(partial(_gone, redis, subscribers), what=f"the end of the subscribers by {cut}")
            began = time.monotonic()
            sent = int((await writer.send(room, cut))["sequence"])
            await reader.event(room, sent, FILLED_SECONDS)
            matrix.add(f"redis: hole after {cut}", seconds=time.monotonic() - began)

        async with matrix.fault("redis cuts subscribers off", swarm):
            limit = f"pubsub {BUFFER_BYTES} {BUFFER_BYTES} 0"
            async with sight(own_stack) as seen, _setting(redis, client_output_buffer_limit=limit):
                await missed("overflow")
                await missed("kill")
                await seen.everything(metric="chat_hub_compares", log="subscription_lost", trouble=None)
        assert reader.sequences(room) == list(
            range(reader.sequences(room)[0], reader.sequences(room)[-1] + 1)
        )


async def _gone(redis: Redis, subscribers: set[str]) -> bool:
    return not subscribers & await _subscribers(redis)


async def _subscribers(redis: Redis) -> set[str]:
    return {client["id"] for client in await redis.client_list(_type="pubsub")}


async def _end_subscribers(redis: Redis) -> None:
    await redis.client_kill_filter(_type="pubsub")


async def _overflow(stack: Stack, redis: Redis, room: int) -> None:
    """Chat does not read for a moment in which much is published: more than kernel and server may hold."""
    channel = room_channel(room)
    # It listens to a room soon after somebody in it has come.
    await eventually(partial(redis.publish, channel, b""))
    with frozen(stack, "chat"):
        await eventually(partial(_cut_off, redis, channel))


async def _cut_off(redis: Redis, channel: str) -> bool:
    return await redis.publish(channel, _huge_hint()) == 0


def _huge_hint() -> bytes:
    """A hint with nothing in it but a field that nobody knows."""
    size = 16 * BUFFER_BYTES
    length = bytes([size & 0x7F | 0x80, size >> 7 & 0x7F | 0x80, size >> 14])
    return b"\xfa\x3f" + length + bytes(size)  # field 1023, bytes


async def test_a_membership_that_nobody_was_told_of_is_shown(
    own_stack: Stack, swarm: Swarm, matrix: Matrix, redis: Redis
) -> None:
    """It begins and ends while nothing is published: who stayed connected sees all of it, and no more."""
    api = swarm.api
    anna, bert = await api.register("anna"), await api.register("bert")
    room = await api.create_room(anna)
    async with signed_in(await open_json(own_stack.ws_url), bert.access_token) as reader:
        async with matrix.fault("redis: no channels", swarm):
            await redis.acl_setuser("default", enabled=True, reset_channels=True)
            try:
                await api.send(anna, room, "before")
                both = {"roomId": str(room), "userIds": [str(bert.user_id)]}
                await api.call("MembershipService/AddMembers", both, anna.access_token)
                await api.send(anna, room, "meanwhile")
                one = {"roomId": str(room), "userId": str(bert.user_id)}
                await api.call("MembershipService/RemoveMember", one, anna.access_token)
                await api.send(anna, room, "after")
            finally:
                await redis.acl_setuser("default", enabled=True, channels=["*"])
            began = time.monotonic()
            await reader.event(room, 5, LISTS_READ_SECONDS)
            matrix.add("redis: membership that was over", seconds=time.monotonic() - began)
        await reader.send(await api.create_room(bert), "and lives")
        assert reader.sequences(room) == [3, 4, 5]


async def test_a_redis_that_comes_back_empty_is_not_missed(
    own_stack: Stack, swarm: Swarm, matrix: Matrix
) -> None:
    """Killed, and its files with it."""
    async with matrix.fault("redis killed, back empty", swarm):
        await own_stack.back("redis", killed_and_emptied(own_stack, "redis"))


async def test_a_frozen_redis_is_seen_and_limits_hold_without_it(
    own_stack: Stack, swarm: Swarm, matrix: Matrix
) -> None:
    """Sign-ins are still limited, sends too; everybody goes on sending within the time of a send."""
    api = swarm.api
    user = await api.register("guessed")
    room = await api.create_room(user)
    limit = live_setting(own_stack, "chat", "send_burst", str(BURST))
    async with matrix.fault(f"redis frozen {FROZEN_SECONDS:.0f} s", swarm), sight(own_stack) as seen, limit:
        with frozen(own_stack, "redis"):
            began = time.monotonic()
            guesses = asyncio.create_task(_guesses_let_in(api, user.username))
            await seen.everything(
                metric="chat_hints_connected|message_hints_lost", log="redis", trouble="(chat|message)/redis"
            )
            assert await guesses <= LOGINS_A_MINUTE
            assert await _refused_sends(own_stack, user.access_token, room) > 0
            await asyncio.sleep(max(0.0, began + FROZEN_SECONDS - time.monotonic()))


async def _guesses_let_in(api: Api, username: str) -> int:
    """How many wrong passwords were looked at before they were refused unseen."""
    for number in range(3 * LOGINS_A_MINUTE):
        try:
            await api.call("AuthService/Login", {"username": username, "password": f"no {PASSWORD}"})
        except ApiError as error:
            if error.reason == "RATE_LIMITED":
                return number
            if error.code != "unauthenticated":
                raise
    raise AssertionError("guesses are not limited")


async def _refused_sends(stack: Stack, token: str, room: int) -> int:
    """Of a burst that is half as large again as what is allowed."""
    async with signed_in(await open_json(stack.ws_url), token) as peer:
        answers = await asyncio.gather(
            *(peer.send(room, f"{n}") for n in range(BURST * 3 // 2)), return_exceptions=True
        )
    refused = [answer for answer in answers if isinstance(answer, Refused)]
    assert {error.reason for error in refused} <= {"RATE_LIMITED"}
    return len(refused)


async def test_after_all_that_befell_redis_nothing_is_lost(
    own_stack: Stack, swarm: Swarm, matrix: Matrix
) -> None:
    """As after the kills; and what was degraded is whole again."""

    async def whole() -> bool:
        return not any("redis" in name for name in await troubles_now(own_stack))

    await eventually(whole, seconds=10, what="no process that misses Redis")
    await matrix.judge(swarm)
