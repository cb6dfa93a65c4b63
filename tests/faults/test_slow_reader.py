"""A reader at 1 KB a second in the busiest room: it misses nothing, costs little, and harms nobody."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from tests.support.busy_room import EDGES, BusyRoom, Figures, View, busy_room
from tests.support.matrix import Matrix
from tests.support.peer import Peer
from tests.support.slow_link import slow_link
from tests.support.stack import Stack
from tests.support.transports import open_json

RATE = 1024
HELD_BYTES = 1.5 * 1024 * 1024
"""The most that an edge may hold for it."""
NOISE_BYTES = 4 * 1024 * 1024
"""By how much the memory of an edge differs from one busy minute to the next with quick readers only."""
SLOWDOWN = 3.0
COMPLETE_SECONDS = 60.0
"""For the last events, once its network is as quick as the others'."""


async def _slow_and_then_quick(stack: Stack, calm: float, slow: float) -> tuple[str, Figures, Figures]:
    """Busy without a slow reader and then with one. Gives its edge, and what was seen in both times."""
    async with busy_room(stack) as (room, writers, member):
        before = await room.write(writers, calm)
        head = await room.api.head(room.owner, room.room_id)
        view = View(head)
        target = urlsplit(stack.ws_url)
        assert target.hostname is not None
        assert target.port is not None
        async with slow_link((target.hostname, target.port), RATE) as link:
            host, port = link.address
            reader = Peer(await open_json(f"ws://{host}:{port}{target.path}"), view.take)
            await reader.hello(member.access_token, {room.room_id: head})
            lags = await _lags(room)
            during = await room.write(writers, slow)
            (edge,) = [name for name, count in (await _lags(room)).items() if count > lags[name]]
            link.release()
            await room.complete(view, COMPLETE_SECONDS)
            assert reader.lost is None
            await reader.end()
        await _same_log(room, view)
        held = await room.metric(edge, "polychat_edge_unsent_bytes_peak")
    grown = during.rss[edge] - before.rss[edge]
    print(f"\nslow reader for {slow:.0f} s on {edge}: {held / 1024:.0f} KiB unsent at most, ", end="")
    print(f"RSS {grown / 1024:+.0f} KiB against {calm:.0f} s without, {len(view.gaps)} gaps; ", end="")
    print(f"p99 of the others {before.p99() * 1000:.0f} ms before, {during.p99() * 1000:.0f} ms with it")
    assert held <= HELD_BYTES
    return edge, before, during


async def _lags(room: BusyRoom) -> dict[str, float]:
    """How often a connection of each edge fell behind: the one that counts on has the slow reader."""
    return {edge: await room.metric(edge, "polychat_edge_lags_total") for edge in EDGES}


async def _same_log(room: BusyRoom, view: View) -> None:
    """The slow one and the quick ones end with what is stored, in order, nothing left out in silence."""
    log = await room.api.log(room.owner, room.room_id)
    stored = {int(event["sequence"]): event.get("requestId", "") for event in log}
    for one in (view, *room.views):
        one.fill(log)
        assert one.complaints == []
        assert one.events == {s: stored[s] for s in range(min(one.events), len(log) + 1)}
    assert view.events
    assert all(one.gaps == [] for one in room.views)


@pytest.mark.timeout(180)
async def test_a_slow_reader_misses_nothing(own_stack: Stack, matrix: Matrix) -> None:
    """20 s behind, then its network is quick again: the same log as everyone, 1.5 MiB at most for it."""
    await _slow_and_then_quick(own_stack, 5.0, 20.0)
    matrix.add("reader at 1 KB/s for 20 s")


@pytest.mark.long
@pytest.mark.timeout(900)
async def test_five_minutes_of_a_slow_reader_harm_nobody(own_stack: Stack, matrix: Matrix) -> None:
    """The same for five minutes: the memory of its edge stays, the others wait 3 times as long at most."""
    edge, before, during = await _slow_and_then_quick(own_stack, 60.0, 300.0)
    assert during.rss[edge] - before.rss[edge] <= HELD_BYTES + NOISE_BYTES
    assert during.p99() <= SLOWDOWN * before.p99()
    matrix.add("reader at 1 KB/s for 300 s")
