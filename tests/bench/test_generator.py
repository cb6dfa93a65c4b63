"""The load generator believes no server: what is lost, doubled or out of order is counted."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosedError

from bench.floor_server import Floor, running_floor
from bench.generator import Measured, generate

MEMBERS, RATE = 3, 40
MARK = '"sequence":"'
DIGITS = 12
OWN = 5
"""After so many messages of its own the victim is treated badly: the next two are of the others."""

Deliver = Callable[[int, str, str], list[str]]
"""What the victim is sent, by the place after its last own message: the text, and the text before it."""


def honest(_place: int, text: str, _before: str) -> list[str]:
    """Each message once."""
    return [text]


def losing(place: int, text: str, _before: str) -> list[str]:
    """One is not sent on."""
    return [] if place == 1 else [text]


def doubling(place: int, text: str, _before: str) -> list[str]:
    """One is sent twice."""
    return [text] * (2 if place == 1 else 1)


def swapping(place: int, text: str, before: str) -> list[str]:
    """One comes after the next."""
    return [[text], [], [text, before]][place] if place < MEMBERS else [text]


@asynccontextmanager
async def server(deliver: Deliver) -> AsyncIterator[str]:
    """A floor in Python with one room, whose last member is the victim."""
    members: list[ServerConnection] = []
    sent: list[str] = [""]
    owned: list[int] = []

    async def room(connection: ServerConnection) -> None:
        members.append(connection)
        with contextlib.suppress(ConnectionClosedError):  # the generator leaves without a word
            async for text in connection:
                if connection is members[-1]:
                    owned.append(len(sent))
                await deal(str(text))

    async def deal(text: str) -> None:
        head, _, rest = text.partition(MARK)
        number = len(sent)
        sent.append(f"{head}{MARK}{number:0{DIGITS}}{rest[DIGITS:]}")
        for member in members[:-1]:
            await member.send(sent[-1])
        place = number - owned[OWN - 1] if len(owned) >= OWN else 0
        for one in deliver(place, sent[-1], sent[-2]):
            await members[-1].send(one)

    async with serve(room, "127.0.0.1", 0, compression=None, ping_interval=None) as listening:
        host, port = next(iter(listening.sockets)).getsockname()
        yield f"{host}:{port}"


async def run(load: Path, address: str) -> Measured:
    """A second of one room."""
    shape = ("-floor", "-rooms", 1, "-members", MEMBERS, "-rate", RATE)
    time = ("-warm", "0s", "-measure", "1s", "-settle", "1s")
    return await generate(load, ("-address", address, *shape, *time), lambda: {"server": 0.0})


@pytest.mark.parametrize(
    ("deliver", "broken"),
    [
        (honest, []),
        (losing, ["server: 1 lost", "server: 1 holes"]),
        (doubling, ["server: 1 twice"]),
        (swapping, ["server: 1 lost", "server: 1 twice", "server: 1 holes"]),
    ],
    ids=["honest", "losing", "doubling", "swapping"],
)
async def test_what_a_server_does_to_a_message_is_counted(
    load: Path, deliver: Deliver, broken: list[str]
) -> None:
    """And nothing else is."""
    async with server(deliver) as address:
        seen = await run(load, address)
    assert seen.broken("server") == broken
    assert seen.seen["sends"] == RATE


async def test_the_floor_delivers_everything_once_in_order(load: Path, floor: Floor) -> None:
    """And its CPU can be counted."""
    async with running_floor(floor) as running:
        seen = await run(load, running.address)
        assert running.cpu()["floor"] >= 0.0
    assert seen.broken("floor") == []
    assert seen.seen["deliveries"] == RATE * MEMBERS
