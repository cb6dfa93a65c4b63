"""Which worker id is taken, and which is left alone."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discovery.agent import KeyValue
from discovery.worker_slots import (
    AHEAD_MILLIS,
    QUARANTINE_MILLIS,
    SHORTAGE_MILLIS,
    WORKERS,
    Choice,
    Slot,
    choose,
    decode,
    key_of,
)

NOW = 1_800_000_000_000
MINUTE = 60_000


def slot(worker: int, instance: str, age: int, *, session: str = "", last: int = 0) -> KeyValue:
    value = Slot(instance, NOW - age, last, released=False).encode()
    return KeyValue(key_of(worker), value, session, worker + 1)


def full(age: int, *, but: Sequence[KeyValue] = ()) -> list[KeyValue]:
    """A record for every id, all held `age` ms ago by others, except those given."""
    given_keys = {item.key for item in but}
    return [slot(n, f"other-{n}", age) for n in range(WORKERS) if key_of(n) not in given_keys] + list(but)


def taken(keys: Sequence[KeyValue], *, previous: int | None = None) -> int | None:
    choice = chosen(keys, previous=previous)
    return choice.worker if choice else None


def chosen(keys: Sequence[KeyValue], *, previous: int | None = None) -> Choice | None:
    return choose(keys, "chat-1", NOW, previous=previous, pick=lambda free: free[-1])


def test_one_that_was_never_held_comes_before_one_that_has_rested() -> None:
    assert taken([slot(n, "x", 10 * QUARANTINE_MILLIS) for n in range(1000)]) == 1023


def test_the_own_id_is_taken_back_whatever_its_age() -> None:
    assert taken(full(10 * QUARANTINE_MILLIS, but=[slot(5, "chat-1", 0)])) == 5


def test_the_own_id_is_left_alone_while_a_session_holds_it() -> None:
    """Its holder may be this instance's predecessor, not dead but frozen."""
    assert taken([slot(5, "chat-1", 0, session="s")]) == 1023


def test_the_id_held_before_is_taken_back_from_an_empty_table() -> None:
    assert taken([], previous=7) == 7


def test_the_id_held_before_is_lost_once_another_instance_had_it() -> None:
    assert taken([slot(7, "chat-2", 0)], previous=7) == 1023


def test_of_those_that_rested_the_longest_unused_is_taken() -> None:
    keys = full(QUARANTINE_MILLIS + MINUTE, but=[slot(9, "x", QUARANTINE_MILLIS + 2 * MINUTE)])
    choice = chosen(keys)
    assert choice is not None
    assert (choice.worker, choice.shortage) == (9, False)


def test_in_a_shortage_the_longest_unused_is_taken_with_a_warning() -> None:
    choice = chosen(full(SHORTAGE_MILLIS, but=[slot(9, "x", 2 * MINUTE)]))
    assert choice is not None
    assert (choice.worker, choice.shortage) == (9, True)


def test_none_is_taken_that_was_held_within_the_last_minute() -> None:
    assert taken(full(SHORTAGE_MILLIS - 1)) is None


def test_none_is_taken_whose_holder_had_a_clock_far_ahead() -> None:
    assert taken([slot(5, "chat-1", 0, last=NOW + AHEAD_MILLIS + 1)]) == 1023


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"7",
        b"[]",
        b"null",
        b'{"instance": "x"}',
        b"\xff",
        b"[" * 100_000,
        b'{"instance":"x","held_time":Infinity}',
    ],
)
def test_an_id_with_an_unreadable_record_is_left_alone(value: bytes) -> None:
    assert decode(value) is None
    assert taken(full(0, but=[KeyValue(key_of(5), value, "", 6)])) is None


def test_a_record_reads_back_as_it_was_written() -> None:
    record = Slot("chat-1", NOW, NOW - 1, released=True)
    assert decode(record.encode()) == record


@given(
    st.dictionaries(
        st.integers(0, WORKERS - 1),
        st.tuples(
            st.sampled_from(["chat-1", "chat-2"]), st.integers(0, 2 * QUARANTINE_MILLIS), st.booleans()
        ),
        max_size=40,
    ),
    st.none() | st.integers(0, WORKERS - 1),
)
def test_a_locked_id_and_another_instances_fresh_id_are_never_taken(
    records: dict[int, tuple[str, int, bool]], previous: int | None
) -> None:
    keys = [slot(n, who, age, session="s" if held else "") for n, (who, age, held) in records.items()]
    worker = taken(keys, previous=previous)
    assert worker is not None
    if worker in records:
        who, _age, held = records[worker]
        assert (who, held) == ("chat-1", False)
