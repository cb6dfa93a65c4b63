"""What the link keeps of connections for the next chat instance."""

from __future__ import annotations

from typing import Any, cast

import pytest
from polychat.chat.v1.messaging_service_pb2 import SendMessageRequest, SendMessageResponse
from polychat.internal.link.v1.link_service_pb2 import AttachResponse

from chassis.errors import Code, Failure, RateLimited, RemoteFailure
from chassis.telemetry import Metrics
from edge.link import Link
from edge.metrics import EdgeMetrics


class Receiver:
    """Counts the streams."""

    def __init__(self) -> None:
        self.streams = 0

    def link_begins(self) -> None:
        """See LinkReceiver."""
        self.streams += 1

    def link_received(self, response: AttachResponse) -> None:
        """See LinkReceiver."""


def link(receiver: Receiver | None = None) -> Link:
    nobody: Any = cast(Any, None)
    return Link("edge-1", nobody, (), receiver or Receiver(), EdgeMetrics(Metrics("edge")), lambda: 0.0)


def opened_anew(one: Link) -> dict[int, str]:
    """The connections that a new stream begins with."""
    one._begin()
    return {opening.connection_id: opening.access_token for opening in one._staged.take().open}


def test_a_new_stream_opens_what_is_open_with_its_last_token() -> None:
    one = link()
    one.open(1, "first")
    one.open(2, "second")
    one.refresh(1, "fresh")
    one.close(2)
    assert opened_anew(one) == {1: "fresh"}


def test_the_receiver_is_told_of_a_stream_before_anything_leaves_on_it() -> None:
    """What was heard before is older than every answer on it."""
    receiver = Receiver()
    one = link(receiver)
    one.open(1, "first")
    assert receiver.streams == 0
    assert opened_anew(one) == {1: "first"}
    assert receiver.streams == 1


def test_a_connection_that_ends_while_it_is_to_be_opened_again_ends_at_chat() -> None:
    """Chat knows it, by the opening that has left before."""
    one = link()
    one._begin()
    one.open(1, "first")
    one._staged.take()
    one.open(1, "first")
    one.close(1)
    request = one._staged.take()
    assert not request.open
    assert list(request.closed_connection_ids) == [1]


def test_a_token_that_comes_after_the_end_of_its_connection_is_dropped() -> None:
    """It was being verified when the connection ended, which must not come to life again."""
    one = link()
    one.open(1, "first")
    one.close(1)
    one.refresh(1, "fresh")
    assert opened_anew(one) == {}


Result = SendMessageResponse | Failure
NOT_A_MEMBER = RemoteFailure(Code.PERMISSION_DENIED, "NOT_A_MEMBER", "you are not a member of the room")


def sending(one: Link) -> list[Result]:
    """Where the outcome of a send will be."""
    outcomes: list[Result] = []
    one.send(1, SendMessageRequest(room_id=7), outcomes.append)
    return outcomes


def answered(one: Link, result: Result) -> None:
    one._answer(1, result)


def test_a_refusal_of_the_first_attempt_is_definite() -> None:
    """Also when the stream it waited for never stood."""
    one = link()
    outcomes = sending(one)
    one._begin()
    one._staged.take()
    answered(one, NOT_A_MEMBER)
    assert outcomes == [NOT_A_MEMBER]


@pytest.mark.parametrize(
    ("result", "told"),
    [
        (NOT_A_MEMBER, "OUTCOME_UNKNOWN"),
        (RateLimited(retry_after=1.0), "OUTCOME_UNKNOWN"),
        (SendMessageResponse(sequence=4), ""),
    ],
)
def test_a_refusal_of_a_repeat_says_nothing_of_what_left_before(result: Result, told: str) -> None:
    """The first may be on its way into the log: that its sender was removed since, or sends too much, does
    not take it out."""
    one = link()
    outcomes = sending(one)
    one._staged.take()
    one._begin()
    one._staged.take()
    answered(one, result)
    assert [getattr(outcome, "reason", "") for outcome in outcomes] == [told]
