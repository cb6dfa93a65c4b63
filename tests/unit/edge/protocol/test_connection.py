"""The state machine of a connection, driven at random against what the contract says."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from chassis.errors import Code, Failure, RemoteFailure
from edge.protocol.codes import CloseCode, close_code_for, status_code_for
from edge.protocol.connection import REQUESTS, TRANSITIONS, Connection, Kind, Phase, Step
from edge.protocol.errors import HelloTooLate, TooManyConnections
from edge.protocol.limits import IN_FLIGHT


class Machine(RuleBasedStateMachine):
    """A client that says anything, a chat that answers at any time, a wire that ends at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.connection = Connection(1)
        self.greeted = False
        self.welcomed = False
        self.closed = False
        self.owed = 0

    @precondition(lambda self: self.connection.readable)
    @rule(kind=st.sampled_from(Kind))
    def frame(self, kind: Kind) -> None:
        step = self.connection.receive(kind)
        if self.closed:
            assert step is Step.IGNORE
        elif not self.greeted:
            if kind is Kind.HELLO:
                assert step is Step.OPEN
                self.greeted = True
                self.owed += 1
            else:
                assert step is Step.REFUSE_UNGREETED
        elif kind is Kind.HELLO:
            assert step is Step.REFUSE_REPEATED
        else:
            assert step is Step.HANDLE
            self.owed += kind in REQUESTS

    @precondition(lambda self: self.greeted and not self.welcomed)
    @rule()
    def chat_answers(self) -> None:
        self.connection.opened()
        if not self.closed:
            self.welcomed = True
            self.connection.answered()
            self.owed -= 1

    @precondition(lambda self: self.owed > 0 and self.welcomed)
    @rule()
    def reply(self) -> None:
        self.connection.answered()
        self.owed -= 1

    @rule()
    def close(self) -> None:
        assert self.connection.close() is not self.closed
        self.closed = True

    @invariant()
    def is_consistent(self) -> None:
        connection = self.connection
        assert connection.in_flight == self.owed <= IN_FLIGHT
        assert (connection.phase is Phase.CLOSING) == self.closed
        if not self.closed:
            assert (connection.phase is Phase.OPEN) == self.welcomed
            assert connection.readable == ((not self.greeted or self.welcomed) and self.owed < IN_FLIGHT)


TestConnection = Machine.TestCase


def test_the_table_says_something_about_everything() -> None:
    assert {phase: set(kinds) for phase, kinds in TRANSITIONS.items()} == {
        phase: set(Kind) for phase in Phase
    }


def test_a_reply_without_a_request_is_a_bug() -> None:
    with pytest.raises(AssertionError):
        Connection(1).answered()


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (RemoteFailure(Code.UNAUTHENTICATED, "TOKEN_INVALID", ""), CloseCode.UNAUTHENTICATED),
        (RemoteFailure(Code.UNAUTHENTICATED, "TOKEN_EXPIRED", ""), CloseCode.TOKEN_EXPIRED),
        (RemoteFailure(Code.PERMISSION_DENIED, "BANNED", ""), CloseCode.BANNED),
        (RemoteFailure(Code.RESOURCE_EXHAUSTED, "RATE_LIMITED", ""), CloseCode.RATE_LIMITED),
        (RemoteFailure(Code.RESOURCE_EXHAUSTED, "OVERLOADED", ""), CloseCode.OVERLOADED),
        (RemoteFailure(Code.UNAVAILABLE, "BACKEND_UNAVAILABLE", ""), CloseCode.INTERNAL),
        (RemoteFailure(Code.INTERNAL, "INTERNAL", ""), CloseCode.INTERNAL),
        (TooManyConnections(limit="1"), CloseCode.TOO_MANY_CONNECTIONS),
        (HelloTooLate(), CloseCode.HELLO_TOO_LATE),
    ],
)
def test_what_a_failure_closes_with(failure: Failure, code: CloseCode) -> None:
    assert close_code_for(failure) is code


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (CloseCode.SHUTTING_DOWN, Code.UNAVAILABLE),
        (CloseCode.SLOW, Code.UNAVAILABLE),
        (CloseCode.TOKEN_EXPIRED, Code.UNAUTHENTICATED),
        (CloseCode.UNAUTHENTICATED, Code.UNAUTHENTICATED),
        (CloseCode.TOO_MANY_CONNECTIONS, Code.RESOURCE_EXHAUSTED),
        (CloseCode.BAD_FRAME, Code.INVALID_ARGUMENT),
        (CloseCode.BANNED, Code.PERMISSION_DENIED),
        (CloseCode.HELLO_TOO_LATE, Code.DEADLINE_EXCEEDED),
    ],
)
def test_how_a_grpc_session_ends(code: CloseCode, status: Code) -> None:
    """As EdgeService.Session says."""
    assert status_code_for(code) is status
