"""Accounts and tokens over HTTP: register, sign in, and keep the access token fresh."""

from __future__ import annotations

import asyncio
import base64
import time
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx
from google.protobuf.message import Message
from google.rpc import error_details_pb2
from polychat.auth.v1 import auth_service_pb2 as auth

from polychat_sdk.errors import PolychatError

M = TypeVar("M", bound=Message)

REQUEST_SECONDS = 15.0
EARLY_SECONDS = 60.0
"""An access token is renewed this long before its end."""


@dataclass
class _Pair:
    access_token: str
    refresh_token: str
    expire_time: float


class Tokens:
    """One session: its user, and a valid access token whenever asked for.

    Refreshes never run twice at once: a refresh token that is used twice ends the session.
    """

    def __init__(self, http: httpx.AsyncClient, answer: auth.LoginResponse | auth.RegisterResponse) -> None:
        self._http = http
        self._lock = asyncio.Lock()
        self._pair = _pair(answer)
        self.user = answer.user

    async def logout(self) -> None:
        """Ends the session. Raises PolychatError, such as SESSION_REVOKED when it had ended before."""
        method = "polychat.auth.v1.AuthService/Logout"
        await post(self._http, method, auth.LogoutRequest(), auth.LogoutResponse, await self.access_token())

    async def close(self) -> None:
        """Lets go of the HTTP connections; the session stands."""
        await self._http.aclose()

    async def access_token(self, *, fresh: bool = False) -> str:
        """The token; a new one when `fresh` or when the old one ends within a minute."""
        known = self._pair
        async with self._lock:
            renewed_meanwhile = self._pair is not known
            ends_soon = self._pair.expire_time - time.monotonic() < EARLY_SECONDS
            if ends_soon or (fresh and not renewed_meanwhile):
                request = auth.RefreshSessionRequest(refresh_token=self._pair.refresh_token)
                method = "polychat.auth.v1.AuthService/RefreshSession"
                self._pair = _pair(await post(self._http, method, request, auth.RefreshSessionResponse))
        return self._pair.access_token


async def post(http: httpx.AsyncClient, method: str, request: Message, answer: type[M], token: str = "") -> M:
    """One unary call over HTTP (Connect, binary). Raises PolychatError."""
    headers = {"content-type": "application/proto"}
    if token:
        headers["authorization"] = f"Bearer {token}"
    try:
        response = await http.post(f"/api/{method}", content=request.SerializeToString(), headers=headers)
    except httpx.TransportError as error:
        raise PolychatError("UNAVAILABLE", "BACKEND_UNAVAILABLE", str(error), retryable=True) from error
    if response.status_code != 200:
        raise _connect_error(response)
    return answer.FromString(response.content)


def _pair(answer: Any) -> _Pair:
    ends = time.monotonic() + answer.expires_in.ToTimedelta().total_seconds()
    return _Pair(answer.access_token, answer.refresh_token, ends)


def _connect_error(response: httpx.Response) -> PolychatError:
    try:
        body = response.json()
        code = str(body["code"]).upper()
    except (ValueError, KeyError, TypeError):
        return PolychatError(
            "UNAVAILABLE", "BACKEND_UNAVAILABLE", f"HTTP {response.status_code}", retryable=True
        )
    details = body.get("details", ())
    info: dict[str, Any] = next((d.get("debug", {}) for d in details if d["type"].endswith("ErrorInfo")), {})
    retry = next((d["value"] for d in details if d["type"].endswith("RetryInfo")), None)
    return PolychatError(
        code,
        info.get("reason", code),
        body.get("message", ""),
        retryable=code in ("UNAVAILABLE", "RESOURCE_EXHAUSTED", "ABORTED", "DEADLINE_EXCEEDED"),
        retry_after=_retry_seconds(retry),
        metadata=info.get("metadata"),
    )


def _retry_seconds(value: str | None) -> float | None:
    if value is None:
        return None
    raw = base64.b64decode(value + "=" * (-len(value) % 4))
    delay = error_details_pb2.RetryInfo.FromString(raw).retry_delay
    return float(delay.ToTimedelta().total_seconds())


async def register(
    url: str, username: str, password: str, *, display_name: str = "", email: str = ""
) -> Tokens:
    """Makes a user and signs them in. Raises PolychatError, such as USERNAME_TAKEN."""
    request = auth.RegisterRequest(
        username=username, password=password, display_name=display_name, email=email
    )
    return await _begin(url, "polychat.auth.v1.AuthService/Register", request, auth.RegisterResponse)


async def login(url: str, username: str, password: str, *, device_name: str = "") -> Tokens:
    """Starts a session. Raises PolychatError, such as INVALID_CREDENTIALS."""
    request = auth.LoginRequest(username=username, password=password, device_name=device_name)
    return await _begin(url, "polychat.auth.v1.AuthService/Login", request, auth.LoginResponse)


async def _begin(
    url: str, method: str, request: Message, answer: type[auth.LoginResponse] | type[auth.RegisterResponse]
) -> Tokens:
    http = httpx.AsyncClient(base_url=url, timeout=REQUEST_SECONDS)
    try:
        return Tokens(http, await post(http, method, request, answer))
    except BaseException:
        await http.aclose()  # nobody else has it
        raise
