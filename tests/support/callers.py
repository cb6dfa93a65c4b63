"""Somebody who calls over HTTP all the time beside a swarm: what no message needs must answer as well."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

import httpx

from discovery.service_config import timeout_of
from tests.support.api import RETRYABLE, Api, ApiError, Json, User
from tests.support.journal import Journal
from tests.support.methods import full_name

LOGIN = "AuthService/Login"
GET_USER = "UserService/GetUser"
LIST_ROOMS = "RoomService/ListRooms"
LIST_EVENTS = "MessageService/ListEvents"
METHODS = (LOGIN, GET_USER, LIST_ROOMS, LIST_EVENTS)
"""Of every service one, as nobody else calls auth and user while the swarm sends."""
USERS = 6
"""Who sign in in turn: each may do so five times a minute only."""
PAUSE_SECONDS = {LOGIN: 3.0}
USUAL_PAUSE_SECONDS = 0.7
AGAIN_SECONDS = 1.0
"""Before another try after a failure, however long the pause is else."""
LATE = 1.5
"""Times the deadline, on two busy cores."""
PATIENCE_SECONDS = 10.0
"""Beyond the deadline of a method, as for a send: an edge that stands still may have it in hand."""


def deadline(method: str) -> float:
    """Seconds in which the product says that it answers."""
    seconds = timeout_of(f"/{full_name(method)}")
    assert seconds is not None, f"{method} has no deadline"
    return seconds


class Success(NamedTuple):
    """When the last call that was answered well was begun, and whether none has failed since."""

    began: float
    stands: bool


class Caller:
    """Calls each method again and again; breaches go into the journal's complaints.

    A call may be refused with an error that says to try again, or lose its connection. It may not be refused
    for good, be answered wrongly, or not at all.
    """

    def __init__(
        self,
        api: Api,
        users: Sequence[User],
        room: int,
        journal: Journal,
        deadline: Callable[[str], float] = deadline,
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        self.slowest = dict.fromkeys(METHODS, 0.0)
        """Seconds to the latest answer or end, by method."""
        self._api = api
        self._users = list(users)
        self._user = users[0]
        self._room = room
        self._journal = journal
        self._deadline = deadline
        self._patience = patience
        self._latest = dict.fromkeys(METHODS, Success(0.0, stands=False))
        self._now = {method: asyncio.Event() for method in METHODS}
        self._stopping = False
        self._calling: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begins to call, each method by itself: one that hangs must not hide another."""
        self._calling = [asyncio.create_task(self._call_until_stopped(method)) for method in METHODS]

    def hurry(self) -> None:
        """The next calls come at once: somebody waits for them."""
        for now in self._now.values():
            now.set()

    def missing(self, since: float) -> list[str]:
        """Methods whose last call was not begun after `since` and answered well, a sentence each."""
        return [
            f"{method} has no new answer"
            for method, last in self._latest.items()
            if last.began < since or not last.stands
        ]

    def late(self, least: float) -> list[str]:
        """Methods that took longer than `least` and half as long again as their deadline, a sentence each."""
        return [
            f"the caller waited {slowest:.1f} s for {method}"
            for method, slowest in self.slowest.items()
            if slowest > max(least, LATE * self._deadline(method))
        ]

    async def finish(self) -> None:
        """Ends the calling, each call with its answer. Raises what went wrong with the caller itself."""
        self._stopping = True
        self.hurry()
        await asyncio.gather(*self._calling)

    async def close(self) -> None:
        """Ends at once what is still going on."""
        for task in self._calling:
            task.cancel()
        await asyncio.gather(*self._calling, return_exceptions=True)
        await self._api.close()

    async def _call_until_stopped(self, method: str) -> None:
        while not self._stopping:
            self._now[method].clear()
            began = time.monotonic()
            if await self._answered_well(method):
                self._latest[method] = Success(began, stands=True)
                pause = PAUSE_SECONDS.get(method, USUAL_PAUSE_SECONDS)
            else:
                self._latest[method] = self._latest[method]._replace(stands=False)
                pause = AGAIN_SECONDS
            self.slowest[method] = max(self.slowest[method], time.monotonic() - began)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._now[method].wait()

    async def _answered_well(self, method: str) -> bool:
        patience = self._deadline(method) + self._patience
        try:
            async with asyncio.timeout(patience):
                await self._call(method)
        except TimeoutError:
            self._complain(f"got neither an answer nor an end for {method} in {patience:.0f} s")
        except httpx.TransportError:
            return False
        except ApiError as error:
            if error.code not in RETRYABLE:
                self._complain(f"was refused {method}: {error}")
        except (KeyError, IndexError, ValueError) as error:
            self._complain(f"was answered {method} wrongly: {error!r}")
        else:
            return True
        return False

    async def _call(self, method: str) -> None:
        calls: dict[str, Callable[[], Awaitable[None]]] = {
            LOGIN: self._login,
            GET_USER: self._get_user,
            LIST_ROOMS: self._list_rooms,
            LIST_EVENTS: self._list_events,
        }
        await calls[method]()

    async def _login(self) -> None:
        user = self._users[0]
        again = await self._api.login(user)
        _expect(again.user_id, user.user_id)
        self._users = [*self._users[1:], again]
        self._user = again

    async def _get_user(self) -> None:
        user = self._user
        answer = await self._api.call(GET_USER, {"userId": str(user.user_id)}, user)
        _expect(answer["user"]["username"], user.username)

    async def _list_rooms(self) -> None:
        answer = await self._api.call(LIST_ROOMS, {"pageSize": 10}, self._user)
        _expect([room["roomId"] for room in answer["rooms"]], [str(self._room)])

    async def _list_events(self) -> None:
        request: Json = {"roomId": str(self._room), "afterSequence": "0", "pageSize": 1}
        user = self._user
        answer = await self._api.call(LIST_EVENTS, request, user)
        # What came before one's own coming is not for one to see.
        _expect(answer["events"][0]["memberJoined"]["membership"]["userId"], str(user.user_id))

    def _complain(self, text: str) -> None:
        self._journal.complaints.append(f"the caller {text}")


def _expect(found: object, wanted: object) -> None:
    if found != wanted:
        raise ValueError(f"{found!r} instead of {wanted!r}")


async def new_caller(base: str, journal: Journal) -> Caller:
    """Whose users are registered and share a room of their own."""
    api = Api(base)
    users = await asyncio.gather(*(api.register("caller") for _ in range(USERS)))
    room = await api.create_room(users[0], users[1:])
    return Caller(api, users, room, journal)
