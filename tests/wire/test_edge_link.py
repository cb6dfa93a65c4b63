"""The link breaks, drains, is slow: clients stay connected, and every send has one outcome."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import grpc
import pytest

import edge.link
from tests.support.edge_client import Client, Here, client, open_here, raw_client, until
from tests.support.edge_world import FakeChat, served, token


def send(room_id: int = 7, request_id: str = "", text: str = "hi") -> dict[str, Any]:
    return {"send": {"roomId": str(room_id), "requestId": request_id or str(uuid.uuid4()), "text": text}}


async def sequences(connected: Client, count: int) -> list[int]:
    return [int((await connected.event())["event"]["sequence"]) for _ in range(count)]


async def test_an_unanswered_send_is_sent_again_to_another_chat(here: Here) -> None:
    """The instance dies with the send in its hands: the same tag and request id go to the next one."""
    here.world.room(7, 1)
    async with client(here, 1) as ada:
        here.chat.hold_outcomes = True
        await ada.send(id=50, **send())
        await until(lambda: bool(here.chat.sends))
        second = FakeChat("chat-2", here.world)
        async with served(second) as (_, instance):
            here.instances.present = [instance]
            _kill(here)
            sent = (await ada.reply(50))["sent"]
            assert sent["sequence"] == "2"
            assert second.sends[0].tag == here.chat.sends[0].tag
            assert second.sends[0].request == here.chat.sends[0].request


def _kill(here: Here) -> None:
    """The stream of the first chat breaks."""
    here.chat.break_off()


@pytest.mark.parametrize(
    "code", [grpc.StatusCode.CANCELLED, grpc.StatusCode.INTERNAL, grpc.StatusCode.PERMISSION_DENIED]
)
async def test_however_a_stream_ends_the_edge_attaches_again(here: Here, code: grpc.StatusCode) -> None:
    """grpc.aio raises CancelledError when the other side cancels; that must not end the link's own task."""
    here.world.room(7, 1)
    async with client(here, 1) as ada:
        first = here.chat.attached[0]
        here.chat.break_off(code)
        await until(lambda: first not in here.chat.attached and bool(here.chat.attached))
        assert "sent" in await ada.ask(**send())


async def test_what_happened_without_a_link_is_fetched_afterwards(here: Here) -> None:
    """Connections are opened again with their tokens, heads are compared, holes filled."""
    here.world.room(7, 1)
    async with client(here, 1) as ada:
        second = FakeChat("chat-2", here.world)
        async with served(second) as (_, instance):
            here.instances.present = []
            _kill(here)
            await until(lambda: here.edge.link.attached_to is None)
            here.world.say(7, 1)
            here.world.say(7, 1)
            here.instances.present = [instance]
            assert await sequences(ada, 2) == [2, 3]
            assert [opened.access_token for opened in second.requests[0].open]
            here.world.say(7, 1)
            assert await sequences(ada, 1) == [4]


async def test_coming_and_going_without_a_link(here: Here) -> None:
    """A room that was joined begins with its memberJoined; one that was left ends with its memberLeft."""
    here.world.room(7, 1, 2)
    here.world.room(8, 2)
    async with client(here, 1) as ada:
        second = FakeChat("chat-2", here.world)
        async with served(second) as (_, instance):
            here.instances.present = []
            _kill(here)
            await until(lambda: here.edge.link.attached_to is None)
            here.world.leave(7, 1)
            here.world.say(7, 2, "secret")
            here.world.join(8, 1)
            here.world.say(8, 2)
            here.instances.present = [instance]
            frames = [(await ada.event())["event"] for _ in range(3)]
            seen = {(frame["roomId"], frame["sequence"]) for frame in frames}
            assert seen == {("7", "3"), ("8", "2"), ("8", "3")}
            here.world.say(7, 2, "secret")
            here.world.say(8, 2)
            assert await sequences(ada, 1) == [4]
            await ada.ask(ping={})
            assert ada.events == []


async def test_a_draining_chat_is_left_for_another(here: Here) -> None:
    here.world.room(7, 1)
    async with client(here, 1) as ada:
        second = FakeChat("chat-2", here.world)
        async with served(second) as (_, instance):
            here.instances.present.append(instance)
            here.chat.tell(draining=True)
            await until(lambda: here.edge.link.attached_to == "chat-2")
            assert "sent" in await ada.ask(**send())
            assert not here.chat.attached


async def test_hello_waits_for_the_link_and_not_for_ever() -> None:
    async with open_here(hello_seconds=0.3) as here:
        here.instances.present = []
        _kill(here)
        await until(lambda: here.edge.link.attached_to is None)
        async with raw_client(here) as nobody:
            await nobody.send(id=1, hello={"accessToken": token(1)})
            frame = await nobody.frame()
            assert (frame["id"], frame["error"]["reason"]) == (1, "BACKEND_UNAVAILABLE")
            assert await nobody.close_code() == 4001


async def test_no_outcome_in_time_is_unknown(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    """The edge's own answer; the same request id later gives the original result."""
    monkeypatch.setattr(edge.link, "SEND_SECONDS", 0.2)
    here.world.room(7, 1)
    here.chat.hold_outcomes = True
    async with client(here, 1) as ada:
        request_id = str(uuid.uuid4())
        error = (await ada.ask(**send(request_id=request_id)))["error"]
        assert (error["code"], error["reason"]) == ("UNAVAILABLE", "OUTCOME_UNKNOWN")
        assert error["retryable"] is True
        here.chat.hold_outcomes = False
        here.chat.commit(here.chat.attached[0], here.chat.sends[0])
        assert (await ada.ask(**send(request_id=request_id)))["sent"]["duplicate"] is True


async def test_a_late_outcome_is_not_a_second_reply(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edge.link, "SEND_SECONDS", 0.1)
    here.world.room(7, 1)
    here.chat.hold_outcomes = True
    async with client(here, 1) as ada:
        assert "error" in await ada.ask(**send())
        here.chat.commit(here.chat.attached[0], here.chat.sends[0])
        assert await sequences(ada, 1) == [2]
        await ada.ask(ping={})
        assert ada.events == []


async def test_a_full_link_refuses_sends(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bounded for the whole process: the next one is OVERLOADED at once."""
    monkeypatch.setattr(here.edge.link._backlog, "_most", 1)
    here.world.room(7, 1)
    here.chat.hold_outcomes = True
    async with client(here, 1) as ada:
        await ada.send(id=90, **send())
        assert (await ada.ask(**send()))["error"]["reason"] == "OVERLOADED"


async def test_more_than_in_flight_are_not_read(here: Here) -> None:
    """32 sends are unanswered: the 33rd waits in the socket until one is answered."""
    here.world.room(7, 1)
    here.chat.hold_outcomes = True
    async with client(here, 1) as ada:
        for number in range(40):
            await ada.send(id=100 + number, **send())
        await until(lambda: len(here.chat.sends) == 32)
        await asyncio.sleep(0.05)
        assert len(here.chat.sends) == 32
        here.chat.hold_outcomes = False
        for held in list(here.chat.sends):
            here.chat.commit(here.chat.attached[0], held)
        replies = [(await ada.reply(100 + number))["sent"] for number in range(40)]
        assert len({reply["sequence"] for reply in replies}) == 40


async def test_chat_refuses_the_connection(here: Here) -> None:
    """Its reason is told and decides the close code."""
    from polychat.internal.link.v1 import link_service_pb2 as link

    for code, reason, close_code in (
        ("PERMISSION_DENIED", "BANNED", 4203),
        ("UNAUTHENTICATED", "SESSION_REVOKED", 4200),
        ("RESOURCE_EXHAUSTED", "OVERLOADED", 4104),
        ("UNAVAILABLE", "BACKEND_UNAVAILABLE", 4001),
    ):
        here.chat.refuse = link.Failure(code=code, reason=reason, message="no")
        async with raw_client(here) as nobody:
            await nobody.send(id=1, hello={"accessToken": token(1)})
            assert (await nobody.frame())["error"]["reason"] == reason
            assert await nobody.close_code() == close_code


async def test_chat_is_told_who_left(here: Here) -> None:
    async with client(here, 1):
        pass
    await until(lambda: any(request.closed_connection_ids for request in here.chat.requests))
    assert not here.chat.attached[0].users


async def test_the_edge_is_attached_when_chat_has_answered(here: Here) -> None:
    """What was written may lie before a chat that never reads it: readiness waits for a word of it."""
    here.chat.greets.clear()
    heard = len(here.chat.requests)
    here.chat.break_off()
    await until(lambda: len(here.chat.requests) > heard)
    assert here.edge.link.attached_to is None
    assert here.value("link_attached") == 0
    here.chat.greets.set()
    await until(lambda: here.edge.link.attached_to is not None)
