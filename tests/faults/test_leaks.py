"""Nobody who comes and goes leaves anything behind (I7)."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Mapping

import grpc.aio
import pytest
from polychat.internal.link.v1.link_service_pb2 import AttachRequest
from polychat.internal.link.v1.link_service_pb2_grpc import LinkServiceStub

from chassis.caller import internal_metadata
from tests.support.crowd_place import Place, place, tables
from tests.support.crowd_watch import Holdings, holdings, samples, total
from tests.support.eventually import eventually
from tests.support.matrix import Matrix
from tests.support.stack import Stack

MIB = 1024 * 1024
FIRST_STEADY = 3
"""Rounds before it: pools, caches and allocators fill up once."""
GROWTH_A_ROUND = MIB // 4
"""Of a process, by the median of all slopes: half a kilobyte for each of five hundred people is a leak."""
POOL = 10
DESCRIPTORS = 4
"""Pooled connections to the other parts come and go."""
ATTACHES = 200


async def gone(stack: Stack) -> None:
    """Until no process knows of any connection, and nobody subscribes to a room."""

    async def nobody() -> bool:
        edges = await total(stack, "edge", "polychat_edge_connections")
        chat = await total(stack, "chat", "polychat_chat_hub_connections")
        rooms = await total(stack, "chat", "polychat_chat_hub_rooms")
        return edges == chat == rooms == 0

    await eventually(nobody, seconds=60.0, what="an empty house")


async def one_round(at: Place) -> Holdings:
    """Everybody comes, is told their rooms, sends and receives a bit, and goes without a word."""
    crowd = at.crowd
    await crowd.connect(spread=crowd.size / 200)
    await crowd.up(crowd.size, 90.0)
    await crowd.send("bit", at.rooms, 100.0)
    await asyncio.sleep(3.0)
    await crowd.stop("bit")
    assert await crowd.judge() == []
    await crowd.cut()
    await gone(at.stack)
    await eventually(lambda: _no_channels_of_rooms(at.stack), seconds=10.0, what="no channel of a room")
    return await holdings(at.stack)


async def _no_channels_of_rooms(stack: Stack) -> bool:
    return (await holdings(stack)).redis_channels <= 8


def slope(values: list[int]) -> float:
    """Theil-Sen: the median of the slopes between all pairs, which a single jump does not move."""
    pairs = [(values[b] - values[a]) / (b - a) for a in range(len(values)) for b in range(a + 1, len(values))]
    return statistics.median(pairs)


def told(rounds: list[Holdings]) -> None:
    for number, one in enumerate(rounds):
        mib = {part: round(size / MIB, 1) for part, size in one.resident.items()}
        print(f"\nround {number}: MiB {mib} fds {dict(one.descriptors)} tasks {dict(one.tasks)}")
        print(
            f"  redis keys {one.redis_keys} channels {one.redis_channels} patterns {one.redis_patterns},"
            f" consul {one.consul_entries}, postgres {one.postgres_connections}",
            end="",
        )


def assert_back(before: Holdings, after: Holdings) -> None:
    """Everything that is counted exactly is where it was."""
    assert after.redis_channels == before.redis_channels
    assert after.redis_patterns == before.redis_patterns
    assert after.consul_entries == before.consul_entries
    assert after.redis_keys <= before.redis_keys + 2
    assert max(after.postgres_connections.values()) <= POOL
    assert _more(before.tasks, after.tasks, DESCRIPTORS) == {}
    spare = DESCRIPTORS + sum(after.postgres_connections.values())
    assert _more(before.descriptors, after.descriptors, spare) == {}


def _more(before: Mapping[str, int], after: Mapping[str, int], spare: int) -> dict[str, tuple[int, int]]:
    return {part: (before[part], now) for part, now in after.items() if now > before[part] + spare}


@pytest.mark.parametrize(
    ("size", "rounds"),
    [(100, 2), pytest.param(1_000, 10, marks=[pytest.mark.long, pytest.mark.timeout(900)])],
)
async def test_who_comes_and_goes_leaves_nothing(
    stack: Stack, matrix: Matrix, size: int, rounds: int
) -> None:
    """Round after round: descriptors, tasks, subscriptions, entries, connections; in the long run memory."""
    async with place(stack, size, tables(size, 10)) as at:
        seen = [await one_round(at) for _ in range(rounds)]
    told(seen)
    assert_back(seen[0], seen[-1])
    later = seen[FIRST_STEADY:]
    if len(later) >= 7:
        slopes = {part: slope([one.resident[part] for one in later]) for part in later[0].resident}
        print(f"\nMiB a round: { {part: round(one / MIB, 2) for part, one in slopes.items()} }")
        assert {part: one for part, one in slopes.items() if one > GROWTH_A_ROUND} == {}
    matrix.add(f"{rounds} rounds of {size} who come and go")


async def test_edges_that_attach_and_vanish_leave_nothing_in_chat(stack: Stack, matrix: Matrix) -> None:
    """200 links, each cancelled in the middle: grpc.aio has leaked on broken streams (grpc/grpc#43360)."""
    before = await _chat(stack)
    for number in range(ATTACHES):
        await _attach_and_vanish(stack, f"visitor-{number}")

    async def as_before() -> bool:
        return (await _chat(stack))[:2] <= (before[0], before[1] + DESCRIPTORS)

    edges = sum(part["part"].startswith("edge") for part in stack.state()["parts"])
    await eventually(as_before, seconds=30.0, what=f"the tasks and descriptors of before, {before}")
    assert await total(stack, "chat", "polychat_chat_hub_edges") == edges
    grown = (await _chat(stack))[2] - before[2]
    print(f"\nchat grew by {grown / MIB:.1f} MiB over {ATTACHES} links")
    assert grown < 8 * MIB
    matrix.add(f"{ATTACHES} links that vanish")


async def _attach_and_vanish(stack: Stack, name: str) -> None:
    async with grpc.aio.insecure_channel(stack.grpc_address("chat")) as channel:
        metadata = internal_metadata(stack.secret("internal.credential"))
        call = LinkServiceStub(channel).Attach(metadata=metadata)
        await call.write(AttachRequest(edge_instance=name))
        await call.read()
        call.cancel()


async def _chat(stack: Stack) -> tuple[float, float, float]:
    """Tasks, descriptors and resident bytes of chat."""
    seen = await samples(stack, "chat")
    return seen["polychat_chat_tasks"], seen["process_open_fds"], seen["process_resident_memory_bytes"]
