"""The Python SDK as it is, with what it says and hears noted beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from polychat.edge.v1.server_frame_pb2 import ServerFrame
from polychat.message.v1.message_service_pb2 import ListEventsResponse
from polychat.user.v1.user_pb2 import User
from polychat_sdk.client import Chat
from polychat_sdk.room_log import RoomLog

if TYPE_CHECKING:
    from tests.simulation.client import Person

URL = "http://edge:8080"


class Tokens:
    """polychat_sdk.Tokens: a token that never ends."""

    def __init__(self, user_id: int) -> None:
        self.user = User(user_id=user_id)

    async def access_token(self, *, fresh: bool = False) -> str:
        """See Tokens."""
        return f"token-{self.user.user_id}"


class _Cursors(RoomLog):
    """The SDK's cursors; notes what a hello says of them."""

    def __init__(self, person: Person) -> None:
        super().__init__()
        self._person = person

    def named(self) -> dict[int, int]:
        """See RoomLog."""
        self._person.told = super().named()
        self._person.hello_time = self._person.journal.clock()
        return self._person.told


class WatchedChat(Chat):
    """The SDK, with what the wire says noted before the SDK judges it."""

    def __init__(self, person: Person) -> None:
        tokens: Any = Tokens(person.user_id)
        super().__init__(URL, tokens)
        self._person = person
        self.log = self._connection._log = _Cursors(person)

    def _on_frame(self, frame: ServerFrame) -> None:
        self._person.saw(frame)
        super()._on_frame(frame)

    async def list_events(self, room_id: int, after_sequence: int) -> ListEventsResponse:
        """See Chat."""
        page = await super().list_events(room_id, after_sequence)
        self._person.paged(room_id, after_sequence, page)
        return page
