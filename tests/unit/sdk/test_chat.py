"""What a user of the SDK is told: of a log that was set back, and of sends that were refused late."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from polychat.edge.v1.client_frame_pb2 import ClientFrame
from polychat.edge.v1.server_frame_pb2 import ServerFrame
from polychat.event.v1.room_event_pb2 import RoomEvent
from polychat.message.v1.message_service_pb2 import ListEventsResponse
from polychat.user.v1.user_pb2 import User
from polychat_sdk import Chat, PolychatError, client
from polychat_sdk.errors import Disconnected

ANNA, ROOM, OTHER = 9, 7, 8
EPOCH = 1_790_000_000_000
REQUEST_ID = "0198c0de-0000-4000-8000-000000000001"


class Sdk:
    """A Chat whose connection is this object: frames are put in, requests have the answers of a list."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.told: list[int] = []
        """Message ids in the order of `events()`; minus a room's id for a reset."""
        self.pages: dict[int, Sequence[RoomEvent]] = {}
        self.paged = asyncio.Event()
        self.answers: deque[ServerFrame | Exception] = deque()
        self.asked: list[ClientFrame] = []
        tokens: Any = _Tokens()
        self.chat = Chat("http://edge", tokens, on_reset=lambda room_id: self.told.append(-room_id))
        monkeypatch.setattr(self.chat, "list_events", self._list_events)
        monkeypatch.setattr(self.chat._connection, "ask", self._ask)
        monkeypatch.setattr(client, "RESEND_SECONDS", 0)

    def say(self, *frames: ServerFrame) -> None:
        """What the server sends. A welcome answers a hello with all cursors."""
        for frame in frames:
            if frame.HasField("welcome"):
                self.chat.log.named()
            self.chat._on_frame(frame)

    async def read_to(self, message_id: int) -> list[int]:
        """What `events()` tells up to this message."""
        async with asyncio.timeout(5):
            async for event in self.chat.events():
                self.told.append(event.message_created.message.message_id)
                if self.told[-1] == message_id:
                    break
        return self.told

    async def _list_events(self, room_id: int, after_sequence: int) -> ListEventsResponse:
        self.paged.set()
        events = [event for event in self.pages[room_id] if event.sequence > after_sequence]
        return ListEventsResponse(events=events)

    async def _ask(self, frame: ClientFrame) -> ServerFrame:
        self.asked.append(frame)
        answer = self.answers.popleft()
        if isinstance(answer, Exception):
            raise answer
        return answer


class _Tokens:
    user = User(user_id=ANNA, username="anna")


@pytest.fixture
def sdk(monkeypatch: pytest.MonkeyPatch) -> Sdk:
    """A client whose queue has a place for all events."""
    return Sdk(monkeypatch)


def _welcome(heads: Mapping[int, int], *, epoch: int = 0, reset: Sequence[int] = ()) -> ServerFrame:
    frame = ServerFrame(id=1)
    frame.welcome.log_epoch = epoch
    frame.welcome.reset_room_ids.extend(reset)
    for room_id, head in heads.items():
        frame.welcome.rooms.add(room_id=room_id, head_sequence=head)
    return frame


def _event(room_id: int, sequence: int, message_id: int) -> RoomEvent:
    event = RoomEvent(room_id=room_id, sequence=sequence)
    event.message_created.message.message_id = message_id
    return event


def _said(room_id: int, sequence: int, message_id: int) -> ServerFrame:
    return ServerFrame(event=_event(room_id, sequence, message_id))


async def test_a_room_that_a_restore_took_away_comes_back_as_it_is_then(sdk: Sdk) -> None:
    """Its user is in it again at a lower number than they had seen: nothing from there on is passed over."""
    sdk.say(_welcome({ROOM: 0}), *(_said(ROOM, n, 100 + n) for n in range(1, 6)))
    sdk.say(_welcome({}, epoch=EPOCH))
    sdk.pages[ROOM] = [_event(ROOM, 3, 203), _event(ROOM, 4, 204)]
    sdk.say(_said(ROOM, 4, 204))
    assert await sdk.read_to(204) == [101, 102, 103, 104, 105, -ROOM, 203, 204]
    assert sdk.chat.log.cursors() == {ROOM: 4}


async def test_a_page_of_the_log_before_leaves_no_place_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """It waits for a reader when the restored log is heard of."""
    monkeypatch.setattr(client, "EVENT_QUEUE", 1)
    sdk = Sdk(monkeypatch)
    sdk.pages[OTHER] = [_event(OTHER, 1, 401)]
    gap = ServerFrame()
    gap.gap.room_id, gap.gap.head_sequence = OTHER, 60
    sdk.say(_welcome({ROOM: 0, OTHER: 0}), _said(ROOM, 1, 101), gap)
    await sdk.paged.wait()
    sdk.pages[OTHER] = [_event(OTHER, 1, 501)]
    sdk.say(_welcome({ROOM: 0, OTHER: 0}, epoch=EPOCH, reset=[ROOM, OTHER]), _said(OTHER, 1, 501))
    assert (await sdk.read_to(501)) == [101, -ROOM, -OTHER, 501]
    assert sdk.chat.log.cursors() == {ROOM: 0, OTHER: 1}


async def test_what_came_while_a_page_was_refused_is_asked_for(
    sdk: Sdk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its user had left when it was read, and came back before the refusal was here."""
    answer = sdk.chat.list_events
    sdk.pages[ROOM] = [_event(ROOM, 5, 105), _event(ROOM, 8, 108)]

    async def refuse(_room_id: int, _after_sequence: int) -> ListEventsResponse:
        monkeypatch.setattr(sdk.chat, "list_events", answer)
        sdk.say(_said(ROOM, 8, 108))
        raise _refused()

    monkeypatch.setattr(sdk.chat, "list_events", refuse)
    sdk.say(_welcome({ROOM: 2}), _said(ROOM, 5, 105))
    assert await sdk.read_to(108) == [105, 108]
    assert sdk.chat.log.cursors() == {ROOM: 8}


async def test_what_comes_in_the_turn_in_which_a_page_ends_is_asked_for(
    sdk: Sdk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The task of the page is done, and nobody has heard of it yet."""
    answer = sdk.chat.list_events
    sdk.pages[ROOM] = [_event(ROOM, 5, 105), _event(ROOM, 8, 108)]
    asked, refusal, segment = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def refuse(_room_id: int, _after_sequence: int) -> ListEventsResponse:
        monkeypatch.setattr(sdk.chat, "list_events", answer)
        asked.set()
        await refusal.wait()
        raise _refused()

    async def read() -> None:
        await segment.wait()
        sdk.say(_said(ROOM, 8, 108))

    monkeypatch.setattr(sdk.chat, "list_events", refuse)
    sdk.say(_welcome({ROOM: 2}), _said(ROOM, 5, 105))
    reading = asyncio.create_task(read())
    await asked.wait()
    await asyncio.sleep(0)
    refusal.set()
    segment.set()
    await reading
    async with asyncio.timeout(5):
        assert await sdk.read_to(108) == [105, 108]


def _unknown() -> PolychatError:
    return PolychatError("UNAVAILABLE", "OUTCOME_UNKNOWN", "not known yet", retryable=True)


def _refused(reason: str = "NOT_A_MEMBER", *, retryable: bool = False) -> PolychatError:
    return PolychatError("PERMISSION_DENIED", reason, "no", retryable=retryable)


def _sent() -> ServerFrame:
    frame = ServerFrame(id=1)
    frame.sent.sequence = 4
    return frame


@pytest.mark.parametrize("lost", [Disconnected(), _unknown()], ids=["disconnected", "unknown"])
async def test_a_refusal_after_an_attempt_without_an_answer_is_not_definite(
    sdk: Sdk, lost: Exception
) -> None:
    """The sender may have been removed after the first was stored: its outcome is not known, and the error
    has what it takes to find out."""
    refusal = _refused()
    sdk.answers += [lost, _refused("RATE_LIMITED", retryable=True), refusal]
    with pytest.raises(PolychatError) as caught:
        await sdk.chat.send(ROOM, "hello")
    error = caught.value
    assert (error.code, error.reason, error.retryable) == ("UNAVAILABLE", "OUTCOME_UNKNOWN", True)
    assert error.__cause__ is refusal
    assert {frame.send.request_id for frame in sdk.asked} == {error.metadata["requestId"]}


async def test_a_refusal_is_definite_when_every_attempt_was_answered(sdk: Sdk) -> None:
    """Who is told to wait is told that nothing was stored."""
    refusal = _refused()
    sdk.answers += [_refused("RATE_LIMITED", retryable=True), refusal]
    with pytest.raises(PolychatError) as caught:
        await sdk.chat.send(ROOM, "hello")
    assert caught.value is refusal


async def test_a_request_id_of_another_message_is_told_as_it_is(sdk: Sdk) -> None:
    """No attempt with it was stored, nor will one be: had the first been, the second were its repeat."""
    sdk.answers += [Disconnected(), _refused("REQUEST_ID_REUSED")]
    with pytest.raises(PolychatError, match="REQUEST_ID_REUSED"):
        await sdk.chat.send(ROOM, "hello", request_id=REQUEST_ID)


async def test_an_attempt_without_an_answer_is_repeated_until_it_has_one(sdk: Sdk) -> None:
    """With the same request id, so that the message is there once."""
    sdk.answers += [Disconnected(), _unknown(), _sent()]
    assert (await sdk.chat.send(ROOM, "hello", request_id=REQUEST_ID)).sequence == 4
    assert [frame.send.request_id for frame in sdk.asked] == [REQUEST_ID] * 3
