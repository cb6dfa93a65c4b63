"""What each HTTP request is answered: the API, the keys, health, the page."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable

import msgspec
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from chassis import logs
from chassis.errors import Code, Failure, InvalidField, TokenInvalid
from chassis.health import Readiness
from edge.connect import HTTP_STATUS, error_body
from edge.failures import failure_from
from edge.gateway import Gateway, Origin, check_binary
from edge.http import HttpRequest, HttpResponse
from edge.methods import Method, find
from edge.origins import has_token
from edge.static import StaticFiles, content_security_policy

GET_JWKS = find("polychat.auth.v1.AuthService/GetJwks")
JSON = "application/json"
PROTO = "application/proto"
NO_STORE = ("cache-control", "no-store")
JWKS_CACHE = ("cache-control", "public, max-age=60")

log = logs.get("edge")

Handler = Callable[[HttpRequest], Awaitable[HttpResponse]]


class UnsupportedMediaType(Failure):
    """The request body is of a kind that the API does not read."""

    code = Code.INVALID_ARGUMENT
    reason = "INVALID_FIELD"
    text = "the content type is application/json or application/proto, not compressed"


class Routes:
    """Answers every HTTP request."""

    def __init__(
        self, gateway: Gateway, readiness: Readiness, static: StaticFiles, registry: CollectorRegistry | None
    ) -> None:
        self._gateway = gateway
        self._readiness = readiness
        self._static = static
        self._registry = registry
        self._gets: dict[str, Handler] = {
            "/livez": self._livez,
            "/readyz": self._readyz,
            "/.well-known/jwks.json": self._jwks,
        }
        if registry is not None:
            self._gets["/metrics"] = self._metrics

    async def answer(self, request: HttpRequest) -> HttpResponse:
        """The answer; never raises."""
        try:
            if has_token(request.query):
                log.warning("token_in_url", path=request.path, address=request.address)
                raise InvalidField(
                    "url", "a token does not belong into a URL; send it as authorization: Bearer"
                )
            if request.path.startswith("/api/"):
                return await self._api(request)
            if request.method not in ("GET", "HEAD"):
                return HttpResponse(405, b"method not allowed\n", headers=(("allow", "GET, HEAD"),))
            handler = self._gets.get(request.path)
            return await handler(request) if handler is not None else self._file(request)
        except Exception as error:  # noqa: BLE001 — the one place where an exception becomes an answer
            return _error(failure_from(error, request.path))

    # ---- the API ------------------------------------------------------------------------------

    async def _api(self, request: HttpRequest) -> HttpResponse:
        if request.method != "POST":
            return HttpResponse(405, b"method not allowed\n", headers=(("allow", "POST"),))
        method = find(request.path.removeprefix("/api/"))
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind not in (JSON, PROTO) or request.headers.get("content-encoding", "identity") != "identity":
            response = _error(UnsupportedMediaType())
            response.status = 415
            return response
        origin = Origin(request.address, _bearer(request), _timeout(request))
        return HttpResponse(200, await self._call(method, kind, request.body, origin), kind, (NO_STORE,))

    async def _call(self, method: Method, kind: str, body: bytes, origin: Origin) -> bytes:
        if kind == JSON:
            return await self._gateway.call_json(method, body, origin)
        check_binary(method, body)
        return await self._gateway.call(method, body, origin)

    async def _jwks(self, request: HttpRequest) -> HttpResponse:
        keys = await self._gateway.call_json(GET_JWKS, b"{}", Origin(request.address))
        return HttpResponse(200, keys, JSON, (JWKS_CACHE,))

    # ---- health -------------------------------------------------------------------------------

    async def _livez(self, _request: HttpRequest) -> HttpResponse:
        return HttpResponse(200, b"ok\n", headers=(NO_STORE,))

    async def _readyz(self, _request: HttpRequest) -> HttpResponse:
        problems = await self._readiness.problems()
        body = msgspec.json.encode({"ready": not problems, "problems": problems})
        return HttpResponse(503 if problems else 200, body, JSON, (NO_STORE,))

    async def _metrics(self, _request: HttpRequest) -> HttpResponse:
        assert self._registry is not None  # noqa: S101 — routed only then
        return HttpResponse(200, generate_latest(self._registry), CONTENT_TYPE_LATEST, (NO_STORE,))

    # ---- the page -----------------------------------------------------------------------------

    def _file(self, request: HttpRequest) -> HttpResponse:
        found = self._static.get(request.path)
        if found is None:
            return HttpResponse(404, b"not found\n", headers=(NO_STORE,))
        headers = [("cache-control", found.cache), ("etag", found.etag)]
        if found.content_type.startswith("text/html"):
            headers.append(
                ("content-security-policy", content_security_policy(request.headers.get("host", "")))
            )
        if request.headers.get("if-none-match") == found.etag:
            return HttpResponse(304, b"", found.content_type, headers)
        return HttpResponse(200, found.content, found.content_type, headers)


def _bearer(request: HttpRequest) -> str | None:
    """The token of the request, or None (RFC 6750 section 2.1). Raises TokenInvalid."""
    header = request.headers.get("authorization")
    if header is None:
        return None
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise TokenInvalid("the authorization header is not of the form: Bearer <token>")
    return token


def _timeout(request: HttpRequest) -> float | None:
    """Seconds of `Connect-Timeout-Ms` (at most ten digits), or None. Raises InvalidField."""
    text = request.headers.get("connect-timeout-ms")
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 10):
        raise InvalidField("connect-timeout-ms", "not a number of milliseconds")
    return int(text) / 1000


def _error(failure: Failure) -> HttpResponse:
    headers = [NO_STORE]
    if failure.retry_after is not None:
        headers.append(("retry-after", str(max(1, math.ceil(failure.retry_after)))))
    if failure.code is Code.UNAUTHENTICATED:
        headers.append(("www-authenticate", "Bearer"))
    return HttpResponse(HTTP_STATUS[failure.code], error_body(failure), JSON, headers)
