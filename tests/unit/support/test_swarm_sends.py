"""Bursts of a swarm's client: all leave at once, and what is left leaves again in the same order."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Callable
from typing import Any

import pytest

from edge.protocol.limits import IN_FLIGHT
from tests.support.history import Kind, Stored, check
from tests.support.journal import Journal
from tests.support.peer import Peer
from tests.support.swarm_sends import BURST_SIZES, Sends
from tests.support.transports import Closed, Frame

ROOM, USER = 7, 9
Answer = Callable[["Edge", list[Frame]], list[Frame]]
TEXTS = [str(number) for number in range(1000)]


class Edge:
    """A connection whose other end answers when a whole burst has come: nobody waits between two sends."""

    def __init__(self, room: Room, answer: Answer) -> None:
        self.room = room
        self.sends: list[Frame] = []
        self._answer = answer
        self._frames: asyncio.Queue[Frame | Closed] = asyncio.Queue()
        self._due: asyncio.Handle | None = None

    async def send(self, frame: Frame) -> None:
        """Answers when the loop has turned: by then all of a burst are here."""
        if "send" in frame:
            self.sends.append(frame)
            if self._due is None:
                self._due = asyncio.get_running_loop().call_soon(self._turn)

    async def receive(self) -> Frame:
        """The next answer."""
        frame = await self._frames.get()
        if isinstance(frame, Closed):
            raise frame
        return frame

    async def close(self) -> None:
        """Ends the reading."""
        self.abort()

    def abort(self) -> None:
        """Lost."""
        self._frames.put_nowait(Closed(0, "cut"))

    def _turn(self) -> None:
        self._due = None
        came, self.sends = self.sends, []
        for frame in self._answer(self, came):
            self._frames.put_nowait(frame)


class Room:
    """What is stored, each request once, and who came with what."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.bodies: dict[str, str] = {}
        self.bursts: list[list[str]] = []

    def store(self, send: Frame) -> Frame:
        """The `sent` for it."""
        body = send["send"]
        if body["requestId"] not in self.log:
            self.log.append(body["requestId"])
            self.bodies[body["requestId"]] = body["text"]
        place = self.log.index(body["requestId"]) + 1
        return {"id": send["id"], "sent": {"sequence": str(place), "messageId": str(100 + place)}}

    def broken(self, journal: Journal) -> list[str]:
        """What the checker finds."""
        stored = [Stored(n, r, 100 + n, USER, self.bodies[r], n) for n, r in enumerate(self.log, start=1)]
        found = check(journal.records, {ROOM: stored}, {(ROOM, USER): [(1, None)]})
        return [violation.promise for violation in found]


def _came(edge: Edge, sends: list[Frame]) -> None:
    edge.room.bursts.append([send["send"]["text"] for send in sends])


def takes(edge: Edge, sends: list[Frame]) -> list[Frame]:
    """Stores and answers everything."""
    _came(edge, sends)
    return [edge.room.store(send) for send in sends]


def cut_at(stored: int, answered: int) -> Answer:
    """Stores so many, answers fewer, and is cut."""

    def answer(edge: Edge, sends: list[Frame]) -> list[Frame]:
        _came(edge, sends)
        answers = [edge.room.store(send) for send in sends[:stored]][:answered]
        asyncio.get_running_loop().call_soon(edge.abort)
        return answers

    return answer


def refuses(reason: str, *places: int) -> Answer:
    """These of the first burst; takes what comes later."""

    def answer(edge: Edge, sends: list[Frame]) -> list[Frame]:
        if edge.room.bursts:
            return takes(edge, sends)
        _came(edge, sends)
        return [refuse(s, reason) if n in places else edge.room.store(s) for n, s in enumerate(sends)]

    return answer


def refuse(send: Frame, reason: str) -> Frame:
    """An `error` after which the message may be sent again, unless it names the sender."""
    retryable = reason in ("RATE_LIMITED", "OUTCOME_UNKNOWN")
    body = {"code": "X", "reason": reason, "retryable": retryable, "retryAfter": "0.01s", "metadata": {}}
    return {"id": send["id"], "error": body}


def swaps(edge: Edge, sends: list[Frame]) -> list[Frame]:
    """Stores the last one first."""
    _came(edge, sends)
    return [edge.room.store(send) for send in reversed(sends)]


class Client:
    """Has its connections one after the other, and a journal."""

    def __init__(self, *answers: Answer) -> None:
        self.room, self.journal = Room(), Journal()
        self.refreshed = 0
        self._answers = list(answers)
        self._peers: list[Peer] = []
        self.sends = Sends(
            self._connection,
            self._refresh,
            self._note,
            self.journal.complaints.append,
            self.journal,
            random.Random(1),
            bursts=True,
        )

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *_: object) -> None:
        for peer in self._peers:
            await peer.end()

    async def _connection(self) -> Peer:
        if not self._peers or self._peers[-1].lost is not None:
            self._peers.append(Peer(Edge(self.room, self._answers.pop(0))))
        return self._peers[-1]

    async def _refresh(self) -> None:
        self.refreshed += 1

    def _note(self, kind: Kind, room: int, **details: Any) -> None:
        self.journal.note("c", USER, kind, room, **details)

    @property
    def kinds(self) -> dict[str, list[Kind]]:
        """By text what became of each message."""
        texts = {record.request_id: str(record.body) for record in self.journal.records if record.body}
        found: dict[str, list[Kind]] = {text: [] for text in texts.values()}
        for record in self.journal.records:
            found[texts[record.request_id]].append(record.kind)
        return found


async def test_a_burst_leaves_without_waiting_and_the_next_turn_is_one_message() -> None:
    """As many as an edge lets be in flight at most, in their order; the pause holds for all rooms."""
    async with Client(takes) as client:
        texts = iter(TEXTS)
        await client.sends.turn(ROOM, texts)
        await client.sends.turn(ROOM, texts)
        burst, single = client.room.bursts
        assert 8 <= len(burst) <= BURST_SIZES[-1] < IN_FLIGHT
        assert [*burst, *single] == TEXTS[: len(burst) + 1]
        assert (client.room.broken(client.journal), client.journal.bursts) == ([], 1)


async def test_no_burst_begins_while_one_is_under_way() -> None:
    """The other room gets one message."""
    async with Client(takes) as client:
        texts = iter(TEXTS)
        await asyncio.gather(client.sends.turn(ROOM, texts), client.sends.turn(ROOM + 1, texts))
        assert client.journal.bursts == 1
        rooms = [record.room for record in client.journal.records if record.kind is Kind.INVOKE]
        assert rooms.count(ROOM + 1) == 1


@pytest.mark.parametrize(("stored", "answered"), [(0, 0), (5, 0), (5, 3), (8, 3)])
async def test_a_cut_in_the_middle_sends_all_that_is_unanswered_again(stored: int, answered: int) -> None:
    """In the order of the first sending, with the same request ids, until nothing is left; twice cut."""
    async with Client(cut_at(stored, answered), cut_at(2, 0), takes) as client:
        await client.sends.turn(ROOM, iter(TEXTS))
        first, second, third = client.room.bursts
        assert second == third == first[answered:]
        assert [client.room.bodies[request] for request in client.room.log] == first
        sent = [Kind.INVOKE, Kind.OK]
        again = [Kind.INVOKE, Kind.UNKNOWN, Kind.AGAIN, Kind.UNKNOWN, Kind.AGAIN, Kind.OK]
        assert list(client.kinds.values()) == [sent] * answered + [again] * len(third)
        assert client.room.broken(client.journal) == []


@pytest.mark.parametrize(
    ("reason", "end"),
    [
        ("RATE_LIMITED", Kind.PUT_OFF),
        ("TOKEN_EXPIRED", Kind.PUT_OFF),
        ("OUTCOME_UNKNOWN", Kind.UNKNOWN),
    ],
)
async def test_what_is_put_off_stands_behind_what_was_stored(reason: str, end: Kind) -> None:
    """It leaves again when all of the burst are answered, and its new place is no breach."""
    async with Client(refuses(reason, 3, 5)) as client:
        await client.sends.turn(ROOM, iter(TEXTS))
        first, second = client.room.bursts
        assert second == ["3", "5"]
        assert [client.room.bodies[request] for request in client.room.log] == [
            *(text for text in first if text not in second),
            *second,
        ]
        assert client.kinds["3"] == [Kind.INVOKE, end, Kind.AGAIN, Kind.OK]
        assert client.refreshed == (reason == "TOKEN_EXPIRED")
        assert (client.room.broken(client.journal), client.journal.complaints) == ([], [])


async def test_a_refusal_for_good_ends_one_message_of_the_burst() -> None:
    """A swarm sends nothing that may be refused."""
    async with Client(refuses("NOT_A_MEMBER", 2)) as client:
        await client.sends.turn(ROOM, iter(TEXTS))
        assert len(client.room.bursts) == 1
        assert client.kinds["2"] == [Kind.INVOKE, Kind.FAIL]
        assert "NOT_A_MEMBER" in client.journal.complaints[0]


async def test_a_server_that_changes_the_order_of_a_burst_is_found() -> None:
    """Each message is there once and answered so: only their order is wrong."""
    async with Client(swaps) as client:
        await client.sends.turn(ROOM, itertools.islice(TEXTS, 20))
        assert set(client.room.broken(client.journal)) == {"I3"}


async def test_what_was_put_off_together_keeps_its_order_the_second_time() -> None:
    """Both were refused, so that neither is excused by the other."""

    def refuse_then_swap(edge: Edge, sends: list[Frame]) -> list[Frame]:
        return (swaps if edge.room.bursts else refuses("RATE_LIMITED", 3, 5))(edge, sends)

    async with Client(refuse_then_swap) as client:
        await client.sends.turn(ROOM, iter(TEXTS))
        assert client.room.broken(client.journal) == ["I3"]
