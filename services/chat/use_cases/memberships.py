"""Who comes into a room and who goes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chassis.caller import Caller
from chassis.errors import RateLimited
from services.chat import domain
from services.chat.domain import Action, Change, Crowd, Membership, Room
from services.chat.errors import UserNotFound
from services.chat.ports import Now, RoomStore, Users
from services.chat.use_cases.changes import Changes
from services.chat.use_cases.limits import SendLimit


@dataclass(frozen=True, slots=True)
class Page:
    """Part of a room's members; `next_position` is where the next page starts, None on the last."""

    memberships: list[Membership]
    next_position: int | None


class Memberships:
    """The membership methods; each locks the room, so rules see what the last change left."""

    def __init__(
        self, *, store: RoomStore, changes: Changes, users: Users, now: Now, limit: SendLimit
    ) -> None:
        self._store = store
        self._changes = changes
        self._users = users
        self._now = now
        self._limit = limit

    async def join(self, user_id: int, room_id: int) -> Membership:
        """Enters a public room. Raises RoomNotPublic, Banned, RoomArchived, RateLimited, OutcomeUnknown."""
        self._check_rate(user_id, room_id)
        now = self._now()

        def decide(room: Room | None, crowd: Crowd) -> list[Change]:
            return domain.join(room, crowd, room_id, user_id, now)

        changed = await self._store.change(room_id, [user_id], decide, self._changes.origin)
        await self._changes.see_through(changed, [user_id], members=True)
        return changed.memberships[user_id]

    async def leave(self, user_id: int, room_id: int) -> None:
        """Leaves a room. Raises NotAMember, DirectRoomFixed, LastOwner, RateLimited, OutcomeUnknown."""
        self._check_rate(user_id, room_id)

        def decide(room: Room | None, crowd: Crowd) -> list[Change]:
            return domain.leave(room, crowd, room_id, user_id)

        changed = await self._store.change(room_id, [user_id], decide, self._changes.origin)
        await self._changes.see_through(changed, [user_id], members=False)

    async def add(self, caller: Caller, room_id: int, user_ids: Sequence[int]) -> list[Membership]:
        """Brings users in, all or none, in the order asked.

        Raises NotAMember, RoleTooLow, DirectRoomFixed, UserNotFound, Banned, RoomArchived, RateLimited,
        OutcomeUnknown.
        """
        self._check_rate(caller.user_id, room_id)
        wanted = list(dict.fromkeys(user_ids))
        await self._check_may_add(caller.user_id, room_id)
        if missing := await self._users.missing(caller, wanted):
            raise UserNotFound(userId=str(missing[0]))
        now = self._now()

        def decide(room: Room | None, crowd: Crowd) -> list[Change]:
            return domain.add_members(room, crowd, room_id, caller.user_id, wanted, now)

        asked = [caller.user_id, *wanted]
        changed = await self._store.change(room_id, asked, decide, self._changes.origin)
        await self._changes.see_through(changed, wanted, members=True)
        return [changed.memberships[user_id] for user_id in wanted]

    async def remove(self, user_id: int, room_id: int, target_user_id: int) -> None:
        """Takes a member of a lower role out.

        Raises NotAMember, RoleTooLow, DirectRoomFixed, RateLimited, OutcomeUnknown.
        """
        self._check_rate(user_id, room_id)

        def decide(room: Room | None, crowd: Crowd) -> list[Change]:
            return domain.remove_member(room, crowd, room_id, user_id, target_user_id)

        asked = [user_id, target_user_id]
        changed = await self._store.change(room_id, asked, decide, self._changes.origin)
        await self._changes.see_through(changed, [target_user_id], members=False)

    async def list(self, user_id: int, room_id: int, limit: int, after_join_number: int) -> Page:
        """Who is in the room, in the order they came. Raises NotAMember."""
        key = (room_id, user_id)
        domain.permit(room_id, (await self._store.memberships([key])).get(key), Action.LIST_MEMBERSHIPS)
        found = await self._store.list_memberships(room_id, after_join_number, limit + 1)
        page = found[:limit]
        return Page(page, page[-1].join_number if len(found) > limit else None)

    def _check_rate(self, user_id: int, room_id: int) -> None:
        wait = self._limit.take((room_id, user_id))
        if wait > 0:
            raise RateLimited(retry_after=wait)

    async def _check_may_add(self, user_id: int, room_id: int) -> None:
        """Refuses before the users are looked up, so that an outsider learns nothing about them."""
        room = await self._store.room(room_id)
        key = (room_id, user_id)
        mine = (await self._store.memberships([key])).get(key)
        crowd = Crowd({} if mine is None else {user_id: mine})
        domain.permit_in(room, crowd, room_id, user_id, Action.ADD_MEMBERS)
