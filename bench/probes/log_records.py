"""Records for the room log, as chat would have written them."""

from __future__ import annotations

import hashlib
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from polychat.event.v1.room_event_pb2 import RoomEvent
from polychat.internal.log.v1.record_pb2 import LogRecord

from chassis.ids import Snowflake
from chassis.kafka import key_of, partition_of
from tests.support.api import User

TEXT = "x" * 128
WORKER = 1_021
"""Far above what the leases of one stack reach, so that no id is given twice."""
REPLY_TO = b"bench"
"""No chat instance has this name: outcomes are published all the same, and nobody listens."""

_ids = Snowflake(lambda: WORKER)


def records(members: Mapping[int, Sequence[User]], count: int) -> dict[int, list[tuple[bytes, bytes]]]:
    """Keys and values by partition: messages into these rooms, by their members in turn."""
    made: dict[int, list[tuple[bytes, bytes]]] = defaultdict(list)
    rooms = list(members.items())
    for number in range(count):
        room, people = rooms[number % len(rooms)]
        author = people[number // len(rooms) % len(people)].user_id
        made[partition_of(room)].append((key_of(room), _record(room, author)))
    return made


def _record(room: int, author: int) -> bytes:
    request = uuid.uuid4()
    event = RoomEvent(room_id=room, actor_user_id=author, request_id=str(request))
    message = event.message_created.message
    message.sender_user_id, message.text = author, TEXT
    digest = hashlib.sha256(event.SerializeToString()).digest()[:16]
    message.message_id = _ids.next()
    return LogRecord(
        room_id=room,
        sender_user_id=author,
        request_id=request.bytes,
        body_hash=digest,
        event=event.SerializeToString(),
    ).SerializeToString()


def batched(
    made: Mapping[int, Sequence[tuple[bytes, bytes]]], create: Callable[[], Any]
) -> Iterator[tuple[int, Any]]:
    """Full batches of a producer, with their partitions, each partition's in order."""
    correlation = 0
    for partition, rows in made.items():
        batch = create()
        for key, value in rows:
            correlation += 1
            headers = [("reply_to", REPLY_TO), ("correlation", correlation.to_bytes(8, "big"))]
            if batch.append(timestamp=None, key=key, value=value, headers=headers) is None:
                yield partition, batch
                batch = create()
                batch.append(timestamp=None, key=key, value=value, headers=headers)
        yield partition, batch
