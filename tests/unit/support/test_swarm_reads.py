"""A swarm's client says what it has read until it is answered, and writes down every answer."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.support.history import Kind
from tests.support.peer import Refused
from tests.support.swarm_reads import Reads
from tests.support.transports import Closed, Frame

ROOM = 7


def _refused(reason: str, *, retryable: bool) -> Refused:
    wait = {"retryAfter": "0.001s"} if retryable else {}
    return Refused({"code": "C", "reason": reason, "retryable": retryable, "metadata": {}, **wait})


@dataclass
class Server:
    """Answers one receipt after the other with what the test says; then with `ok`."""

    answers: list[Exception]
    asked: list[Frame] = field(default_factory=list)
    written: list[tuple[Kind, dict[str, Any]]] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    async def ask(self, body: Frame) -> Frame:
        """Notes what was said."""
        await asyncio.sleep(0)
        self.asked.append(body)
        if self.answers:
            raise self.answers.pop(0)
        return {"ok": {}}

    async def connection(self) -> Server:
        """There is one always."""
        return self

    def note(self, kind: Kind, room: int, **details: Any) -> None:
        """One record."""
        assert room == ROOM
        self.written.append((kind, details))

    def reads(self) -> Reads:
        """A client's."""
        return Reads(self.connection, self.note, self.complaints.append)


@pytest.mark.parametrize(
    "lost",
    [
        Closed(0, "cut"),
        _refused("BACKEND_UNAVAILABLE", retryable=True),
        _refused("TOKEN_EXPIRED", retryable=False),
    ],
    ids=["a lost connection", "a refusal for now", "an expired token"],
)
async def test_a_receipt_is_said_again_until_it_is_accepted(lost: Exception) -> None:
    """It is begun once, whatever it takes, and accepted once."""
    server = Server([lost])
    reads = server.reads()
    reads.say(ROOM, 5)
    reads.say(ROOM, 6)
    await reads.answered()
    assert server.asked == [{"receipt": {"roomId": "7", "readSequence": "5"}}] * 2
    assert [(kind, details["sequence"]) for kind, details in server.written] == [
        (Kind.READING, 5),
        (Kind.READ, 5),
    ]
    assert server.complaints == []


async def test_a_definite_refusal_is_written_down() -> None:
    """Whether it is right depends on the memberships, which the checker knows."""
    server = Server([_refused("NOT_A_MEMBER", retryable=False)])
    reads = server.reads()
    reads.say(ROOM, 5)
    await reads.answered()
    assert server.written[1] == (Kind.DENIED, {"sequence": 5, "body": "NOT_A_MEMBER"})
    assert len(server.asked) == 1


async def test_no_answer_is_a_complaint() -> None:
    """Neither an answer nor a close."""
    server = Server([TimeoutError()])
    reads = server.reads()
    reads.say(ROOM, 5)
    await reads.answered()
    assert server.complaints == ["got neither an answer nor a close for its receipt at 5 of room 7"]
