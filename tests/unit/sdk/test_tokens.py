"""Signing in: the connections of an attempt that fails are given back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from polychat_sdk import PolychatError, Tokens, register, tokens
from polychat_sdk.tokens import login

Attempt = Callable[[str, str, str], Awaitable[Tokens]]
URL, NAME, PASSWORD = "http://edge", "anna", "correct horse"


@pytest.fixture
def clients(monkeypatch: pytest.MonkeyPatch) -> list[httpx.AsyncClient]:
    """Every HTTP client that was made, of a server that refuses everybody."""
    made: list[httpx.AsyncClient] = []
    real = httpx.AsyncClient

    async def answer(_request: httpx.Request) -> httpx.Response:
        return httpx.Response(401, json={"code": "unauthenticated", "message": "no"})

    def make(**options: Any) -> httpx.AsyncClient:
        made.append(real(transport=httpx.MockTransport(answer), **options))
        return made[-1]

    monkeypatch.setattr(httpx, "AsyncClient", make)
    return made


@pytest.mark.parametrize("attempt", [login, register])
async def test_a_refused_attempt_closes_its_client(
    attempt: Attempt, clients: list[httpx.AsyncClient]
) -> None:
    """Who tries passwords in a loop does not run out of descriptors."""
    with pytest.raises(PolychatError, match="UNAUTHENTICATED"):
        await attempt(URL, NAME, PASSWORD)
    assert [client.is_closed for client in clients] == [True]


@pytest.mark.parametrize("attempt", [login, register])
async def test_an_attempt_that_is_given_up_closes_its_client(
    attempt: Attempt, clients: list[httpx.AsyncClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when the server has not answered yet."""
    asked = asyncio.Event()

    async def silent(*_arguments: object) -> None:
        asked.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(tokens, "post", silent)
    attempting = asyncio.ensure_future(attempt(URL, NAME, PASSWORD))
    await asked.wait()
    attempting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await attempting
    assert [client.is_closed for client in clients] == [True]
