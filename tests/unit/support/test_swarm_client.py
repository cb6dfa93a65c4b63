"""A swarm's client writes down what it saw as it was, so that the checker finds what a server did wrong."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import httpx
import pytest

from tests.support.api import Api, Json, User
from tests.support.eventually import eventually
from tests.support.history import Kind, Record, Stored, check
from tests.support.journal import Journal
from tests.support.swarm_client import SwarmClient
from tests.support.transports import Closed, Frame, kind_of

ROOM, USER = 7, 9
SENT_AGAIN = [Kind.INVOKE, Kind.UNKNOWN, Kind.AGAIN, Kind.OK]
Reply = Callable[[Frame], list[Frame]]


class FakeEdge:
    """A connection whose other end answers each frame by a function of the test."""

    def __init__(self, reply: Reply) -> None:
        self._reply = reply
        self.frames: asyncio.Queue[Frame | Closed] = asyncio.Queue()

    async def send(self, frame: Frame) -> None:
        """A reply may be several frames, or none."""
        for answer in self._reply(frame):
            self.frames.put_nowait(answer)

    async def receive(self) -> Frame:
        """What was pushed next."""
        frame = await self.frames.get()
        if isinstance(frame, Closed):
            raise frame
        return frame

    async def close(self) -> None:
        """Ends the reading."""
        self.abort()

    def abort(self) -> None:
        """Lost."""
        self.frames.put_nowait(Closed(0, "cut"))

    def push(self, *sequences: int) -> None:
        """Shows these events."""
        for sequence in sequences:
            self.frames.put_nowait(_event(sequence))


class FakeApi(Api):
    """Has a log to page."""

    def __init__(self, log: list[Json]) -> None:
        self._log = log
        self.away = 0
        """So many attempts to get new tokens fail first."""

    async def call_again(self, method: str, params: object, user: User | None, seconds: float = 0) -> Json:
        """ListEvents after the sequence asked for, two at a time."""
        assert isinstance(params, dict)
        after = int(params["afterSequence"])
        return {"events": [event for event in self._log if int(event["sequence"]) > after][:2]}

    async def refresh(self, user: User) -> None:
        """Makes the next token out of the last one."""
        if self.away:
            self.away -= 1
            raise httpx.ConnectError("auth is away")
        user.access_token += "+"


def _event(sequence: int) -> Frame:
    message = {"messageId": str(100 + sequence), "messageNumber": str(sequence), "senderUserId": "1"}
    place = {"roomId": str(ROOM), "sequence": str(sequence), "requestId": f"r{sequence}"}
    return {"event": {**place, "messageCreated": {"message": message}}}


def _log(last: int) -> dict[int, list[Stored]]:
    return {ROOM: [Stored(n, f"r{n}", 100 + n, 1, "", n) for n in range(1, last + 1)]}


def _greet(frame: Frame) -> list[Frame]:
    return [{"id": frame["id"], "welcome": {"rooms": []}}] if kind_of(frame) == "hello" else []


def _refusal(reason: str) -> Frame:
    return {"code": "UNAUTHENTICATED", "reason": reason, "retryable": False, "metadata": {}}


@asynccontextmanager
async def _client(
    *edges: FakeEdge, log: int = 0, away: int = 0
) -> AsyncIterator[tuple[SwarmClient, Journal]]:
    waiting, journal = list(edges), Journal()

    async def open_() -> FakeEdge:
        return waiting.pop(0) if len(waiting) > 1 else waiting[0]

    api = FakeApi([_event(n)["event"] for n in range(1, log + 1)])
    api.away = away
    client = SwarmClient("c", User(USER, "c", "t", "r"), [ROOM], open_, api, journal, seed=1)
    running = asyncio.create_task(client.run())
    try:
        await client.connected()
        yield client, journal
    finally:
        running.cancel()
        await asyncio.wait([running])


async def _seen(client: SwarmClient, sequence: int) -> None:
    async def there() -> bool:
        return client.cursors[ROOM] == sequence

    await eventually(there, seconds=5, what=f"event {sequence}")


def _promises(journal: Journal, last: int) -> set[str]:
    sent = [Record("s", 1, 0.0, Kind.INVOKE, ROOM, request_id=f"r{n}") for n in range(1, last + 1)]
    return {v.promise for v in check([*sent, *journal.records], _log(last), {(ROOM, USER): [(1, None)]})}


@pytest.mark.parametrize(
    ("shown", "broken"),
    [((1, 2, 3), set()), ((1, 3), {"I4"}), ((1, 2, 2, 3), {"I4"}), ((2, 1, 3), {"I4"}), ((1, 2), {"I4"})],
    ids=["all", "a hole", "twice", "swapped", "the end missing"],
)
async def test_what_the_server_shows_is_judged(shown: tuple[int, ...], broken: set[str]) -> None:
    """The client mends nothing by itself."""
    edge = FakeEdge(_greet)
    async with _client(edge) as (client, journal):
        edge.push(*shown)
        await _seen(client, shown[-1])
        assert _promises(journal, 3) == broken


async def test_a_gap_is_paged_and_what_comes_meanwhile_waits() -> None:
    """One view without a hole; only the head that the gap told is fetched."""
    edge = FakeEdge(_greet)
    async with _client(edge, log=9) as (client, journal):
        edge.push(1)
        gap = {"gap": {"roomId": str(ROOM), "fromSequence": "2", "headSequence": "6"}}
        edge.frames.put_nowait(gap)
        edge.push(7, 8)
        await _seen(client, 8)
        assert [r.sequence for r in journal.records if r.kind is Kind.RECEIVE] == list(range(1, 9))
        assert _promises(journal, 8) == set()


async def test_a_lost_connection_resumes_and_sends_again() -> None:
    """The same request id until there is an answer; the next hello has the cursor."""
    hellos: list[Json] = []
    sends: list[Json] = []

    def first(frame: Frame) -> list[Frame]:
        if kind_of(frame) == "send":
            sends.append(frame["send"])
            old.abort()
        return _greet(frame)

    def second(frame: Frame) -> list[Frame]:
        if kind_of(frame) == "hello":
            hellos.append(frame["hello"])
        if kind_of(frame) != "send":
            return _greet(frame)
        sends.append(frame["send"])
        stopping.set()
        return [{"id": frame["id"], "sent": {"sequence": "2", "messageId": "102", "duplicate": True}}]

    old, new, stopping = FakeEdge(first), FakeEdge(second), asyncio.Event()
    async with _client(old, new) as (client, journal):
        old.push(1)
        await _seen(client, 1)
        await client.send_until(stopping, ROOM)
        assert [send["requestId"] for send in sends] == [sends[0]["requestId"]] * 2
        assert hellos[0]["rooms"] == [{"roomId": str(ROOM), "sequence": "1"}]
        assert [r.kind for r in journal.records if r.request_id] == SENT_AGAIN
        assert journal.complaints == []


async def test_a_refusal_is_a_complaint_and_ends_the_message() -> None:
    """A swarm sends nothing that may be refused."""
    stopping = asyncio.Event()

    def refuse(frame: Frame) -> list[Frame]:
        if kind_of(frame) != "send":
            return _greet(frame)
        stopping.set()
        error = {"code": "PERMISSION_DENIED", "reason": "NOT_A_MEMBER", "retryable": False, "metadata": {}}
        return [{"id": frame["id"], "error": error}]

    async with _client(FakeEdge(refuse)) as (client, journal):
        await client.send_until(stopping, ROOM)
        assert [r.kind for r in journal.records if r.request_id] == [Kind.INVOKE, Kind.FAIL]
        assert "NOT_A_MEMBER" in journal.complaints[0]


async def test_a_send_that_nobody_answers_is_unknown() -> None:
    """Before it is sent again: the first attempt may be stored."""
    stopping, attempts = asyncio.Event(), 0

    def late(frame: Frame) -> list[Frame]:
        nonlocal attempts
        if kind_of(frame) != "send":
            return _greet(frame)
        attempts += 1
        if attempts == 1:
            raise TimeoutError
        stopping.set()
        return [{"id": frame["id"], "sent": {"sequence": "1", "messageId": "101", "duplicate": True}}]

    async with _client(FakeEdge(late)) as (client, journal):
        await client.send_until(stopping, ROOM)
        assert [r.kind for r in journal.records if r.request_id] == SENT_AGAIN
        assert "neither an answer nor a close" in journal.complaints[0]


@pytest.mark.parametrize("away", [0, 2], ids=["auth answers", "auth is away at first"])
async def test_a_token_that_ends_is_replaced_on_the_connection(away: int) -> None:
    """`tokenExpiring`, also right behind the welcome: the connection gets a new token and lives on."""
    refreshed: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def warn(frame: Frame) -> list[Frame]:
        if kind_of(frame) == "refresh":
            refreshed.set_result(frame["refresh"]["accessToken"])
            return [{"id": frame["id"], "ok": {}}]
        return [*_greet(frame), {"tokenExpiring": {"expiresIn": "60s"}}]

    async with _client(FakeEdge(warn), away=away) as (client, journal):
        assert await asyncio.wait_for(refreshed, 5) == "t+"
        assert (client.connections, journal.complaints) == (1, [])


@pytest.mark.parametrize(
    ("reason", "complaints"), [("TOKEN_EXPIRED", 0), ("SESSION_REVOKED", 1)], ids=["ended", "revoked"]
)
async def test_a_connection_whose_token_ended_comes_back_with_a_new_one(reason: str, complaints: int) -> None:
    """The error that says why 4101 follows is no complaint; any other without an id is."""
    tokens: list[str] = []

    def keep(frame: Frame) -> list[Frame]:
        tokens.append(frame["hello"]["accessToken"])
        return _greet(frame)

    old, new = FakeEdge(keep), FakeEdge(keep)
    async with _client(old, new) as (client, journal):
        old.frames.put_nowait({"error": _refusal(reason)})
        old.frames.put_nowait(Closed(4101, "ended"))

        async def back() -> bool:
            return client.connections == 2

        await eventually(back, seconds=5, what="the second connection")
        assert tokens == ["t", "t+"]
        assert len(journal.complaints) == complaints


async def test_a_gap_behind_a_gap_is_paged_after_it() -> None:
    """What waited behind the first one stays in its place; nothing is lost, nothing shown twice."""
    edge = FakeEdge(_greet)
    async with _client(edge, log=9) as (client, journal):
        edge.push(1)
        edge.frames.put_nowait({"gap": {"roomId": str(ROOM), "fromSequence": "2", "headSequence": "4"}})
        edge.push(5)
        edge.frames.put_nowait({"gap": {"roomId": str(ROOM), "fromSequence": "6", "headSequence": "8"}})
        edge.push(9)
        await _seen(client, 9)
        assert [r.sequence for r in journal.records if r.kind is Kind.RECEIVE] == list(range(1, 10))
        assert (_promises(journal, 9), journal.complaints) == (set(), [])


async def test_a_room_that_only_the_welcome_told_of_goes_on_after_its_head() -> None:
    """It is resumed like any other, and an event that is missing after that head is missed."""
    other, edge = ROOM + 1, FakeEdge(lambda frame: [{"id": frame["id"], "welcome": {"rooms": [told]}}])
    told = {"roomId": str(other), "headSequence": "4", "readSequence": "0", "unreadCount": 4}
    async with _client(edge) as (client, journal):
        assert client.cursors == {ROOM: 0, other: 4}
        frame = _event(6)
        frame["event"]["roomId"] = str(other)
        edge.frames.put_nowait(frame)

        async def there() -> bool:
            return client.cursors[other] == 6

        await eventually(there, seconds=5, what="event 6")
        logs = {other: _log(6)[ROOM]}
        found = check(journal.records, logs, {(other, USER): [(1, None)]}, {"c": USER})
        assert any("with a hole" in violation.text for violation in found)
