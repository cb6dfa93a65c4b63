"""A client on the simulation: the Python SDK with its real WebSocket, and a note of all it does and sees."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Coroutine
from typing import Any

from polychat.chat.v1 import membership_service_pb2 as membership_pb
from polychat.chat.v1 import room_pb2
from polychat.chat.v1 import room_service_pb2 as room_pb
from polychat.edge.v1.client_frame_pb2 import ClientFrame
from polychat.edge.v1.server_frame_pb2 import ServerFrame
from polychat.event.v1.room_event_pb2 import RoomEvent
from polychat.message.v1.message_service_pb2 import ListEventsResponse
from polychat_sdk.errors import Disconnected, PolychatError

from tests.simulation.journal import Journal
from tests.simulation.limits import RARE
from tests.simulation.loop import Node
from tests.simulation.watched import WatchedChat
from tests.support.history import Kind

ROOMS = "polychat.chat.v1.RoomService"
MEMBERSHIPS = "polychat.chat.v1.MembershipService"


class Person:
    """One user at one device, from its start to its end."""

    def __init__(self, name: str, user_id: int, node: Node, journal: Journal) -> None:
        self.name = name
        self.user_id = user_id
        self.node = node
        self.journal = journal
        self.told: dict[int, int] = {}
        """The cursors of the last hello."""
        self.hello_time = 0.0
        self.connections = 0
        self.listed: set[int] = set()
        """The rooms of this connection: of its welcome, or joined since."""
        self.ends: dict[int, int] = {}
        """Where this connection's view of each room ends."""
        self.starts: dict[int, int] = {}
        """The heads of the first welcome."""
        self.applied: dict[int, list[int]] = {}
        """What the SDK gave to the application, by room."""
        self.acknowledged: list[tuple[int, str, str]] = []
        """Room, text and request id of what was answered `sent`."""
        self.refused_again: list[tuple[int, str]] = []
        """Room and request id of what was acknowledged, and refused when it was repeated."""
        self._gaps: dict[int, int] = {}
        """How many gaps each room had on this connection."""
        self._pages = 0
        self.pending = 0
        self.chat = WatchedChat(self)
        self.ready = asyncio.Event()

    async def run(self) -> None:
        """Stays connected for ever."""
        async with self.chat:
            self.ready.set()
            async for event in self.chat.events():
                self.applied.setdefault(event.room_id, []).append(event.sequence)

    @property
    def view(self) -> str:
        """The name of the present connection."""
        return f"{self.name}.{self.connections}"

    def view_of(self, room: int) -> str:
        """The name of what is seen of a room now: it begins anew after each gap, whose events are paged."""
        gaps = self._gaps.get(room, 0)
        return f"{self.view}+{gaps}" if gaps else self.view

    @property
    def connected(self) -> bool:
        """Whether there is a connection with its welcome."""
        return self.chat._connection._socket is not None

    @property
    def filling(self) -> bool:
        """Whether the SDK fetches what it missed."""
        return bool(self.chat._filling)

    # What comes in -------------------------------------------------------------------------------

    def saw(self, frame: ServerFrame) -> None:
        """Notes a frame exactly as it came."""
        body = frame.WhichOneof("body")
        if body in RARE:
            self.journal.seen[body] += 1
        if body == "welcome":
            self._welcomed(frame)
        elif body == "event":
            self._received(frame.event)
        elif body == "skip":
            self._note(Kind.SKIP, frame.skip.room_id, frame.skip.from_sequence, frame.skip.to_sequence)
        elif body == "gap":
            self._gap(frame)
        elif body == "receipt":
            self._write(
                Kind.RECEIPT,
                frame.receipt.room_id,
                sequence=frame.receipt.read_sequence,
                subject=frame.receipt.user_id,
            )
        elif frame.id or body == "error":
            self.journal.complaints.append(
                f"{self.name} got what answers nothing, or a second answer: {frame}"
            )

    def _welcomed(self, frame: ServerFrame) -> None:
        self.connections += 1
        self.ends = {}
        self._gaps = {}
        self.listed = {state.room_id for state in frame.welcome.rooms}
        if self.connections == 1:
            self.starts = {state.room_id: state.head_sequence for state in frame.welcome.rooms}
        for state in frame.welcome.rooms:
            room, head = state.room_id, state.head_sequence
            self._note(Kind.RESUME, room, self.told.get(room, head))
            self._write(
                Kind.STATE,
                room,
                sequence=state.read_sequence,
                to_sequence=head,
                unread=state.unread_count,
                began=self.hello_time,
            )

    def _received(self, event: RoomEvent) -> None:
        room, sequence = event.room_id, event.sequence
        end = self.ends.get(room)
        if event.HasField("member_joined") and event.member_joined.membership.user_id == self.user_id:
            self.listed.add(room)
            if end is not None and sequence > end + 1:
                self._note(Kind.SKIP, room, end + 1, sequence - 1)  # a room begins anew with the coming
        message = event.message_created.message
        self._note(Kind.RECEIVE, room, sequence, message_id=message.message_id, body=message.text)

    def _gap(self, frame: ServerFrame) -> None:
        gap = frame.gap
        self._write(Kind.GAP, gap.room_id, sequence=gap.from_sequence, to_sequence=gap.head_sequence)
        if gap.reset:
            self.journal.complaints.append(f"{self.name} was told to forget room {gap.room_id}")
        self._gaps[gap.room_id] = self._gaps.get(gap.room_id, 0) + 1
        self._note(Kind.RESUME, gap.room_id, gap.head_sequence)

    def paged(self, room: int, after: int, page: ListEventsResponse) -> None:
        """Notes a page of a room's log: a view of its own, since the connection goes on meanwhile."""
        self._pages += 1
        view = f"{self.name}/page-{self._pages}"
        self._write(Kind.RESUME, room, view, sequence=after)
        for event in page.events:
            message = event.message_created.message
            seen = {"message_id": message.message_id, "body": message.text}
            self._write(Kind.RECEIVE, room, view, sequence=event.sequence, **seen)

    def _note(self, kind: Kind, room: int, sequence: int, to_sequence: int = 0, **fields: Any) -> None:
        self.ends[room] = max(sequence, to_sequence)
        self._write(kind, room, sequence=sequence, to_sequence=to_sequence, **fields)

    def _write(self, kind: Kind, room: int, view: str = "", **fields: Any) -> None:
        self.journal.note(self, kind, room, view, **fields)

    # What goes out -------------------------------------------------------------------------------

    async def send(self, room: int, text: str, request_id: str) -> None:
        """Sends until the answer is definite; a person's sends keep their order."""
        self._write(Kind.INVOKE, room, request_id=request_id, body=text)
        if await self._answered(self._send(room, text, request_id), room, request_id):
            self.acknowledged.append((room, text, request_id))

    async def resend(self, room: int, text: str, request_id: str) -> None:
        """Sends once more what was acknowledged: the answer is the first one."""
        if not await self._answered(self._send(room, text, request_id), room, request_id):
            self.refused_again.append((room, request_id))

    async def blurt(self, room: int, text: str, request_id: str, sender: str) -> None:
        """Sends once, while others of the same `sender` are under way; whatever the answer, it is taken."""
        frame = ClientFrame()
        frame.send.room_id, frame.send.request_id, frame.send.text = room, request_id, text
        self._write(Kind.INVOKE, room, sender, request_id=request_id, body=text)

        async def ask() -> Any:
            return (await self.chat._connection.ask(frame)).sent

        await self._answered(ask(), room, request_id, sender)

    async def _send(self, room: int, text: str, request_id: str) -> Any:
        return await self.chat.send(room, text, request_id=request_id)

    async def _answered(
        self, answer: Coroutine[Any, Any, Any], room: int, request_id: str, sender: str = ""
    ) -> bool:
        self.pending += 1
        try:
            sent = await answer
        except Disconnected:
            self._write(Kind.UNKNOWN, room, sender, request_id=request_id)
            return False
        except PolychatError as error:
            self._refused(room, request_id, error, sender)
            return False
        finally:
            self.pending -= 1
        ids = {"sequence": sent.sequence, "message_id": sent.message_id}
        self._write(Kind.OK, room, sender, request_id=request_id, **ids)
        return True

    def _refused(self, room: int, request_id: str, error: PolychatError, sender: str) -> None:
        """Only a refusal of the first attempt says that there is no message; later it says too little. Who
        blurts (with a `sender` of its own) tries once; the SDK may have tried before."""
        told = error.__cause__ if isinstance(error.__cause__, PolychatError) else error
        if told.reason in ("INTERNAL", "REQUEST_ID_REUSED", "FRAME_INVALID"):
            self.journal.complaints.append(f"{self.name} was refused {request_id}: {told}")
        final = sender and not error.retryable
        self._write(Kind.FAIL if final else Kind.UNKNOWN, room, sender, request_id=request_id)

    async def read(self, room: int) -> None:
        """Says that everything seen of a room was read."""
        sequence = self.chat.log.cursors().get(room, 0)
        began = self.journal.clock()
        if not sequence:
            return
        self._write(Kind.READING, room, sequence=sequence)
        try:
            await self.chat.read(room, sequence)
        except Disconnected:
            return
        except PolychatError as error:
            if not error.retryable:
                self._write(Kind.DENIED, room, sequence=sequence, body=error.reason)
            return
        self._write(Kind.READ, room, sequence=sequence, began=began)

    async def make_room(self, request_id: uuid.UUID) -> int:
        """Makes a public room, whatever it takes."""
        request = room_pb.CreateRoomRequest(
            request_id=str(request_id), title="Team", kind=room_pb2.ROOM_KIND_PUBLIC
        )
        reply = await self.chat._call_again(f"{ROOMS}/CreateRoom", request, room_pb.CreateRoomResponse)
        return reply.room.room_id

    async def change(self, what: str, room: int, user_id: int = 0) -> None:
        """Joins, leaves, or as the owner kicks or adds somebody; asked once."""
        requests: dict[str, tuple[str, Any, Any]] = {
            "join": ("JoinRoom", membership_pb.JoinRoomRequest(room_id=room), membership_pb.JoinRoomResponse),
            "leave": (
                "LeaveRoom",
                membership_pb.LeaveRoomRequest(room_id=room),
                membership_pb.LeaveRoomResponse,
            ),
            "kick": (
                "RemoveMember",
                membership_pb.RemoveMemberRequest(room_id=room, user_id=user_id),
                membership_pb.RemoveMemberResponse,
            ),
            "add": (
                "AddMembers",
                membership_pb.AddMembersRequest(room_id=room, user_ids=[user_id]),
                membership_pb.AddMembersResponse,
            ),
        }
        name, request, answer = requests[what]
        self.pending += 1
        try:
            await self.chat.call(f"{MEMBERSHIPS}/{name}", request, answer)
        except (PolychatError, Disconnected, TimeoutError) as error:
            self._check(what, error)
        self.pending -= 1

    def _check(self, what: str, error: Exception) -> None:
        """A refusal is an answer; a bug is not."""
        if isinstance(error, PolychatError) and error.reason == "INTERNAL":
            self.journal.complaints.append(f"{self.name} could not {what}: {error}")

    def dawdle(self, seconds: float) -> None:
        """Takes nothing from its connection for a while."""
        socket = self.chat._connection._socket
        if socket is not None:
            transport: Any = socket.transport
            transport.stop()
            asyncio.get_running_loop().call_later(seconds, transport.go_on)

    def cut(self) -> None:
        """Drops the connection as a lost network would."""
        socket = self.chat._connection._socket
        if socket is not None:
            socket.transport.abort()
