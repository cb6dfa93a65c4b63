"""How far members have read."""

from __future__ import annotations

from chassis.paging import PageTokens, page_size
from services.message.errors import NotAMember, ReceiptPastHead
from services.message.ports import ReceiptStore, Signals


class Receipts:
    """Moves and lists receipts."""

    def __init__(self, store: ReceiptStore, signals: Signals, tokens: PageTokens) -> None:
        self._store = store
        self._signals = signals
        self._tokens = tokens

    async def advance(self, user_id: int, room_id: int, read_sequence: int) -> int:
        """Moves the caller's receipt forward and gives where it is then; a step back changes nothing.

        Raises NotAMember, ReceiptPastHead.
        """
        standing = await self._store.standing(room_id, user_id)
        if standing is None:
            raise NotAMember(roomId=str(room_id))
        if read_sequence > standing.head_sequence:
            raise ReceiptPastHead(roomId=str(room_id), headSequence=str(standing.head_sequence))
        if read_sequence <= standing.read_sequence:
            return standing.read_sequence
        moved = await self._store.advance(room_id, user_id, read_sequence)
        if moved is None:
            raise NotAMember(roomId=str(room_id))
        await self._signals.receipt_moved(room_id, user_id, moved)
        return moved

    async def page(
        self, user_id: int, room_id: int, size: int, token: str
    ) -> tuple[list[tuple[int, int]], str]:
        """(user, read_sequence) of the room's members by user id, and the next page's token.

        Raises NotAMember, PageTokenInvalid.
        """
        scope = f"ListReceipts:{user_id}:{room_id}"
        after = self._tokens.open(scope, token)[0] if token else 0
        if await self._store.standing(room_id, user_id) is None:
            raise NotAMember(roomId=str(room_id))
        limit = page_size(size)
        found = await self._store.receipts(room_id, after, limit + 1)
        if len(found) <= limit:
            return found, ""
        return found[:limit], self._tokens.seal(scope, found[limit - 1][0])
