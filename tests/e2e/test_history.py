"""History is read forward and backward from any sequence, page by page, without a hole."""

from __future__ import annotations

import asyncio

import pytest
import pytest_asyncio

from tests.support.api import Api, Json, User

MESSAGES = 23


@pytest_asyncio.fixture(scope="module")
async def room(api: Api, people: list[User]) -> int:
    """Two joins and then some messages."""
    anna, bert, *_ = people
    room = await api.create_room(anna, [bert])
    await asyncio.gather(*(api.send(anna, room, f"message {n}") for n in range(MESSAGES)))
    return room


HEAD = MESSAGES + 2


def _sequences(events: list[Json]) -> list[int]:
    return [int(event["sequence"]) for event in events]


@pytest.mark.parametrize("after", [0, 1, 7, HEAD - 1, HEAD, HEAD + 50])
@pytest.mark.parametrize("page_size", [1, 5, 100])
async def test_events_forward(api: Api, people: list[User], room: int, after: int, page_size: int) -> None:
    """Everything after a sequence, the oldest first."""
    if page_size == 1 and after < 7:
        page_size = 4
    request = {"roomId": str(room), "afterSequence": str(after)}
    events = await api.pages("MessageService/ListEvents", request, people[0], "events", page_size)
    assert _sequences(events) == list(range(after + 1, HEAD + 1))


@pytest.mark.parametrize("before", [1, 2, 9, HEAD, HEAD + 1, HEAD + 50])
async def test_events_backward(api: Api, people: list[User], room: int, before: int) -> None:
    """The nearest page first, each page ascending."""
    request: Json = {"roomId": str(room), "beforeSequence": str(before), "pageSize": 4}
    pages = []
    while True:
        answer = await api.call("MessageService/ListEvents", request, people[0])
        pages.append(_sequences(answer.get("events", [])))
        if not answer.get("nextPageToken"):
            break
        request["pageToken"] = answer["nextPageToken"]
    assert all(page == sorted(page) for page in pages)
    assert [s for page in reversed(pages) for s in page] == list(range(1, min(before, HEAD + 1)))
    assert max(map(len, pages)) <= 4


async def test_without_a_cursor_the_newest_page(api: Api, people: list[User], room: int) -> None:
    """And its page token goes back from there."""
    request: Json = {"roomId": str(room), "pageSize": 5}
    newest = await api.call("MessageService/ListEvents", request, people[0])
    assert _sequences(newest["events"]) == list(range(HEAD - 4, HEAD + 1))
    request["pageToken"] = newest["nextPageToken"]
    before = await api.call("MessageService/ListEvents", request, people[0])
    assert _sequences(before["events"]) == list(range(HEAD - 9, HEAD - 4))


async def test_messages_skip_what_is_none(api: Api, people: list[User], room: int) -> None:
    """Numbered 1, 2, 3 … in the order of the log, forward and backward alike."""
    forward = await api.pages(
        "MessageService/ListMessages", {"roomId": str(room), "afterSequence": "0"}, people[0], "messages", 5
    )
    assert [int(m["messageNumber"]) for m in forward] == list(range(1, MESSAGES + 1))
    assert _sequences(forward) == list(range(3, HEAD + 1))
    backward = await api.call(
        "MessageService/ListMessages", {"roomId": str(room), "beforeSequence": "6"}, people[0]
    )
    assert backward["messages"] == forward[:3]


async def test_a_page_token_belongs_to_its_user_and_room(api: Api, people: list[User], room: int) -> None:
    """It cannot be taken to another room, by another user, or to another method."""
    anna, bert, *_ = people
    other = await api.create_room(anna, [bert])
    token = (await api.call("MessageService/ListEvents", {"roomId": str(room), "pageSize": 2}, anna))[
        "nextPageToken"
    ]
    attempts = [
        ("MessageService/ListEvents", other, anna),
        ("MessageService/ListEvents", room, bert),
        ("MessageService/ListMessages", room, anna),
    ]
    for method, room_id, user in attempts:
        request = {"roomId": str(room_id), "pageSize": 2, "pageToken": token}
        response = await api.http.post(
            f"/api/polychat.message.v1.{method}",
            json=request,
            headers={"authorization": f"Bearer {user.access_token}"},
        )
        assert response.status_code == 400, (method, room_id, user.username)
        assert "PAGE_TOKEN_INVALID" in response.text
