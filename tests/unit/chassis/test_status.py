"""Failure → google.rpc.Status → Failure, and statuses that others made."""

from __future__ import annotations

import grpc
import grpc.aio
import pytest
from google.protobuf import any_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2
from hypothesis import given
from hypothesis import strategies as st

from chassis.errors import Code, FieldViolation, RemoteFailure
from chassis.status import DOMAIN, STATUS_KEY, from_rpc_error, from_status, to_status

texts = st.text(max_size=60)
violations = st.lists(st.builds(FieldViolation, texts, texts), max_size=4)
waits = st.one_of(st.none(), st.integers(0, 10**7).map(lambda millis: millis / 1000))


@given(
    st.sampled_from(Code),
    st.from_regex(r"[A-Z]{1,20}", fullmatch=True),
    texts,
    waits,
    violations,
    st.dictionaries(texts, texts, max_size=4),
)
def test_nothing_is_lost_on_the_way(
    code: Code,
    reason: str,
    message: str,
    retry_after: float | None,
    violations: list[FieldViolation],
    metadata: dict[str, str],
) -> None:
    """Every part of a failure comes back, through bytes, to the millisecond."""
    sent = RemoteFailure(
        code, reason, message, retry_after=retry_after, violations=violations, metadata=metadata
    )
    status = status_pb2.Status.FromString(to_status(sent).SerializeToString())
    back = from_status(status)
    for part in ("code", "reason", "message", "retry_after", "violations", "metadata"):
        assert getattr(back, part) == getattr(sent, part), part


def test_the_details_are_the_ones_of_aip_193() -> None:
    """One ErrorInfo of our domain first; BadRequest and RetryInfo only where they say something."""
    bare = to_status(RemoteFailure(Code.NOT_FOUND, "ROOM_NOT_FOUND", "no such room"))
    info = error_details_pb2.ErrorInfo()
    assert len(bare.details) == 1
    assert bare.details[0].Unpack(info)
    assert (info.domain, info.reason) == (DOMAIN, "ROOM_NOT_FOUND")
    full = to_status(
        RemoteFailure(Code.ABORTED, "X", "x", retry_after=1, violations=[FieldViolation("a", "b")])
    )
    names = [detail.type_url.rpartition(".")[2] for detail in full.details]
    assert names == ["ErrorInfo", "BadRequest", "RetryInfo"]


@pytest.mark.parametrize("code", Code)
def test_every_code_is_one_of_grpc(code: Code) -> None:
    """No code of ours is unknown to the wire."""
    assert to_status(RemoteFailure(code, "X", "x")).code == code_pb2.Code.Value(code.value)
    assert grpc.StatusCode[code.name]


@pytest.mark.parametrize("number", [code_pb2.OK, code_pb2.UNKNOWN, code_pb2.DATA_LOSS, 99, -1])
def test_codes_we_never_send_are_internal(number: int) -> None:
    """Also those that do not exist."""
    failure = from_status(status_pb2.Status(code=number, message="odd"))
    assert (failure.code, failure.reason) == (Code.INTERNAL, "INTERNAL")


def rpc_error(code: grpc.StatusCode, details: bytes | None = None) -> grpc.aio.AioRpcError:
    pairs = [(STATUS_KEY, details)] if details is not None else []
    trailing = grpc.aio.Metadata(*pairs)
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), trailing, details="ipv4:10.0.0.1 refused")


@pytest.mark.parametrize(
    ("code", "expected", "reason"),
    [
        (grpc.StatusCode.UNAVAILABLE, Code.UNAVAILABLE, "BACKEND_UNAVAILABLE"),
        (grpc.StatusCode.CANCELLED, Code.UNAVAILABLE, "BACKEND_UNAVAILABLE"),
        (grpc.StatusCode.DEADLINE_EXCEEDED, Code.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED"),
        (grpc.StatusCode.UNIMPLEMENTED, Code.UNIMPLEMENTED, "UNIMPLEMENTED"),
        (grpc.StatusCode.UNKNOWN, Code.INTERNAL, "INTERNAL"),
    ],
)
def test_the_transports_own_errors(code: grpc.StatusCode, expected: Code, reason: str) -> None:
    """They get a reason by their code, and their text, which has addresses in it, stays inside."""
    failure = from_rpc_error(rpc_error(code))
    assert (failure.code, failure.reason) == (expected, reason)
    assert "10.0.0.1" not in failure.message


def test_details_of_a_service_are_carried_on() -> None:
    """As bytes in the trailing metadata."""
    sent = to_status(RemoteFailure(Code.PERMISSION_DENIED, "NOT_A_MEMBER", "no"))
    failure = from_rpc_error(rpc_error(grpc.StatusCode.PERMISSION_DENIED, sent.SerializeToString()))
    assert (failure.code, failure.reason, failure.message) == (Code.PERMISSION_DENIED, "NOT_A_MEMBER", "no")


def broken_info() -> bytes:
    detail = any_pb2.Any(type_url="type.googleapis.com/google.rpc.ErrorInfo", value=b"\xff\xff")
    return bytes(status_pb2.Status(code=code_pb2.UNAVAILABLE, details=[detail]).SerializeToString())


@pytest.mark.parametrize("details", [b"\xff\xff\xff", broken_info()])
def test_rubbish_in_the_details_is_not_believed(details: bytes) -> None:
    """What stands between may write there; the code alone is taken then, and no other error is raised."""
    failure = from_rpc_error(rpc_error(grpc.StatusCode.UNAVAILABLE, details))
    assert (failure.code, failure.reason) == (Code.UNAVAILABLE, "BACKEND_UNAVAILABLE")
