"""Failures: what they say, and which of them are worth a repeat."""

from __future__ import annotations

import pytest

from chassis.errors import (
    BackendUnavailable,
    Code,
    Failure,
    FieldViolation,
    InvalidField,
    InvalidRequest,
    RateLimited,
    RemoteFailure,
)


class RoomFull(Failure):
    """A reason of a service."""

    code = Code.FAILED_PRECONDITION
    reason = "ROOM_FULL"
    text = "the room holds {limit} members at the most"


def test_the_text_uses_the_metadata() -> None:
    """The sentence and the machine's data come from the same values."""
    failure = RoomFull(limit="500")
    assert str(failure) == failure.message == "the room holds 500 members at the most"
    assert failure.metadata == {"limit": "500"}


def test_a_message_of_its_own_is_taken_as_it_is() -> None:
    """Braces in it are braces: it may hold what a user wrote."""
    assert RoomFull("a {weird} title", limit="1").message == "a {weird} title"


def test_braces_in_metadata_stay_data() -> None:
    """A value never is a format of its own."""
    assert "{0.__class__}" in RoomFull(limit="{0.__class__}").message


def test_a_field_error_names_the_field_twice() -> None:
    """For people in the sentence, for programs in the violation."""
    failure = InvalidField("room_id", "must be positive")
    assert failure.message == "room_id: must be positive"
    assert failure.violations == (FieldViolation("room_id", "must be positive"),)


def test_several_field_errors_are_one_failure() -> None:
    """In the order they were found."""
    failure = InvalidRequest([FieldViolation("a", "is empty"), FieldViolation("b.c[1]", "is too long")])
    assert failure.message == "a: is empty; b.c[1]: is too long"
    assert [v.field for v in failure.violations] == ["a", "b.c[1]"]


@pytest.mark.parametrize(
    ("code", "retryable"),
    [
        (Code.UNAVAILABLE, True),
        (Code.RESOURCE_EXHAUSTED, True),
        (Code.ABORTED, True),
        (Code.DEADLINE_EXCEEDED, True),
        (Code.INVALID_ARGUMENT, False),
        (Code.PERMISSION_DENIED, False),
        (Code.INTERNAL, False),
    ],
)
def test_what_may_be_sent_again(code: Code, retryable: bool) -> None:
    """A refusal stays one; only what may pass with time is retryable."""
    assert RemoteFailure(code, "X", "x").retryable is retryable


def test_waiting_times() -> None:
    """A backend says a second by itself; a limit says what it knows."""
    assert BackendUnavailable("kafka").retry_after == 1.0
    assert RateLimited(retry_after=2.5).retry_after == 2.5
    assert RateLimited().retry_after is None


def test_a_carried_failure_changes_no_class() -> None:
    """The code of one remote failure is its own, not that of the next."""
    RemoteFailure(Code.NOT_FOUND, "ROOM_NOT_FOUND", "x")
    assert (Failure.code, RemoteFailure.code) == (Code.INTERNAL, Code.INTERNAL)
