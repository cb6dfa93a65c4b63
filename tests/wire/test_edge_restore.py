"""A database that was restored from a backup: nobody keeps what it has undone, nobody else is bothered."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.edge_client import Client, Here, client

ROOM, OTHER = 7, 8
EPOCH = 1_790_000_000_000


def grown_again(here: Here) -> None:
    """ROOM was at 10, is set back to 5, and has 12 events now; OTHER was not beyond its backup."""
    here.world.room(ROOM, 1, 2)
    here.world.room(OTHER, 1)
    for _ in range(8):
        here.world.say(ROOM, 2)
    here.world.log.restore(EPOCH, kept=5)
    for _ in range(7):
        here.world.say(ROOM, 2, "after")


async def gaps(connected: Client) -> list[dict[str, Any]]:
    """All that came with the welcome."""
    await connected.ask(ping={})
    return [frame["gap"] for frame in connected.events if "gap" in frame]


@pytest.mark.parametrize("cursor", [6, 10, 12, 13])
async def test_a_cursor_of_the_log_before_is_reset(here: Here, cursor: int) -> None:
    """Also when the room has grown past it, and its number alone looks right."""
    grown_again(here)
    async with client(here, 1, {ROOM: cursor, OTHER: 1}) as ada:
        assert ada.welcome["logEpoch"] == str(EPOCH)
        assert ada.welcome["resetRoomIds"] == [str(ROOM)]
        assert await gaps(ada) == [
            {"roomId": str(ROOM), "fromSequence": "1", "headSequence": "12", "reset": True}
        ]


async def test_what_the_backup_had_is_kept(here: Here) -> None:
    """Up to there it is the same log, so the rest is replayed as ever."""
    grown_again(here)
    async with client(here, 1, {ROOM: 5}) as ada:
        assert "resetRoomIds" not in ada.welcome
        replayed = [int((await ada.event())["event"]["sequence"]) for _ in range(7)]
        assert replayed == [6, 7, 8, 9, 10, 11, 12]


async def test_a_cursor_of_the_log_as_it_is_stays(here: Here) -> None:
    """Who says the epoch is reset once and not at every connect."""
    grown_again(here)
    async with client(here, 1, {ROOM: 12}, log_epoch=EPOCH) as ada:
        assert "resetRoomIds" not in ada.welcome
        assert await gaps(ada) == []


async def test_a_log_that_was_undone_as_a_whole(here: Here) -> None:
    """It had an epoch that this one never had: nothing of it is believed."""
    grown_again(here)
    async with client(here, 1, {ROOM: 1}, log_epoch=EPOCH - 1) as ada:
        assert ada.welcome["resetRoomIds"] == [str(ROOM)]


async def test_live_connections_come_back_when_the_log_was_set_back(here: Here) -> None:
    """An edge that outlived the restore keeps no head of the log before: what comes next gets through."""
    here.world.room(ROOM, 1, 2)
    for _ in range(8):
        here.world.say(ROOM, 2)
    async with client(here, 1, {ROOM: 10}) as ada:
        here.world.log.restore(EPOCH, kept=5)
        here.chat.break_off()
        assert await ada.close_code() == 4000
    async with client(here, 1, {ROOM: 10}) as ada:
        gap = (await ada.event())["gap"]
        assert (gap["headSequence"], gap["reset"]) == ("5", True)
        here.world.say(ROOM, 2, "after")
        assert (await ada.event())["event"]["sequence"] == "6"
