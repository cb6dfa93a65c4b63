"""What every server does around every call, in all four call shapes, on a real grpc.aio server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import grpc.aio
import pytest
from google.rpc import status_pb2

from chassis.errors import Code
from chassis.interceptors import Access
from chassis.status import STATUS_KEY, from_rpc_error, from_status
from tests.support.shapes import CREDENTIAL, SHAPES, ask, refused, serving, shape_process


@pytest.fixture
async def public(tmp_path: Path) -> AsyncIterator[grpc.aio.Channel]:
    async with serving(shape_process(tmp_path), Access.PUBLIC) as channel:
        yield channel


@pytest.fixture
async def private(tmp_path: Path) -> AsyncIterator[grpc.aio.Channel]:
    async with serving(shape_process(tmp_path), Access.USER) as channel:
        yield channel


@pytest.fixture
async def inner(tmp_path: Path) -> AsyncIterator[grpc.aio.Channel]:
    async with serving(shape_process(tmp_path), Access.INTERNAL) as channel:
        yield channel


@pytest.mark.parametrize("shape", SHAPES)
async def test_an_answer_passes(public: grpc.aio.Channel, shape: str) -> None:
    """Every call shape reaches its handler and comes back."""
    assert await ask(public, shape, "hello") == "hello"


@pytest.mark.parametrize("shape", SHAPES)
async def test_a_failure_carries_one_reason(public: grpc.aio.Channel, shape: str) -> None:
    """A Failure becomes a status with exactly one ErrorInfo of our domain, and its RetryInfo."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await ask(public, shape, "limited")
    raw = dict(caught.value.trailing_metadata() or ())[STATUS_KEY]
    status = status_pb2.Status.FromString(raw if isinstance(raw, bytes) else raw.encode())
    assert [d.type_url.rpartition(".")[2] for d in status.details] == ["ErrorInfo", "RetryInfo"]
    failure = from_status(status)
    assert (failure.code, failure.reason, failure.retry_after) == (
        Code.RESOURCE_EXHAUSTED,
        "RATE_LIMITED",
        1.5,
    )


@pytest.mark.parametrize("shape", SHAPES)
async def test_a_bug_tells_nothing_but_a_trace_id(public: grpc.aio.Channel, shape: str) -> None:
    """An unknown exception is INTERNAL; its text stays inside."""
    failure = await refused(public, shape, "bug")
    assert (failure.code, failure.reason) == (Code.INTERNAL, "INTERNAL")
    assert "SELECT" not in failure.message
    assert len(failure.metadata["traceId"]) == 16


async def test_an_unknown_outcome_is_not_retried_behind_the_callers_back(public: grpc.aio.Channel) -> None:
    """It took as long as there is: a retry policy would turn it into a deadline without a reason."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await ask(public, "UnaryUnary", "unknown")
    assert from_rpc_error(caught.value).reason == "OUTCOME_UNKNOWN"
    assert dict(caught.value.trailing_metadata() or ())["grpc-retry-pushback-ms"] == "-1"


@pytest.mark.parametrize("shape", SHAPES)
async def test_an_unbuilt_method_says_so(public: grpc.aio.Channel, shape: str) -> None:
    """UNIMPLEMENTED with a reason, as a client of a later contract must be told."""
    failure = await refused(public, shape, "unbuilt")
    assert (failure.code, failure.reason) == (Code.UNIMPLEMENTED, "UNIMPLEMENTED")


@pytest.mark.parametrize("shape", SHAPES)
async def test_the_caller_is_who_the_token_says(private: grpc.aio.Channel, shape: str) -> None:
    """Identity comes from the token, in every shape, and from nothing else."""
    forged = ("x-user-id", "99")
    assert await ask(private, shape, "who", ("authorization", "Bearer good"), forged) == "7"


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ((), "TOKEN_MISSING"),
        ((("x-user-id", "7"),), "TOKEN_MISSING"),
        ((("authorization", "Bearer bad"),), "TOKEN_INVALID"),
        ((("authorization", "Basic good"),), "TOKEN_INVALID"),
        ((("authorization", "Bearer "),), "TOKEN_INVALID"),
        ((("x-polychat-internal", CREDENTIAL),), "TOKEN_MISSING"),
    ],
)
@pytest.mark.parametrize("shape", SHAPES)
async def test_without_a_good_token_nobody_enters(
    private: grpc.aio.Channel, shape: str, header: tuple[tuple[str, str], ...], reason: str
) -> None:
    """A method for users refuses everything that is not a valid access token."""
    failure = await refused(private, shape, "hello", *header)
    assert (failure.code, failure.reason) == (Code.UNAUTHENTICATED, reason)


@pytest.mark.parametrize(
    "header", [(), (("x-polychat-internal", "guess"),), (("authorization", "Bearer good"),)]
)
async def test_internal_methods_refuse_outsiders(
    inner: grpc.aio.Channel, header: tuple[tuple[str, str], ...]
) -> None:
    """Only the internal credential opens an internal method; a user's token does not."""
    failure = await refused(inner, "UnaryUnary", "hello", *header)
    assert (failure.code, failure.reason) == (Code.PERMISSION_DENIED, "INTERNAL_CALLER_REQUIRED")
    assert await ask(inner, "UnaryUnary", "hello", ("x-polychat-internal", CREDENTIAL)) == "hello"


async def test_oversized_metadata_is_refused(public: grpc.aio.Channel) -> None:
    """17 KiB of headers do not reach a handler, whatever the transport let through."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await ask(public, "UnaryUnary", "hello", ("x-junk", "a" * 17 * 1024))
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
