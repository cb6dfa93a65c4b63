"""Rooms and partitions."""

from __future__ import annotations

from aiokafka.partitioner import DefaultPartitioner
from hypothesis import given
from hypothesis import strategies as st

from chassis.kafka import PARTITIONS, key_of, partition_of

every_partition = list(range(PARTITIONS))


@given(st.integers(1, 2**63 - 1))
def test_a_room_goes_where_every_kafka_client_sends_it(room_id: int) -> None:
    """A producer in another language, with the same key, meets the same order."""
    assert partition_of(room_id) == DefaultPartitioner()(key_of(room_id), every_partition, every_partition)


def test_known_rooms_stay_where_they_are() -> None:
    """The mapping is a part of the stored log: a change of it splits rooms."""
    assert [partition_of(room_id) for room_id in (1, 2, 3, 2**63 - 1)] == [15, 8, 23, 21]
