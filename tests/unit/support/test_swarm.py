"""When a swarm is normal: in every room of every client, for who sends and for who reads (HEAL)."""

from __future__ import annotations

import time

import pytest

from tests.support.api import Api, User
from tests.support.history import Kind
from tests.support.journal import Journal
from tests.support.swarm import Swarm
from tests.support.swarm_client import SwarmClient
from tests.support.transports import Transport

ROOMS = (7, 8)
NAMES = ("anna", "bert")


async def _never() -> Transport:
    raise OSError


def _swarm() -> Swarm:
    """Nobody of it is connected; what they see is written down for them."""
    api, journal = Api("http://127.0.0.1:1"), Journal()
    users = [User(number, name, "", "") for number, name in enumerate(NAMES, 1)]
    clients = [SwarmClient(user.username, user, ROOMS, _never, api, journal, seed=1) for user in users]
    return Swarm(api, journal, users[0], ROOMS, clients)


def _do(swarm: Swarm, kind: Kind, name: str, room: int, sequence: int = 0) -> None:
    swarm.journal.note(name, 1, kind, room, request_id=f"{name}-{room}", sequence=sequence)


def _all_well(swarm: Swarm, but: tuple[Kind, str, int] | None = None) -> None:
    """Everybody sends in every room and sees it, `but` for one kind of record of one client in one room."""
    for kind in (Kind.INVOKE, Kind.OK, Kind.RECEIVE):
        for name in NAMES:
            for room in ROOMS:
                if (kind, name, room) != but:
                    _do(swarm, kind, name, room, sequence=1)


async def test_a_swarm_is_normal_when_all_is_well_everywhere() -> None:
    """At once."""
    swarm = _swarm()
    _all_well(swarm)
    await swarm.normal(0.0, 0.0)
    await swarm.everyone_sent(0.0, 0.0)


@pytest.mark.parametrize(
    ("but", "sentence"),
    [
        ((Kind.OK, "bert", 8), "bert has no new `sent` in 8"),
        ((Kind.RECEIVE, "anna", 7), "anna is shown nothing new of 7"),
    ],
    ids=["no answer in one room", "no delivery in one room"],
)
async def test_one_room_of_one_client_is_enough_not_to_be_normal(
    but: tuple[Kind, str, int], sentence: str
) -> None:
    """A partition may be dead though every client is answered in its other room."""
    swarm = _swarm()
    _all_well(swarm, but)
    with pytest.raises(TimeoutError, match=sentence):
        await swarm.normal(0.0, 0.0)


async def test_what_was_well_before_is_not_new() -> None:
    """The end of a fault is where it is counted from."""
    swarm = _swarm()
    _all_well(swarm)
    with pytest.raises(TimeoutError, match="anna has no new `sent` in 7"):
        await swarm.everyone_sent(time.monotonic(), 0.0)
