"""`polychat chat` and `polychat tail`: a room in the terminal, on the Python SDK."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from typing import Annotated

import typer
from google.protobuf.json_format import MessageToJson
from polychat.chat.v1 import message_pb2, room_pb2
from polychat.event.v1 import room_event_pb2
from polychat_sdk import Chat, PolychatError, sign_in
from rich.console import Console
from rich.text import Text

from scripts.cli.session import DEFAULT_URL, Password, Url, User, finish, printable

Room = Annotated[
    str, typer.Argument(help="A room id, the title of one of your rooms, or @name for a direct room.")
]
DEVICE = "terminal"
SETTLE_SECONDS = 0.3
"""After the last line of a piped input: how long answers of others may still come."""


def chat(room: Room, user: User, password: Password, url: Url = DEFAULT_URL) -> None:
    """Talk in a room: what you type is sent, what others say is shown. Ctrl-D ends it.

    Examples:

      polychat chat Team --user anna

      echo "hello" | polychat chat @bert --user anna
    """
    finish(_chat(url, user, password, room))


def tail(
    room: Room,
    user: User,
    password: Password,
    url: Url = DEFAULT_URL,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, max=100, help="Messages to show first.")] = 10,
    follow: Annotated[bool, typer.Option(help="Go on with what comes.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON event or message a line.")] = False,
) -> None:
    """Show the last messages of a room and follow it.

    Example: polychat tail Team --user anna --lines 50 --no-follow
    """
    finish(_tail(url, user, password, room, lines, follow, as_json))


async def _chat(url: str, user: str, password: str, room: str) -> None:
    async with sign_in(url, user, password, device_name=DEVICE) as client:
        found = await find_room(client, room)
        view = View(client)
        for message in await client.list_messages(found.room_id, 10):
            await view.message(message)
        showing = asyncio.create_task(_show(client, view, found.room_id))
        async for line in _lines():
            if line.strip():
                await client.send(found.room_id, line)
        await asyncio.sleep(SETTLE_SECONDS)
        showing.cancel()


async def _tail(
    url: str, user: str, password: str, room: str, lines: int, follow: bool, as_json: bool
) -> None:
    async with sign_in(url, user, password, device_name=DEVICE) as client:
        found = await find_room(client, room)
        view = View(client, as_json=as_json)
        if lines:
            for message in await client.list_messages(found.room_id, lines):
                await view.message(message)
        if follow:
            await _show(client, view, found.room_id)


async def find_room(client: Chat, name: str) -> room_pb2.Room:
    """The room that a person means. Raises PolychatError with ROOM_NOT_FOUND or USER_NOT_FOUND."""
    if name.startswith("@"):
        wanted = name[1:].lower()
        for user in await client.search_users(wanted):
            if user.username.lower() == wanted:
                return await client.open_direct_room(user.user_id)
        raise PolychatError("NOT_FOUND", "USER_NOT_FOUND", f"there is no user {name[1:]}")
    rooms = await client.list_rooms()
    for room in rooms:
        if name in (str(room.room_id), room.title):
            return room
    titles = ", ".join(room.title for room in rooms if room.title) or "none"
    raise PolychatError("NOT_FOUND", "ROOM_NOT_FOUND", f"you are in no room {name!r}; your rooms: {titles}")


class View:
    """Prints messages and events, with the names of their authors looked up once each."""

    def __init__(self, client: Chat, *, as_json: bool = False) -> None:
        self._client = client
        self._names = {client.user.user_id: client.user.username}
        self._console = Console(highlight=False)
        self._as_json = as_json
        self._shown: set[int] = set()

    async def message(self, message: message_pb2.Message) -> None:
        """One message of the history; should it come as an event too, that is passed over."""
        self._shown.add(message.message_id)
        if self._as_json:
            self._json(message)
            return
        moment = message.create_time.ToDatetime().strftime("%H:%M")
        await self._say(moment, message.sender_user_id, message.text)

    async def event(self, event: room_event_pb2.RoomEvent) -> None:
        """One live event."""
        if event.message_created.message.message_id in self._shown:
            return
        if self._as_json:
            self._json(event)
            return
        moment = event.create_time.ToDatetime().strftime("%H:%M")
        payload = event.WhichOneof("payload")
        if payload == "message_created":
            created = event.message_created.message
            await self._say(moment, created.sender_user_id, created.text)
        elif payload == "member_joined":
            await self._say(moment, event.member_joined.membership.user_id, "joined", style="dim italic")
        elif payload == "member_left":
            await self._say(moment, event.member_left.user_id, "left", style="dim italic")

    async def _say(self, moment: str, user_id: int, text: str, style: str = "") -> None:
        if user_id not in self._names:
            found = await self._client.get_users([user_id])
            self._names[user_id] = found[user_id].username if user_id in found else str(user_id)
        line = Text(f"{moment} ", style="dim").append(f"{self._names[user_id]}: ", style="bold")
        self._console.print(line.append(printable(text), style=style), soft_wrap=True)

    def _json(self, message: message_pb2.Message | room_event_pb2.RoomEvent) -> None:
        print(MessageToJson(message, indent=None), flush=True)


async def _show(client: Chat, view: View, room_id: int) -> None:
    async for event in client.events():
        if event.room_id == room_id:
            await view.event(event)


async def _lines() -> AsyncIterator[str]:
    while line := await asyncio.to_thread(sys.stdin.readline):
        yield line.rstrip("\n")
