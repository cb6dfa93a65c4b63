"""A caller of the API keeps going when its access token ends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio

from tests.support.api import Api, ApiError, User


class FakeProduct:
    """Takes one access token and one refresh token at a time; each refresh makes a new pair."""

    def __init__(self) -> None:
        self.pair = 0
        self.refreshes = 0
        self.known = True
        """Whether the refresh token is good."""
        self.silent = 0
        """So many calls to auth get no answer first."""

    async def answer(self, request: httpx.Request) -> httpx.Response:
        """An httpx transport's handler; others go on meanwhile."""
        await asyncio.sleep(0)
        method = request.url.path.rsplit("/", 1)[1]
        if method in ("RefreshSession", "Login"):
            return self._new_pair(method, json.loads(request.content))
        if request.headers["authorization"] != f"Bearer access-{self.pair}":
            return _error("TOKEN_EXPIRED")
        return httpx.Response(200, json={"events": []})

    def _new_pair(self, method: str, asked: dict[str, str]) -> httpx.Response:
        if self.silent:
            self.silent -= 1
            raise httpx.ReadError("cut")
        if method == "RefreshSession":
            self.refreshes += 1
            if not self.known or asked["refreshToken"] != f"refresh-{self.pair}":
                return _error("REFRESH_TOKEN_INVALID")
        self.pair += 1
        tokens = {"accessToken": f"access-{self.pair}", "refreshToken": f"refresh-{self.pair}"}
        return httpx.Response(200, json={"user": {"userId": "9", "username": "c"}, **tokens})


def _error(reason: str) -> httpx.Response:
    info = {"type": "google.rpc.ErrorInfo", "debug": {"reason": reason}}
    return httpx.Response(401, json={"code": "unauthenticated", "message": "", "details": [info]})


@pytest.fixture
def product() -> FakeProduct:
    """The other end."""
    return FakeProduct()


@pytest_asyncio.fixture
async def api(product: FakeProduct) -> AsyncIterator[Api]:
    """Calls it."""
    made = Api("http://product")
    await made.http.aclose()
    made.http = httpx.AsyncClient(base_url="http://product", transport=httpx.MockTransport(product.answer))
    yield made
    await made.close()


@pytest.mark.parametrize("known", [True, False], ids=["by the refresh token", "by signing in"])
@pytest.mark.parametrize("silent", [0, 1])
async def test_a_token_that_has_ended_is_renewed(
    api: Api, product: FakeProduct, known: bool, silent: int
) -> None:
    """The call is made again, also when auth answers late or has forgotten the session."""
    user = User(9, "c", "ended", "refresh-0")
    product.known, product.silent = known, silent
    assert await api.call_again("MessageService/ListEvents", {"roomId": "7"}, user) == {"events": []}
    assert (user.access_token, user.refresh_token) == ("access-1", "refresh-1")


async def test_many_who_need_a_new_token_spend_one_refresh_token(api: Api, product: FakeProduct) -> None:
    """The others take what the first one got."""
    user = User(9, "c", "ended", "refresh-0")
    calls = [api.call_again("MessageService/ListEvents", {"roomId": "7"}, user) for _ in range(5)]
    await asyncio.gather(*calls)
    assert product.refreshes == 1


async def test_another_refusal_is_raised(api: Api) -> None:
    """Nobody is signed in again for it."""
    with pytest.raises(ApiError):
        await api.call_again("AuthService/RefreshSession", {"refreshToken": "unknown"}, None)
