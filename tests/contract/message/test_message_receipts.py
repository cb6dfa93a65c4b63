"""How far members have read, and what is unread to them."""

from __future__ import annotations

import pytest

from chassis.paging import PageTokens
from services.message.errors import NotAMember, ReceiptPastHead
from services.message.ports import RoomsAsked
from services.message.use_cases.log_reading import LogReading
from services.message.use_cases.receipts import Receipts
from tests.contract.message.conftest import PARTITION, World
from tests.support.room_log import joined, left, rooms_of, sent

(ROOM,) = rooms_of(PARTITION, 1)
TOKENS = PageTokens(b"key")


class Heard:
    """Signals, remembered."""

    def __init__(self) -> None:
        self.receipts: list[tuple[int, int, int]] = []

    async def receipt_moved(self, room_id: int, user_id: int, read_sequence: int) -> None:
        self.receipts.append((room_id, user_id, read_sequence))


async def test_unread_is_what_a_recount_gives(world: World) -> None:
    """For a sender, for who reads, for who came late, for who came back (I6)."""
    owner = await world.owner()
    world.tape.put_all(
        joined(ROOM, 1, 1),
        joined(ROOM, 2, 2),
        sent(ROOM, 1, 3),
        sent(ROOM, 2, 4),
        joined(ROOM, 3, 5),
        sent(ROOM, 1, 6),
        left(ROOM, 2, 7),
        sent(ROOM, 1, 8),
        joined(ROOM, 2, 9),
        sent(ROOM, 3, 10),
    )
    await world.write(owner)
    found = await LogReading(world.reader).user_rooms(RoomsAsked([1, 2, 3], 10))
    assert [(user, rooms[0].unread_count, rooms[0].joined_sequence) for user, rooms, _ in found] == [
        (1, 1, 1),
        (2, 1, 9),
        (3, 0, 5),
    ]
    receipts = Receipts(world.receipts, Heard(), TOKENS)
    await receipts.advance(1, ROOM, 10)
    ((_, rooms, _),) = await LogReading(world.reader).user_rooms(RoomsAsked([1], 10))
    assert rooms[0].unread_count == 0


async def test_a_receipt_moves_forward_only_and_is_told(world: World) -> None:
    """A step back answers where it is; past the head is refused; only a move is a signal."""
    world.tape.put_all(joined(ROOM, 1, 1), sent(ROOM, 1, 2), sent(ROOM, 1, 3), sent(ROOM, 1, 4))
    world.tape.put_all(joined(ROOM, 2, 5), sent(ROOM, 1, 6))
    await world.write(await world.owner())
    heard = Heard()
    receipts = Receipts(world.receipts, heard, TOKENS)
    assert await receipts.advance(2, ROOM, 6) == 6
    assert await receipts.advance(2, ROOM, 5) == 6
    assert await receipts.advance(2, ROOM, 0) == 6
    with pytest.raises(ReceiptPastHead) as refused:
        await receipts.advance(2, ROOM, 7)
    assert refused.value.metadata == {"roomId": str(ROOM), "headSequence": "6"}
    assert heard.receipts == [(ROOM, 2, 6)]


async def test_receipts_of_the_members_now_page_by_page(world: World) -> None:
    """By user id; who left is not listed."""
    for number in range(1, 5):
        world.tape.put(joined(ROOM, number, number))
    world.tape.put(left(ROOM, 3, 10))
    await world.write(await world.owner())
    receipts = Receipts(world.receipts, Heard(), TOKENS)
    page, token = await receipts.page(1, ROOM, 2, "")
    assert page == [(1, 1), (2, 2)]
    assert await receipts.page(1, ROOM, 2, token) == ([(4, 4)], "")


async def test_receipts_are_for_members_now(world: World) -> None:
    """Neither those who left nor strangers move or list them, in a room or in none."""
    world.tape.put_all(joined(ROOM, 1, 1), joined(ROOM, 2, 2), left(ROOM, 2, 3))
    await world.write(await world.owner())
    receipts = Receipts(world.receipts, Heard(), TOKENS)
    for user_id, room_id in ((2, ROOM), (3, ROOM), (1, 424242)):
        for call in (receipts.advance(user_id, room_id, 1), receipts.page(user_id, room_id, 0, "")):
            with pytest.raises(NotAMember):
                await call
