"""Thousands of clients: the program of `bench/load`, which costs less than what it talks to."""

from __future__ import annotations

import asyncio
import contextlib
import json
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from scripts.stack.go import go_program
from scripts.stack.layout import cache_folder
from scripts.stack.tools import one_at_a_time, run_tool
from tests.support.api import Json, User
from tests.support.stack import ROOT, Stack

LOAD = ROOT / "bench" / "load"
BUILD_SECONDS = 300.0
ANSWER_SECONDS = 30.0
"""For a command that waits for nothing; those that wait are given their time beside it."""
LINE_BYTES = 16 * 1024 * 1024
RATE_OF_A_CLIENT = 15.0
"""Sends a second of one client that no limit of the edge (20 frames) or of chat (50) refuses."""


@dataclass(frozen=True)
class Crowd:
    """The clients, in the order in which their people were given."""

    size: int
    stack: Stack
    folder: Path
    process: asyncio.subprocess.Process

    async def connect(
        self,
        first: int = 0,
        count: int | None = None,
        *,
        spread: float = 0.0,
        jitter: bool = True,
        cursor: int | None = None,
    ) -> None:
        """Wants clients connected, now and again whenever they are cut off. They try first within `spread`
        seconds, and again with full jitter or, without it, all after the same wait. With a `cursor` every
        room is asked for from there on, else from where the client is."""
        await self._tell(
            {
                "do": "connect",
                "first": first,
                "count": self.size if count is None else count,
                "spreadMillis": int(spread * 1000),
                "jitter": jitter,
                "cursor": cursor,
            }
        )

    async def cut(self, first: int = 0, count: int | None = None) -> None:
        """Closes connections without a word, for good."""
        await self._tell({"do": "cut", "first": first, "count": self.size if count is None else count})

    async def up(self, count: int, seconds: float) -> Json:
        """Waits until so many are connected and have caught up. Raises TimeoutError; gives `state`."""
        state = await self._tell({"do": "wait", "up": count, "seconds": seconds}, seconds)
        if state["up"] < count:
            raise TimeoutError(f"after {seconds} s {state['up']} of {count} are back: {state}")
        return state

    async def state(self) -> Json:
        """`up`; since the last `connect`: `refused` by kind, `backSeconds` (p50, p99, max); since the start:
        `holes`, `twice`, `gaps`, `skips`, `events`, `joins`, `frames`, `bytes`, `closed`, `acknowledged`."""
        return await self._tell({"do": "state"})

    async def send(
        self, label: str, rooms: Sequence[int], rate: float, *, text: int = 128, attempts: int = 3
    ) -> None:
        """Begins to send: so many a second over these rooms, by their members in turn, whatever the answers
        do. What is refused for now is sent again, `attempts` times in all."""
        order = {"label": label, "rooms": [str(room) for room in rooms], "rate": rate}
        await self._tell({"do": "send", **order, "text": text, "attempts": attempts})

    async def measure(self, label: str) -> Json:
        """What became of the sends of a label since the last time: `offered`, `heldBack` (no connection or
        too many in flight), `acks`, `errors` by reason, `givenUp`, and seconds (p50, p99, max) as
        `ackSeconds`, `deliverySeconds`, `refusalSeconds`."""
        return await self._tell({"do": "measure", "label": label})

    async def stop(self, label: str) -> Json:
        """Ends a label; gives its last `measure`."""
        return await self._tell({"do": "stop", "label": label})

    async def figures(self, label: str, seconds: float) -> Json:
        """A `measure` of the next so many seconds."""
        await self.measure(label)
        await asyncio.sleep(seconds)
        return await self.measure(label)

    async def judge(self, seconds: float = 60.0) -> list[str]:
        """Every broken promise in a sentence, after all sends have ended: acknowledged and not stored (I1), a
        hole or a double (I4), a connected client that is behind, a send without an end."""
        path = self.folder / "acknowledged"
        deadline = time.monotonic() + seconds
        while True:
            left = max(0.0, deadline - time.monotonic())
            end = await self._tell({"do": "finish", "path": str(path), "seconds": left}, left)
            stored, heads = await _stored(self.stack, [int(room) for room in end["lowest"]])
            behind = {
                room: (low, heads[int(room)])
                for room, low in end["lowest"].items()
                if low < heads.get(int(room), 0)
            }
            if not behind or left == 0.0:
                break
            await asyncio.sleep(0.1)
        state = await self.state()
        broken = [f"{state[kind]} {kind}" for kind in ("holes", "twice") if state[kind]]
        if end["waiting"]:
            broken.append(f"{end['waiting']} sends without an answer")
        acknowledged = [line.split() for line in path.read_text().splitlines()]
        lost = [one for one in acknowledged if stored.get((int(one[0]), one[2])) != int(one[1])]
        if lost:
            broken.append(f"I1: {len(lost)} of {len(acknowledged)} acknowledged are not stored: {lost[:3]}")
        if behind:
            some = sorted(behind.items())[:3]
            broken.append(f"I4: {len(behind)} rooms with a client behind (at, head): {some}")
        return broken

    async def _tell(self, order: Mapping[str, object], seconds: float = 0.0) -> Json:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(order).encode() + b"\n")
        async with asyncio.timeout(ANSWER_SECONDS + seconds):
            line = await self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the crowd ended at {order}")
        return dict(json.loads(line))


@asynccontextmanager
async def crowd(
    stack: Stack, people: Sequence[User], rooms: Mapping[int, Sequence[User]]
) -> AsyncIterator[Crowd]:
    """Clients for these people, nobody connected yet; `rooms` has the members of each room among them."""
    with tempfile.TemporaryDirectory(prefix="polychat-crowd-") as name:
        folder = Path(name)
        program = await _build()
        of_user: dict[int, list[str]] = {one.user_id: [] for one in people}
        for room, members in rooms.items():
            for member in members:
                of_user[member.user_id].append(str(room))
        file = folder / "people.json"
        known = [
            {"user": str(one.user_id), "token": one.access_token, "rooms": of_user[one.user_id]}
            for one in people
        ]
        address = stack.http_url.removeprefix("http://")
        file.write_text(json.dumps({"address": address, "people": known}))
        process = await asyncio.create_subprocess_exec(
            program,
            "crowd",
            file,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=LINE_BYTES,
        )
        try:
            yield Crowd(len(people), stack, folder, process)
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


async def _build() -> Path:
    """Go itself sees when nothing changed since the last time."""
    program = cache_folder() / "crowd"
    async with one_at_a_time(program.with_suffix(".lock")):
        command = (await go_program(), "build", "-o", str(program), ".")
        await run_tool(command, what="build the crowd", cwd=LOAD, seconds=BUILD_SECONDS)
    return program


async def _stored(stack: Stack, rooms: Sequence[int]) -> tuple[dict[tuple[int, str], int], dict[int, int]]:
    """What PostgreSQL has of these rooms: the sequence of each request id, and the heads."""
    connection = await asyncpg.connect(stack.postgres_dsn, ssl=False)
    try:
        requests = await connection.fetch(
            "SELECT room_id, encode(request_id, 'hex')::uuid::text AS request_id, sequence"
            " FROM message.request WHERE room_id = ANY($1)",
            list(rooms),
        )
        heads = await connection.fetch(
            "SELECT room_id, head_sequence FROM message.room_head WHERE room_id = ANY($1)", list(rooms)
        )
    finally:
        await connection.close()
    sequences = {(row["room_id"], row["request_id"]): row["sequence"] for row in requests}
    return sequences, {row["room_id"]: row["head_sequence"] for row in heads}
