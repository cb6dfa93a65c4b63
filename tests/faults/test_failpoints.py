"""SIGKILL, failure and stall at named places of a message's way while a swarm sends (I1 to I6, I8).

Every case arms one point in one process for one life. The senders whose messages were in hand are told
nothing or OUTCOME_UNKNOWN, send again with the same request id, and the judgement at the end sees to it that
each message has one sequence, is stored once, and came to everybody in order.
"""

from __future__ import annotations

import signal
import time

import pytest

from tests.support.api import PASSWORD, ApiError, user_from
from tests.support.armed import Armory
from tests.support.eventually import eventually
from tests.support.matrix import Matrix
from tests.support.swarm import Swarm

SPREAD_SECONDS = 20.0
NAME_SECONDS = 20.0
"""A registration that died holds its name for 10 s."""

pytestmark = pytest.mark.timeout(300)

long = pytest.mark.long


@pytest.mark.parametrize(
    ("part", "point"),
    [
        pytest.param("chat", "chat.before_produce", marks=long),
        ("chat", "chat.after_produce"),
        pytest.param("chat", "chat.before_reply", marks=long),
        ("message", "message.before_commit"),
        ("message", "message.after_commit"),
        pytest.param("message", "message.after_publish", marks=long),
        pytest.param("message", "message.before_offset", marks=long),
        ("edge-1", "edge.before_sent"),
    ],
)
async def test_a_process_killed_on_a_messages_way_loses_nothing(
    armory: Armory, swarm: Swarm, matrix: Matrix, part: str, point: str
) -> None:
    """The third time it comes there: in the middle of the traffic."""
    async with matrix.fault(f"{part} killed at {point}", swarm):
        await _spread(swarm, part)
        pid = await armory.arm(part, f"{point}=kill@3")
        await armory.fired(part, point)
        await armory.stack.back(part, pid)


@pytest.mark.parametrize(
    ("part", "point"),
    [pytest.param("chat", "chat.in_drain", marks=long), pytest.param("edge-1", "edge.in_drain", marks=long)],
)
async def test_a_process_killed_while_it_drains_loses_nothing(
    armory: Armory, swarm: Swarm, matrix: Matrix, part: str, point: str
) -> None:
    """Whoever was told to leave has left, and whoever was not finds out."""
    async with matrix.fault(f"{part} killed at {point}", swarm):
        pid = await armory.arm(part, f"{point}=kill")
        armory.stack.kill(part, signal.SIGTERM)
        await armory.fired(part, point)
        await armory.killed(part)
        await armory.stack.back(part, pid)


@pytest.mark.parametrize(
    ("part", "point"),
    [
        ("chat", "chat.before_produce"),
        pytest.param("chat", "chat.after_produce", marks=long),
        pytest.param("message", "message.before_commit", marks=long),
        ("message", "message.after_commit"),
        pytest.param("message", "message.before_offset", marks=long),
    ],
)
async def test_a_failure_on_a_messages_way_is_mended_by_the_process(
    armory: Armory, swarm: Swarm, matrix: Matrix, part: str, point: str
) -> None:
    """It lives on: a new producer, a new consumer, the batch again."""
    async with matrix.fault(f"{part} fails at {point}", swarm):
        pid = await armory.arm(part, f"{point}=error@3")
        await armory.fired(part, point)
        assert armory.stack.pid(part) == pid


@pytest.mark.parametrize(
    ("part", "point"),
    [
        pytest.param("chat", "chat.before_produce", marks=long),
        pytest.param("message", "message.before_commit", marks=long),
        pytest.param("message", "message.after_commit", marks=long),
        pytest.param("edge-1", "edge.before_sent", marks=long),
    ],
)
async def test_a_stall_on_a_messages_way_ends_in_unknown_and_the_same_message(
    armory: Armory, swarm: Swarm, matrix: Matrix, part: str, point: str
) -> None:
    """Eight seconds, where a send is answered within five: who asks again gets the one sequence."""
    async with matrix.fault(f"{part} stalls at {point}", swarm):
        await _spread(swarm, part)
        pid = await armory.arm(part, f"{point}=stall(8)@3")
        await armory.fired(part, point)
        assert armory.stack.pid(part) == pid


async def test_a_relay_killed_between_log_and_outbox_tells_of_a_room_once(
    armory: Armory, swarm: Swarm, matrix: Matrix
) -> None:
    """The rows are produced again; the room has one `memberJoined` for each of its two members."""
    api = swarm.api
    anna, bert = await api.register("anna"), await api.register("bert")
    async with matrix.fault("chat killed at chat.outbox_produced", swarm):
        pid = await armory.arm("chat", "chat.outbox_produced=kill")
        room = await api.create_room(anna, [bert])
        await armory.stack.back("chat", pid)
    joined = [
        e["memberJoined"]["membership"]["userId"] for e in await api.log(anna, room) if "memberJoined" in e
    ]
    assert joined == [str(anna.user_id), str(bert.user_id)]


async def test_a_relay_that_fails_between_log_and_outbox_does_so_too(
    armory: Armory, swarm: Swarm, matrix: Matrix
) -> None:
    """The transaction is rolled back, the sweep brings the rows again."""
    api = swarm.api
    anna = await api.register("anna")
    async with matrix.fault("chat fails at chat.outbox_produced", swarm):
        await armory.arm("chat", "chat.outbox_produced=error")
        room = await api.create_room(anna)
        await armory.fired("chat", "chat.outbox_produced")
    assert [int(event["sequence"]) for event in await api.log(anna, room)] == [1]


@pytest.mark.parametrize(
    "point", [pytest.param("auth.reserved", marks=long), pytest.param("auth.profile_made", marks=long)]
)
async def test_a_registration_killed_in_its_middle_gives_the_name_back(
    armory: Armory, swarm: Swarm, matrix: Matrix, point: str
) -> None:
    """The same user, asking again, gets the name; until then nobody can sign in under it."""
    request = {"username": f"half-{point.replace('.', '-').replace('_', '-')}", "password": PASSWORD}
    async with matrix.fault(f"auth killed at {point}", swarm):
        pid = await armory.arm("auth", f"{point}=kill")
        with pytest.raises(ApiError) as cut:
            await swarm.api.call("AuthService/Register", request)
        assert cut.value.code in ("unavailable", "deadline_exceeded")
        await armory.stack.back("auth", pid)
        with pytest.raises(ApiError) as refused:
            await swarm.api.call_again("AuthService/Login", request, None)
        assert refused.value.code == "unauthenticated"

        async def again() -> bool:
            try:
                return user_from(await swarm.api.call("AuthService/Register", request)).user_id > 0
            except ApiError as error:
                if error.reason not in ("USERNAME_TAKEN", "BACKEND_UNAVAILABLE"):
                    raise
                return False

        await eventually(again, seconds=NAME_SECONDS, what="the name")


@long
async def test_a_registration_killed_before_its_answer_stands(
    armory: Armory, swarm: Swarm, matrix: Matrix
) -> None:
    """Its user signs in with what they typed."""
    request = {"username": "whole-auth-activated", "password": PASSWORD}
    async with matrix.fault("auth killed at auth.activated", swarm):
        pid = await armory.arm("auth", "auth.activated=kill")
        with pytest.raises(ApiError):
            await swarm.api.call("AuthService/Register", request)
        await armory.stack.back("auth", pid)
        assert user_from(await swarm.api.call_again("AuthService/Login", request, None)).user_id > 0


async def test_after_all_failpoints_nothing_is_lost(swarm: Swarm, matrix: Matrix) -> None:
    """Every message answered and stored once, sequences gapless, every view complete, unread right."""
    await matrix.judge(swarm)


async def _spread(swarm: Swarm, part: str) -> None:
    """Gives every edge its share of the clients again: one that was killed before has none."""
    if part.startswith("edge-"):
        for client in swarm.clients:
            client.cut()
        await swarm.normal(time.monotonic(), SPREAD_SECONDS)
