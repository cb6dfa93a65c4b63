"""The link of an edge on a real grpc.aio server: attaching, being replaced, not reading, draining."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from polychat.internal.link.v1.link_service_pb2 import AttachRequest, OpenConnection, Send
from polychat.internal.log.v1.record_pb2 import EventRecord

from services.chat.draining import drain
from tests.support.chat_server import ANN, INTERNAL, Edge, Server, failure_of, message, user
from tests.support.eventually import eventually


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    async with AsyncExitStack() as stack:
        made = Server(tmp_path)
        await made.open(stack)
        yield made


def opening(connection_id: int, user_id: int) -> OpenConnection:
    return OpenConnection(connection_id=connection_id, access_token=f"token-{user_id}")


async def test_an_edge_attaches_opens_sends_and_hears(server: Server) -> None:
    """One malformed send is answered like any other, and the link lives."""
    room_id = await server.group()
    edge = Edge(server)
    await edge.say(open=[opening(5, ANN)])
    (opened,) = await edge.hear("opened")
    assert [room.room_id for room in opened.rooms] == [room_id]
    assert edge.frames[0].chat_instance == "chat-1"
    bad = message(room_id, text="")
    await edge.say(sends=[Send(connection_id=5, tag=1, request=bad)])
    await edge.say(sends=[Send(connection_id=5, tag=2, request=message(room_id))])
    outcomes = {o.tag: o for o in await edge.hear("outcomes", 2)}
    assert outcomes[1].failure.code == "INVALID_ARGUMENT"
    assert outcomes[2].sent.sequence == 2
    assert [event.sequence for event in await edge.hear("events")] == [2]
    edge.call.cancel()


async def test_only_the_systems_own_processes_may_attach(server: Server) -> None:
    """A user's token is no internal credential; an edge must have a name."""
    for metadata in ((), user(ANN)):
        call = server.link.Attach(metadata=metadata)
        assert await failure_of(call.read()) == ("PERMISSION_DENIED", "INTERNAL_CALLER_REQUIRED")
    call = server.link.Attach(metadata=INTERNAL)
    await call.write(AttachRequest())
    assert await failure_of(call.read()) == ("INVALID_ARGUMENT", "INVALID_FIELD")


async def test_an_edge_that_ends_its_stream_is_forgotten(server: Server) -> None:
    """However it ends."""
    await server.group()
    for leave in ("done_writing", "cancel"):
        edge = Edge(server)
        await edge.say(open=[opening(5, ANN)])
        await edge.hear("opened")
        assert set(server.hub.users) == {ANN}
        result = getattr(edge.call, leave)()
        if asyncio.iscoroutine(result):
            await result
            assert await edge.ended()
        await eventually(lambda: _true(not server.hub.edges and not server.hub.users), seconds=5)


async def test_an_edge_that_goes_without_a_word_is_told_of_until_it_is_back(server: Server) -> None:
    """One that had said the end of its connections has left, as every edge that drains."""
    await server.group()
    edge = Edge(server)
    await edge.say(open=[opening(5, ANN)])
    await edge.hear("opened")
    edge.call.cancel()
    await eventually(lambda: _true(server.lost_edges.problem() == "lost edge-1"), seconds=5)

    again = Edge(server)
    await again.say(open=[opening(6, ANN)])
    await again.hear("opened")
    assert server.lost_edges.problem() is None
    await again.say(closed_connection_ids=[6])
    await eventually(lambda: _true(not server.hub.users), seconds=5)
    again.call.cancel()
    await eventually(lambda: _true(not server.hub.edges), seconds=5)
    assert server.lost_edges.problem() is None


async def test_a_second_stream_of_the_same_edge_replaces_the_first(server: Server) -> None:
    """The first ends; the second serves."""
    room_id = await server.group()
    first, second = Edge(server), Edge(server)
    await first.say(open=[opening(5, ANN)])
    await first.hear("opened")
    await second.say(open=[opening(6, ANN)])
    await second.hear("opened")
    assert await first.ended()
    await server.messaging.SendMessage(message(room_id), metadata=user(ANN))
    assert [event.sequence for event in await second.hear("events")] == [2]
    assert len(server.hub.edges) == 1
    second.call.cancel()


async def test_an_edge_that_does_not_read_loses_its_stream(server: Server) -> None:
    """Memory is bounded; the edge attaches anew and compares heads."""
    room_id = await server.group()
    server.apis.link._max_bytes = 1_000_000
    edge = Edge(server)
    await edge.say(open=[opening(5, ANN)])
    await edge.hear("opened")
    sequence = 1
    while server.hub.edges and sequence < 1000:
        for _ in range(10):
            sequence += 1
            server.hub.pass_events([EventRecord(room_id=room_id, sequence=sequence, event=b"x" * 50_000)])
        await asyncio.sleep(0)
        await asyncio.sleep(0.001)
    assert not server.hub.edges
    assert await edge.ended()


async def test_draining_sends_the_edges_elsewhere_and_answers_what_is_pending(server: Server) -> None:
    """An outcome that comes while draining still reaches its edge; who attaches now is told at once."""
    room_id = await server.group()
    edge = Edge(server)
    await edge.say(open=[opening(5, ANN)])
    await edge.hear("opened")
    server.world.log.hold = True
    await edge.say(sends=[Send(connection_id=5, tag=1, request=message(room_id))])
    await eventually(lambda: _true(len(server.world.pending) == 1), seconds=5)
    server.apis.link.draining = True
    draining = asyncio.ensure_future(drain(server.hub, server.world.pending, 10.0))
    late = Edge(server, "edge-2")
    await late.say()
    assert (await late.call.read()).draining
    late.call.cancel()
    server.world.log.release()
    (outcome,) = await edge.hear("outcomes")
    assert outcome.sent.sequence == 2
    assert any(frame.draining for frame in edge.frames)
    assert not draining.done()
    edge.call.cancel()
    await draining


async def test_an_edge_that_stays_is_answered_and_heard_no_more(server: Server) -> None:
    """It knows no other instance: what it says now it says again to the next one, soon."""
    room_id = await server.group()
    edge = Edge(server)
    await edge.say(open=[opening(5, ANN)])
    await edge.hear("opened")
    server.world.log.hold = True
    await edge.say(sends=[Send(connection_id=5, tag=1, request=message(room_id))])
    await eventually(lambda: _true(len(server.world.pending) == 1), seconds=5)
    draining = asyncio.ensure_future(drain(server.hub, server.world.pending, 10.0))
    await eventually(lambda: _true(server.hub.closed), seconds=5)
    await edge.say(sends=[Send(connection_id=5, tag=2, request=message(room_id))])
    server.world.log.release()
    await draining
    assert await edge.ended()
    assert [outcome.tag for outcome in edge.all("outcomes")] == [1]


async def test_draining_does_not_wait_for_ever(server: Server) -> None:
    """An edge that stays is cut off when the time is over."""
    edge = Edge(server)
    await edge.say()
    await edge.call.read()
    await drain(server.hub, server.world.pending, 0.05)
    assert await edge.ended()


async def _true(value: bool) -> bool:
    return value
