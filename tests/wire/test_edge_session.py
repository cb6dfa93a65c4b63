"""One connection over a real socket: hello, send, events, calls, and every way it can go wrong."""

from __future__ import annotations

import uuid

from tests.support.edge_client import client, open_here


async def test_hello_send_and_event() -> None:
    """The author gets `sent` and, like everyone else, the event."""
    async with open_here() as here:
        here.world.room(7, 1, 2)
        async with client(here, 1) as ada, client(here, 2) as ben:
            assert ada.welcome["rooms"] == [
                {
                    "roomId": "7",
                    "headSequence": "2",
                    "readSequence": "0",
                    "unreadCount": 1,
                    "joinedSequence": "1",
                }
            ]
            request_id = str(uuid.uuid4())
            sent = await ada.ask(send={"roomId": "7", "requestId": request_id, "text": "hi"})
            assert sent["sent"]["sequence"] == "3"
            assert sent["sent"]["duplicate"] is False
            for person in (ada, ben):
                event = (await person.event())["event"]
                assert event["sequence"] == "3"
                assert event["requestId"] == request_id
                assert event["messageCreated"]["message"]["text"] == "hi"
            again = await ada.ask(send={"roomId": "7", "requestId": request_id, "text": "hi"})
            assert again["sent"] == {**sent["sent"], "duplicate": True}
