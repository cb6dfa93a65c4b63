"""Access tokens checked (RFC 8725, RFC 9068): ES256 only, every claim required, keys from auth's JWKS.

A verifier keeps the last good key set whatever happens to auth, asks again at most every 30 s for a
key id it does not know, renews keys that are 5 minutes old behind its callers, and remembers tokens it has
verified until they expire or their key is gone.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import json
import math
import re
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import grpc.aio
import jwt
from polychat.auth.v1.auth_service_pb2 import GetJwksRequest

from chassis.caller import Caller
from chassis.errors import BackendUnavailable, Failure, TokenExpired, TokenInvalid
from chassis.status import from_rpc_error

if TYPE_CHECKING:
    from polychat.auth.v1.auth_service_pb2_grpc import AuthServiceStub

ALGORITHM = "ES256"
TYPE = "at+jwt"
ISSUER = AUDIENCE = "polychat"
LEEWAY_SECONDS = 30
REFETCH_SECONDS = 30.0
"""Auth is asked for its keys at most this often, as long as there are any."""
KEYS_SECONDS = 300.0
"""Keys older than this are renewed: so long a key that auth took away may still be trusted."""
MAX_TOKEN_BYTES = 2048
REQUIRED = ["iss", "aud", "sub", "sid", "jti", "iat", "nbf", "exp", "ver"]
_HEADER = {"alg", "kid", "typ"}
_ID = re.compile(r"[1-9][0-9]{0,18}")
_SHAPE = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_CACHE_TOKENS = 20_000

FetchJwks = Callable[[], Awaitable[Sequence[Mapping[str, Any]]]]


class AuthClient(Protocol):
    """A client of auth whose stub may be another one at every call, as discovery's is."""

    @property
    def stub(self) -> AuthServiceStub:
        """The stub to call now."""


def jwks_from_auth(client: AuthClient) -> FetchJwks:
    """Reads the key set from auth's GetJwks; what it gives raises Failure when auth is away."""

    async def fetch() -> Sequence[Mapping[str, Any]]:
        try:
            response = await client.stub.GetJwks(GetJwksRequest())
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from error
        return [{field.name: value for field, value in key.ListFields()} for key in response.keys]

    return fetch


class TokenVerifier:
    """Turns an access token into the Caller it was issued to."""

    def __init__(
        self,
        fetch_jwks: FetchJwks,
        *,
        issuer: str = ISSUER,
        audience: str = AUDIENCE,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._fetch_jwks = fetch_jwks
        self._issuer = issuer
        self._audience = audience
        self._clock = clock
        self._keys: dict[str, jwt.PyJWK] = {}
        self._asked_at = self._fetched_at = -math.inf
        self._fetching = asyncio.Lock()
        self._answers = 0
        self._renewal: asyncio.Task[None] | None = None
        self._cache: OrderedDict[bytes, tuple[str, Caller]] = OrderedDict()

    async def verify(self, token: str) -> Caller:
        """The caller. Raises TokenInvalid, TokenExpired, or BackendUnavailable while no key was ever had."""
        known = self.verify_cached(token)
        if known is not None:
            return known
        kid = _key_id(token)
        caller = self._decode(token, await self._key(kid))
        self._cache[_digest(token)] = kid, caller
        while len(self._cache) > _CACHE_TOKENS:
            self._cache.popitem(last=False)
        return caller

    def verify_cached(self, token: str) -> Caller | None:
        """The caller of a token verified before, None for a new one. Raises TokenExpired."""
        self._renew_old_keys()
        digest = _digest(token)
        kid, caller = self._cache.get(digest, ("", None))
        if caller is None:
            return None
        if kid not in self._keys:
            del self._cache[digest]
            return None
        if caller.expire_time + LEEWAY_SECONDS <= self._clock():
            del self._cache[digest]
            raise TokenExpired
        return caller

    async def problem(self) -> str | None:
        """For readiness: None once there is a key to check tokens with; asks for keys until then."""
        if not self._keys:
            async with self._fetching:
                if not self._keys:
                    await self._refresh()
        return None if self._keys else "auth has not given its signing keys yet"

    async def _key(self, kid: str) -> jwt.PyJWK:
        if kid not in self._keys:
            answers = self._answers
            async with self._fetching:
                # Who waited for a fetch shares its end, so that callers do not queue for one timeout each.
                if kid not in self._keys and answers == self._answers and self._may_ask():
                    await self._refresh()
        if kid in self._keys:
            return self._keys[kid]
        if not self._keys:
            raise BackendUnavailable("auth")
        raise TokenInvalid

    def _may_ask(self) -> bool:
        return not self._keys or self._clock() - self._asked_at >= REFETCH_SECONDS

    def _renew_old_keys(self) -> None:
        """Begins to ask for keys when those here are old; whoever calls goes on with them meanwhile."""
        running = self._renewal is not None and not self._renewal.done()
        if (
            self._keys
            and not running
            and self._clock() - self._fetched_at >= KEYS_SECONDS
            and self._may_ask()
        ):
            self._renewal = asyncio.create_task(self._renew(), name="renew_token_keys")

    async def _renew(self) -> None:
        answers = self._answers
        async with self._fetching:
            if answers == self._answers:
                await self._refresh()

    async def _refresh(self) -> None:
        found: Sequence[Mapping[str, Any]] = ()
        # A caller who gives up is no answer: the next one asks.
        with contextlib.suppress(Failure):
            found = await self._fetch_jwks()
        self._asked_at = self._clock()
        self._answers += 1
        keys = {str(k["kid"]): jwt.PyJWK(dict(k), algorithm=ALGORITHM) for k in found if k.get("kty") == "EC"}
        if keys:
            self._keys = keys
            self._fetched_at = self._clock()

    def _decode(self, token: str, key: jwt.PyJWK) -> Caller:
        try:
            claims = jwt.decode(
                token,
                key,
                algorithms=[ALGORITHM],
                issuer=self._issuer,
                audience=self._audience,
                options={
                    "require": REQUIRED,
                    "strict_aud": True,
                    "verify_exp": False,
                    "verify_nbf": False,
                    "verify_iat": False,
                },
            )
        except jwt.PyJWTError as error:
            raise TokenInvalid from error
        user_id, session_id = claims["sub"], claims["sid"]
        expire, not_before = claims["exp"], claims["nbf"]
        if not (_is_id(user_id) and _is_id(session_id) and _is_time(expire) and _is_time(not_before)):
            raise TokenInvalid
        now = self._clock()
        if claims["ver"] != 1 or not_before > now + LEEWAY_SECONDS:
            raise TokenInvalid
        if expire + LEEWAY_SECONDS <= now:
            raise TokenExpired
        return Caller(int(user_id), int(session_id), token, float(expire))


def _key_id(token: str) -> str:
    """The kid of a token whose shape is right; nothing in it is verified yet. Raises TokenInvalid."""
    if len(token) > MAX_TOKEN_BYTES or not _SHAPE.fullmatch(token):
        raise TokenInvalid
    encoded_header, encoded_claims, _signature = token.split(".")
    header = _members(encoded_header)
    kid = header.get("kid")
    if set(header) != _HEADER or header["alg"] != ALGORITHM or header["typ"] != TYPE:
        raise TokenInvalid
    if not isinstance(kid, str) or not 1 <= len(kid) <= 64:
        raise TokenInvalid
    _members(encoded_claims)
    return kid


def _members(part: str) -> dict[str, str | int]:
    """A part's JSON object: texts and integers only, each name once (RFC 7519 §4). Raises TokenInvalid."""
    try:
        raw = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
        pairs = json.loads(raw, object_pairs_hook=list)
    except (ValueError, RecursionError) as error:
        raise TokenInvalid from error
    if not isinstance(pairs, list) or not all(isinstance(pair, tuple) for pair in pairs):
        raise TokenInvalid
    members = dict(pairs)
    if len(members) != len(pairs) or not all(isinstance(value, str | int) for value in members.values()):
        raise TokenInvalid
    return members


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _is_id(value: object) -> bool:
    return isinstance(value, str) and _ID.fullmatch(value) is not None


def _is_time(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 1 << 40
