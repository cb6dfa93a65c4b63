"""Everything is killed at once, the supervisor too; the next `up` on the same data finds everything."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.support.api import Api
from tests.support.matrix import Matrix
from tests.support.power_cut import kill_all, up_again
from tests.support.stack import Stack
from tests.support.swarm import Swarm

pytestmark = pytest.mark.timeout(300)


async def test_a_second_up_says_that_it_runs(own_stack: Stack, failpoints: Path) -> None:
    """And what to do; the first one is not disturbed."""
    before = own_stack.state()["parts"]
    second = up_again(own_stack, failpoints)
    assert second.returncode != 0
    assert "runs already" in second.stdout
    assert str(own_stack.data) in second.stdout
    assert [part["pid"] for part in own_stack.state()["parts"]] == [part["pid"] for part in before]


async def test_after_everything_was_killed_all_is_found_again(own_stack: Stack, failpoints: Path) -> None:
    """Users, rooms, messages, receipts, and the repeat of a request that was answered before."""
    api = Api(own_stack.http_url)
    anna, bert = await api.register("anna"), await api.register("bert")
    room = await api.create_room(anna, [bert])
    sent = [await api.send(anna, room, f"{n}", f"0198c0de-0000-4000-8000-{n:012d}") for n in range(20)]
    listed = await api.pages("RoomService/ListRooms", {}, bert, "rooms")
    log = await api.log(bert, room)
    await api.close()
    kill_all(own_stack)
    again = up_again(own_stack, failpoints)
    assert again.returncode == 0, again.stdout
    api = Api(own_stack.http_url)
    assert await api.log(bert, room) == log
    assert await api.pages("RoomService/ListRooms", {}, bert, "rooms") == listed
    for number, answer in enumerate(sent):
        repeat = await api.send(anna, room, f"{number}", f"0198c0de-0000-4000-8000-{number:012d}")
        assert repeat == answer | {"duplicate": True}
    await api.refresh(anna)
    assert (await api.login(bert)).user_id == bert.user_id
    assert int((await api.send(bert, room, "on we go"))["sequence"]) == int(log[-1]["sequence"]) + 1
    await api.close()


async def test_a_power_cut_in_the_middle_of_the_traffic(
    own_stack: Stack, swarm: Swarm, matrix: Matrix, failpoints: Path
) -> None:
    """Everybody is sending when it comes; afterwards they go on by themselves, and nothing is lost."""
    async with matrix.fault("power cut", swarm):
        kill_all(own_stack)
        again = await asyncio.to_thread(up_again, own_stack, failpoints)
        assert again.returncode == 0, again.stdout
    await matrix.judge(swarm)
