"""Who may come in: origins, subprotocols, and tokens of every bad kind."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tests.support.edge_client import Client, Here, client, open_here, raw_client
from tests.support.edge_world import KEY, KID, token


def hello(user_id: int = 1, access_token: str = "") -> str:
    return json.dumps({"id": 1, "hello": {"accessToken": access_token or token(user_id)}})


async def refused(connected: Client, data: str | bytes) -> tuple[dict[str, Any], int | None]:
    """Sends one message; the error and the close code that follow."""
    await connected.socket.send(data)
    frame = await connected.frame()
    return frame, await connected.close_code()


def _signed(key: Any, algorithm: str, **changes: Any) -> str:
    claims = jwt.decode(token(1), options={"verify_signature": False})
    headers = {"kid": KID, "typ": "at+jwt", **changes.pop("headers", {})}
    return jwt.encode({**claims, **changes}, key, algorithm=algorithm, headers=headers)


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _public_pem() -> bytes:
    return KEY.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def _hs256_with_the_public_key() -> str:
    _, claims, _ = token(1).split(".")
    forged = jwt.encode({}, "x" * 32, algorithm="HS256", headers={"kid": KID, "typ": "at+jwt"}).split(".")[0]
    signature = hmac.digest(_public_pem(), f"{forged}.{claims}".encode(), "sha256")
    return f"{forged}.{claims}.{base64url(signature)}"


def _alg_none() -> str:
    _, claims, _ = token(1).split(".")
    header = base64url(json.dumps({"alg": "none", "kid": KID, "typ": "at+jwt"}).encode())
    return f"{header}.{claims}."


BAD_TOKENS: dict[str, Callable[[], str]] = {
    "garbage": lambda: "garbage",
    "cut": lambda: token(1)[:-9],
    "forged": lambda: token(1)[:-20] + "A" * 20,
    "alg none": _alg_none,
    "HS256 with the public key": _hs256_with_the_public_key,
    "another audience": lambda: token(1, aud="another"),
    "another issuer": lambda: token(1, iss="another"),
    "not an access token": lambda: _signed(KEY, "ES256", headers={"typ": "JWT"}),
    "unknown key": lambda: _signed(KEY, "ES256", headers={"kid": "other"}),
    "no user": lambda: token(1, sub="0"),
}


@pytest.mark.parametrize("kind", BAD_TOKENS)
async def test_a_bad_token(here: Here, kind: str) -> None:
    """Refused by the edge itself: chat is not even asked."""
    async with raw_client(here) as nobody:
        frame, code = await refused(nobody, hello(access_token=BAD_TOKENS[kind]()))
        assert (frame["id"], frame["error"]["code"]) == (1, "UNAUTHENTICATED")
        assert (frame["error"]["reason"], code) == ("TOKEN_INVALID", 4200)
        assert not any(request.open for request in here.chat.requests)


async def test_an_expired_token_says_refresh(here: Here) -> None:
    async with raw_client(here) as nobody:
        frame, code = await refused(nobody, hello(access_token=token(1, seconds=-1)))
        assert (frame["error"]["reason"], code) == ("TOKEN_EXPIRED", 4101)


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "null",
        "http://127.0.0.1",
        "http://127.0.0.1:1",
        "HTTP://127.0.0.1:{port}",
        "http://127.0.0.1:{port}.evil.example",
        "http://evil.example/127.0.0.1:{port}",
        "http://user@127.0.0.1:{port}",
        "http://127.0.0.1:{port}/",
        "ws://127.0.0.1:{port}",
        "https://chat.example.com.evil.example",
        "https://CHAT.example.com",
        "",
    ],
)
async def test_a_foreign_origin_is_refused_before_the_upgrade(origin: str) -> None:
    async with open_here(allowed_origins=("https://chat.example.com",)) as here:
        shown = origin.replace("{port}", str(here.edge.http_port))
        with pytest.raises(InvalidStatus) as caught:
            await connect(here.url, proxy=None, additional_headers={"Origin": shown}).__aenter__()
        assert caught.value.response.status_code == 403
        assert not here.edge.sessions.peers


@pytest.mark.parametrize("origin", [None, "http://127.0.0.1:{port}", "https://chat.example.com"])
async def test_own_listed_and_no_origin_are_let_in(origin: str | None) -> None:
    async with open_here(allowed_origins=("https://chat.example.com",)) as here:
        shown = origin.replace("{port}", str(here.edge.http_port)) if origin else None
        async with client(here, 1, additional_headers={"Origin": shown} if shown else {}) as ada:
            assert ada.welcome["userId"] == "1"


@pytest.mark.parametrize(
    "query", ["token=x", "access_token=x", "accessToken=x", "TOKEN=", "q=eyJh.eyJz.c2ln"]
)
async def test_a_token_in_the_url_is_refused(here: Here, query: str) -> None:
    with pytest.raises(InvalidStatus) as caught:
        await connect(f"{here.url}?{query}", proxy=None).__aenter__()
    assert caught.value.response.status_code == 400
    assert b"INVALID_FIELD" in caught.value.response.body


async def test_an_unknown_subprotocol_closes_with_4202(here: Here) -> None:
    async with raw_client(here, subprotocols=["polychat.v9.json"]) as nobody:
        assert await nobody.close_code() == 4202


async def test_no_subprotocol_means_json(here: Here) -> None:
    async with client(here, 1, subprotocols=None) as ada:
        assert ada.welcome["userId"] == "1"
