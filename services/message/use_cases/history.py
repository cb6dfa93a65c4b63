"""What members read: events and messages of a room, page by page, inside their own memberships."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol, TypeVar

from chassis.paging import PageTokens, page_size
from services.message.domain import FOREVER, Span, is_member
from services.message.errors import MessageNotFound, NotAMember
from services.message.ports import LogReader, Page, StoredEvent, StoredMessage


class Asked(NamedTuple):
    """A page as a caller asks for it; without a cursor and token it is the newest page."""

    room_id: int
    after_sequence: int | None = None
    before_sequence: int | None = None
    page_size: int = 0
    page_token: str = ""


class _Placed(Protocol):
    @property
    def sequence(self) -> int: ...


T = TypeVar("T", bound=_Placed)


class History:
    """Reads the log for members."""

    def __init__(self, log: LogReader, tokens: PageTokens) -> None:
        self._log = log
        self._tokens = tokens

    async def message(self, user_id: int, room_id: int, message_id: int) -> StoredMessage:
        """One message. Raises NotAMember; MessageNotFound also for one outside the caller's memberships."""
        spans = await self._visible(room_id, user_id)
        found = await self._log.message(room_id, message_id)
        if found is None or not any(span.low <= found.sequence <= span.high for span in spans):
            raise MessageNotFound(roomId=str(room_id), messageId=str(message_id))
        return found

    async def messages(self, user_id: int, asked: Asked) -> tuple[list[StoredMessage], str]:
        """A page of messages, ascending, and the next page's token. Raises NotAMember, PageTokenInvalid."""
        scope = f"ListMessages:{user_id}:{asked.room_id}"
        page = self._page(scope, asked)
        spans = await self._visible(asked.room_id, user_id)
        return self._turn(scope, page, await self._log.messages(asked.room_id, spans, page))

    async def events(self, user_id: int, asked: Asked) -> tuple[list[StoredEvent], str]:
        """A page of events, ascending, and the next page's token. Raises NotAMember, PageTokenInvalid."""
        scope = f"ListEvents:{user_id}:{asked.room_id}"
        page = self._page(scope, asked)
        spans = await self._visible(asked.room_id, user_id)
        return self._turn(scope, page, await self._log.events(asked.room_id, spans, page))

    async def _visible(self, room_id: int, user_id: int) -> Sequence[Span]:
        """Up to the head: what is committed from now on may follow the user's leaving."""
        spans, head = await self._log.sight(room_id, user_id)
        if not is_member(spans):
            raise NotAMember(roomId=str(room_id))
        return [*spans[:-1], Span(spans[-1].low, head)]

    def _page(self, scope: str, asked: Asked) -> Page:
        """The page to read, with room for one item more, which shows that there is a next page."""
        limit = page_size(asked.page_size) + 1
        if asked.page_token:
            edge, forward = self._tokens.open(scope, asked.page_token)
            return Page(edge, bool(forward), limit)
        if asked.after_sequence is not None:
            return Page(asked.after_sequence, True, limit)
        return Page(asked.before_sequence or FOREVER, False, limit)

    def _turn(self, scope: str, page: Page, found: list[T]) -> tuple[list[T], str]:
        if len(found) < page.limit:
            return found, ""
        if page.forward:
            found = found[:-1]
            return found, self._tokens.seal(scope, found[-1].sequence, 1)
        found = found[1:]
        return found, self._tokens.seal(scope, found[0].sequence, 0)
