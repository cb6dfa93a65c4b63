"""The product's HTTP face as a plain client: `POST /api`, canonical JSON in and out."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import secrets
import time
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.support.methods import full_name

Json = dict[str, Any]
RETRYABLE = {"unavailable", "resource_exhausted", "aborted", "deadline_exceeded"}
AGAIN_SECONDS = 60.0
HEAL_SECONDS = 30.0
"""After a fault everything works again within this time."""
PASSWORD = "correct horse battery"
_numbers = itertools.count(1)


class ApiError(Exception):
    """A Connect error: `code` as on HTTP (`permission_denied`), `reason` from its ErrorInfo."""

    def __init__(self, response: httpx.Response) -> None:
        self.status = response.status_code
        self.body: Json = response.json()
        self.code = str(self.body["code"])
        infos = [d["debug"] for d in self.body.get("details", ()) if d["type"] == "google.rpc.ErrorInfo"]
        self.reason = str(infos[0]["reason"]) if infos else ""
        self.metadata: Json = dict(infos[0].get("metadata", {})) if infos else {}
        super().__init__(f"{self.status} {self.body}")


@dataclass
class User:
    """Somebody who is registered and signed in."""

    user_id: int
    username: str
    access_token: str
    refresh_token: str
    renewing: asyncio.Lock = field(default_factory=asyncio.Lock, repr=False, compare=False)
    """A refresh token is spent once: of many who need a new pair one gets it."""

    def take(self, answer: Json) -> None:
        """Keeps the new pair of tokens."""
        self.access_token = answer["accessToken"]
        self.refresh_token = answer["refreshToken"]


class Api:
    """Calls methods by their short name, `RoomService/GetRoom`."""

    def __init__(self, base: str) -> None:
        self.base = base
        self.http = httpx.AsyncClient(base_url=base, timeout=30.0, trust_env=False)

    async def close(self) -> None:
        """Gives the connections back."""
        await self.http.aclose()

    async def call(
        self,
        method: str,
        params: Mapping[str, Any] | None = None,
        user: User | str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Json:
        """One call as a user, with a bare token, or as nobody. Raises ApiError, httpx.TransportError."""
        token = user.access_token if isinstance(user, User) else user
        sent = dict(headers or {}) | ({"authorization": f"Bearer {token}"} if token is not None else {})
        response = await self.http.post(f"/api/{full_name(method)}", json=dict(params or {}), headers=sent)
        if response.status_code != 200:
            raise ApiError(response)
        return dict(response.json())

    async def call_again(
        self, method: str, params: Mapping[str, Any], user: User | None, seconds: float = AGAIN_SECONDS
    ) -> Json:
        """The same, and again while the product cannot answer; for methods that may be repeated.

        An access token that has ended is renewed.
        """
        deadline = time.monotonic() + seconds
        while True:
            token = user.access_token if user else ""
            try:
                return await self.call(method, params, user)
            except (ApiError, httpx.TransportError) as error:
                ended = isinstance(error, ApiError) and error.reason == "TOKEN_EXPIRED"
                if isinstance(error, ApiError) and error.code not in RETRYABLE and not ended:
                    raise
                if time.monotonic() > deadline:
                    raise
            if ended and user:
                await self.try_renew(user, token)
            await asyncio.sleep(0.2)

    async def register(self, name: str = "user", seconds: float = HEAL_SECONDS) -> User:
        """A new user with a name of its own; another name when it was not answered, as after a fault."""
        deadline = time.monotonic() + seconds
        while True:
            username = f"{name}-{next(_numbers)}-{secrets.token_hex(4)}"
            request = {"username": username, "password": PASSWORD, "displayName": name.title()}
            try:
                return user_from(await self.call("AuthService/Register", request))
            except ApiError as error:
                if error.code not in RETRYABLE or time.monotonic() > deadline:
                    raise
            await asyncio.sleep(0.2)

    async def login(self, user: User, password: str = PASSWORD) -> User:
        """The same user with a session of its own."""
        answer = await self.call("AuthService/Login", {"username": user.username, "password": password})
        return user_from(answer)

    async def refresh(self, user: User) -> None:
        """Spends the refresh token for a new pair."""
        user.take(await self.call("AuthService/RefreshSession", {"refreshToken": user.refresh_token}))

    async def try_renew(self, user: User, ended: str) -> bool:
        """New tokens in the place of the access token `ended`, unless somebody else got them already.

        By the refresh token, or by signing in when that is no good any more. False when nothing answered.
        """
        async with user.renewing:
            if user.access_token != ended:
                return True
            try:
                await self.refresh(user)
            except ApiError as error:
                if not error.reason.startswith("REFRESH_TOKEN"):
                    return False
                with contextlib.suppress(ApiError, httpx.TransportError):
                    again = await self.login(user)
                    user.access_token, user.refresh_token = again.access_token, again.refresh_token
            except httpx.TransportError:
                return False
        return user.access_token != ended

    async def create_room(self, owner: User, members: Iterable[User] = (), *, public: bool = False) -> int:
        """A room of a new title with these members."""
        kind = "ROOM_KIND_PUBLIC" if public else "ROOM_KIND_GROUP"
        request = {"requestId": str(uuid.uuid4()), "title": f"Room {next(_numbers)}", "kind": kind}
        room_id = int((await self.call_again("RoomService/CreateRoom", request, owner))["room"]["roomId"])
        user_ids = [str(member.user_id) for member in members]
        if user_ids:
            added = {"roomId": str(room_id), "userIds": user_ids}
            await self.call_again("MembershipService/AddMembers", added, owner)
        return room_id

    async def send(self, user: User, room_id: int, text: str, request_id: str = "") -> Json:
        """SendMessage."""
        request = {"roomId": str(room_id), "requestId": request_id or str(uuid.uuid4()), "text": text}
        return await self.call("MessagingService/SendMessage", request, user)

    async def log(self, user: User, room_id: int) -> list[Json]:
        """Every event of a room that the user may see, from the first on."""
        return await self.pages(
            "MessageService/ListEvents", {"roomId": str(room_id), "afterSequence": "0"}, user, "events"
        )

    async def pages(
        self, method: str, params: Mapping[str, Any], user: User, field: str, page_size: int = 100
    ) -> list[Json]:
        """The elements of all pages of a list."""
        found: list[Json] = []
        request = dict(params) | {"pageSize": page_size}
        while True:
            page = await self.call_again(method, request, user)
            found += page.get(field, [])
            if not page.get("nextPageToken"):
                return found
            request["pageToken"] = page["nextPageToken"]

    async def head(self, user: User, room_id: int) -> int:
        """The head of a room that the user is in."""
        request = {"roomId": str(room_id), "pageSize": 1}
        answer = await self.call_again("MessageService/ListEvents", request, user)
        return int(answer["events"][-1]["sequence"])


def user_from(answer: Json) -> User:
    """What Register and Login answer."""
    user = answer["user"]
    return User(int(user["userId"]), user["username"], answer["accessToken"], answer["refreshToken"])
