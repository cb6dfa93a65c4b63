"""Snowflake ids and request ids."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.errors import BackendUnavailable, InvalidField
from chassis.ids import EPOCH_MILLIS, Snowflake, uuid_bytes


@given(st.lists(st.integers(-5, 5), min_size=1, max_size=200))
def test_ids_rise_whatever_the_clock_does(steps: list[int]) -> None:
    """A clock that stands still or steps back gives no id twice and none out of order."""
    now = [EPOCH_MILLIS + 1000]
    ids = Snowflake(lambda: 3, clock=lambda: now[0])
    given_ = []
    for step in steps:
        now[0] += step
        given_.append(ids.next())
    assert given_ == sorted(set(given_))


def test_more_than_a_millisecond_holds_borrows_the_next() -> None:
    """4,096 ids a millisecond; the next one is of the next millisecond."""
    ids = Snowflake(lambda: 1, clock=lambda: EPOCH_MILLIS + 5)
    found = [ids.next() for _ in range(5000)]
    assert len(set(found)) == 5000
    assert found[4096] >> 22 == (found[0] >> 22) + 1


def test_workers_never_meet() -> None:
    """Two workers in the same millisecond give different ids."""
    left = Snowflake(lambda: 1, clock=lambda: EPOCH_MILLIS + 9)
    right = Snowflake(lambda: 2, clock=lambda: EPOCH_MILLIS + 9)
    assert not {left.next() for _ in range(4096)} & {right.next() for _ in range(4096)}


def test_without_a_lease_there_is_no_id() -> None:
    """The error of the lease reaches the caller; no id is made up."""

    def lost() -> int:
        raise BackendUnavailable("consul")

    with pytest.raises(BackendUnavailable):
        Snowflake(lost).next()


def test_no_id_of_the_time_before_a_lease() -> None:
    """A worker id taken over gives only ids after the last of its former holder."""
    ids = Snowflake(lambda: 1, clock=lambda: EPOCH_MILLIS + 10)
    ids.not_before(EPOCH_MILLIS + 50)
    assert ids.next() >> 22 > 50


def test_a_uuid_becomes_its_bytes() -> None:
    """In either case of letters."""
    value = uuid.uuid4()
    assert uuid_bytes(str(value)) == uuid_bytes(str(value).upper()) == value.bytes


@pytest.mark.parametrize(
    "text",
    ["", "7", "not-a-uuid", "{00000000-0000-4000-8000-000000000000}", "0" * 32, "urn:uuid:" + "0" * 32],
)
def test_other_forms_are_refused_with_the_field(text: str) -> None:
    """Only the 8-4-4-4-12 form, so that one id has one spelling."""
    with pytest.raises(InvalidField) as caught:
        uuid_bytes(text)
    assert caught.value.violations[0].field == "request_id"
