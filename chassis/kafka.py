"""Names of the topics and how a room finds its partition, the same for producers and consumers."""

from __future__ import annotations

from functools import lru_cache

from aiokafka.partitioner import murmur2

ROOM_LOG = "room-log"
DEAD_LETTER = "room-log-dead-letter"
PARTITIONS = 24
"""Of `room-log`; fixed for its life, because a room's order is its partition's order."""


def key_of(room_id: int) -> bytes:
    """The record key of a room: its id in decimal."""
    return str(room_id).encode()


@lru_cache(maxsize=65_536)
def partition_of(room_id: int) -> int:
    """The partition of a room: Kafka's own default partitioner, so foreign producers agree."""
    return int(murmur2(key_of(room_id)) & 0x7FFFFFFF) % PARTITIONS
