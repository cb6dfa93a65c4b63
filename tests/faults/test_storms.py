"""Reconnect storms: everybody comes at once, as many as may are let in, all are back, nothing is lost."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.support.consul_kv import live_setting
from tests.support.crowd_place import Place, place, tables
from tests.support.crowd_watch import Peak, cpu_seconds, peak, processes, resident, total
from tests.support.eventually import eventually
from tests.support.matrix import Matrix
from tests.support.stack import Stack

MIB = 1024 * 1024
POOL = 10
"""Connections of one pool, the default of POLYCHAT_POSTGRES_POOL."""
GROWTH = 64 * MIB
"""Of one process in a storm: a thousand connections are a sixth of it, replays and buffers the rest."""
EARLY_SECONDS = 5.0
"""A refusal that takes as long as a welcome may would be no relief for anybody."""
READS = "polychat_message_grpc_handled_total"


async def storm(at: Place, stay: int, *, spread: float, jitter: bool, seconds: float) -> Peak:
    """All but the first `stay` clients are cut off, miss messages, and come back; checks what must hold."""
    crowd, gone = at.crowd, at.crowd.size - stay
    parts = processes(at.stack)
    before = {part: resident(at.stack, part) for part in parts}
    spent = {part: cpu_seconds(at.stack, part) for part in parts}
    await crowd.cut(stay, gone)
    await crowd.send("missed", at.rooms, 50.0)
    await asyncio.sleep(min(20.0, 3 * len(at.rooms) / 50))
    async with peak(at.stack) as seen:
        await crowd.connect(stay, gone, spread=spread, jitter=jitter)
        state = await crowd.up(crowd.size, seconds)
    steady = await crowd.stop("missed")
    used = {part: round(cpu_seconds(at.stack, part) - spent[part], 1) for part in parts}
    grown = {part: seen.resident[part] - before[part] for part in parts}
    print(f"\nback {state['backSeconds']}, refused {state['refused']}, gaps {state['gaps']}, CPU s {used}")
    print(f"peak MiB {_mib(seen)}")
    print(f"PostgreSQL {seen.postgres_connections}; who stayed {steady['ackSeconds']} {steady['errors']}")
    assert set(state["refused"]) <= {"503", "4104 OVERLOADED"}
    assert state["slowestRefusalSeconds"] < EARLY_SECONDS
    assert max(seen.postgres_connections.values()) <= POOL
    assert {part: size for part, size in grown.items() if size > GROWTH} == {}
    assert await crowd.judge() == []
    return seen


async def test_who_is_refused_in_a_storm_comes_back(stack: Stack, matrix: Matrix) -> None:
    """300 at once at edges that let 20 open at a time: the rest are told to wait, and all are back."""
    async with (
        place(stack, 300, tables(300, 10)) as at,
        live_setting(stack, "edge", "opening_connections", "20"),
    ):
        await at.crowd.connect(0, 30, spread=3.0)
        await at.crowd.up(30, 60.0)
        began = time.monotonic()
        await storm(at, 30, spread=0.0, jitter=False, seconds=90.0)
        matrix.add("storm of 270, 20 let in at a time", seconds=time.monotonic() - began)


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("spread", "jitter"), [(0.0, False), (0.0, True), (10.0, True)], ids=["at once", "jitter", "spread"]
)
async def test_two_thousand_come_back(stack: Stack, matrix: Matrix, spread: float, jitter: bool) -> None:
    """What they missed is replayed; who stayed goes on sending all the time."""
    size, stay = 2_000, 200
    groups = [[number, *range(stay + 9 * number, stay + 9 * number + 9)] for number in range(stay)]
    async with place(stack, size, groups) as at:
        await at.crowd.connect(0, size, spread=20.0)
        await at.crowd.up(size, 90.0)
        await storm(at, stay, spread=spread, jitter=jitter, seconds=60.0)
        state = await at.crowd.state()
        back = state["backSeconds"]["max"]
        matrix.add(f"storm of 1,800, spread {spread:.0f} s, {'' if jitter else 'no '}jitter", seconds=back)
        assert jitter or state["refused"], "nobody was refused: the bound was not tried"


@pytest.mark.parametrize("size", [100, pytest.param(500, marks=pytest.mark.long)])
async def test_a_cold_room_is_read_once_for_all_who_open_it(stack: Stack, matrix: Matrix, size: int) -> None:
    """Each edge asks message a few times, not once for each client: all of them miss the same."""
    async with place(stack, size, [range(size)]) as at:
        (room,) = at.rooms
        await at.crowd.connect(spread=size / 100)
        await at.crowd.up(size, 60.0)
        cursor = await at.api.head(at.owner, room)
        await at.crowd.send("history", at.rooms, 40.0)
        await asyncio.sleep(4.0)
        await at.crowd.stop("history")
        assert await at.crowd.judge() == []
        missed = await at.api.head(at.owner, room) - cursor
        await at.crowd.cut()
        await eventually(lambda: _nobody(stack), seconds=30.0, what="an empty room at every edge")
        before = await total(stack, "message", READS, "ReadEvents")
        await at.crowd.connect(cursor=cursor)
        state = await at.crowd.up(size, 60.0)
        reads = await total(stack, "message", READS, "ReadEvents") - before
        print(
            f"\n{size} clients, {missed} events each: {reads:.0f} calls of ReadEvents, {state['backSeconds']}"
        )
        assert (await at.crowd.judge(), state["gaps"]) == ([], 0)
        assert reads <= size / 10
        matrix.add(f"{size} open one cold room", seconds=state["backSeconds"]["max"])


def _mib(seen: Peak) -> dict[str, int]:
    return {part: size // MIB for part, size in seen.resident.items()}


async def _nobody(stack: Stack) -> bool:
    return await total(stack, "chat", "polychat_chat_hub_connections") == 0


@pytest.mark.parametrize("joins", [300, pytest.param(1000, marks=pytest.mark.long)])
async def test_many_joins_are_a_frame_each_and_no_more(stack: Stack, matrix: Matrix, joins: int) -> None:
    """Each member is told of each join once, by its event; nothing comes on top (presence for all, lists)."""
    watchers = 20
    async with place(stack, watchers + joins, [range(watchers)]) as at:
        (room,) = at.rooms
        connected = watchers + joins // 10
        await at.crowd.connect(0, connected)
        before = await at.crowd.up(connected, 60.0)
        newcomers = [str(one.user_id) for one in at.people[watchers:]]
        began = time.monotonic()
        await asyncio.gather(
            *(
                at.api.call_again(
                    "MembershipService/AddMembers",
                    {"roomId": str(room), "userIds": newcomers[start : start + 100]},
                    at.owner,
                )
                for start in range(0, joins, 100)
            )
        )
        lasted = time.monotonic() - began
        assert await at.crowd.judge() == []
        after = await at.crowd.state()
        frames, events = (after[kind] - before[kind] for kind in ("frames", "events"))
        print(f"\n{joins} joins in {lasted:.1f} s: {frames} frames, {events} of them events")
        assert events <= joins * connected
        assert events >= joins * watchers
        assert frames - events <= 2 * connected, "more than a heartbeat came beside the events"
        matrix.add(f"{joins} joins at once", seconds=lasted)
