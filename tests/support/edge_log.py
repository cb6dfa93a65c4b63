"""What stands behind the world of `edge_world`: a room log with its memberships, and access tokens."""

from __future__ import annotations

import time
from collections import defaultdict
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from polychat.event.v1.room_event_pb2 import RoomEvent
from polychat.internal.log.v1 import log_read_service_pb2 as reading
from polychat.internal.log.v1.record_pb2 import EventRecord

KEY = ec.generate_private_key(ec.SECP256R1())
KID = "key-1"


def token(user_id: int, session_id: int | None = None, *, seconds: float = 900, **claims: Any) -> str:
    """An access token as auth makes them."""
    now = int(time.time())
    body = {
        "iss": "polychat",
        "aud": "polychat",
        "sub": str(user_id),
        "sid": str(session_id or user_id * 100),
        "jti": f"{user_id}-{now}",
        "iat": now,
        "nbf": now - 5,
        "exp": int(time.time() + seconds),
        "ver": 1,
        **claims,
    }
    return jwt.encode(body, KEY, algorithm="ES256", headers={"kid": KID, "typ": "at+jwt"})


def public_jwk() -> dict[str, str]:
    """The key that the tokens are signed with."""
    numbers: dict[str, Any] = jwt.algorithms.ECAlgorithm.to_jwk(KEY.public_key(), as_dict=True)
    return {
        "kty": "EC",
        "crv": "P-256",
        "x": numbers["x"],
        "y": numbers["y"],
        "kid": KID,
        "use": "sig",
        "alg": "ES256",
    }


def user_of(access_token: str) -> int:
    """Whose token it is, unchecked."""
    return int(jwt.decode(access_token, options={"verify_signature": False})["sub"])


class RoomLogStore:
    """Rooms, their events and memberships: what message would have."""

    def __init__(self) -> None:
        self.rooms: dict[int, list[EventRecord]] = defaultdict(list)
        self.intervals: dict[tuple[int, int], list[list[int]]] = defaultdict(list)
        self.requests: dict[tuple[int, int, str], int] = {}
        self.read: dict[tuple[int, int], int] = {}
        self.epochs: dict[int, dict[int, int]] = {}
        """By epoch of a restore: the heads that rooms had in the backup."""

    def head(self, room_id: int) -> int:
        """The room's last sequence."""
        return len(self.rooms[room_id])

    def append(
        self, room_id: int, event: RoomEvent, joined: tuple[int, ...] = (), left: tuple[int, ...] = ()
    ) -> EventRecord:
        """Commits an event."""
        event.room_id, event.sequence = room_id, self.head(room_id) + 1
        event.create_time.FromMilliseconds(1_700_000_000_000 + event.sequence)
        record = EventRecord(
            room_id=room_id,
            sequence=event.sequence,
            event=event.SerializeToString(),
            joined_user_ids=joined,
            left_user_ids=left,
        )
        self.rooms[room_id].append(record)
        for user_id in joined:
            self.intervals[room_id, user_id].append([event.sequence, 0])
        for user_id in left:
            self.intervals[room_id, user_id][-1][1] = event.sequence
        return record

    def restore(self, epoch: int, kept: int) -> None:
        """A backup with the first events of every room, as many as `kept`, is all that is left."""
        for records in self.rooms.values():
            del records[kept:]
        self.epochs[epoch] = {room_id: len(records) for room_id, records in self.rooms.items()}

    def joined(self, room_id: int, user_id: int) -> int:
        """First sequence of the present membership; 0: none."""
        intervals = self.intervals.get((room_id, user_id), [])
        return intervals[-1][0] if intervals and intervals[-1][1] == 0 else 0

    def visible(self, room_id: int, user_id: int, sequence: int) -> bool:
        """I5."""
        return any(
            first <= sequence and (last == 0 or sequence <= last)
            for first, last in self.intervals.get((room_id, user_id), [])
        )

    def stretch(self, wanted: reading.LogRange, size: int = 2**20) -> reading.LogStretch:
        """As ReadEvents answers: what the user may see, skips for the rest, about so many bytes."""
        records = self.rooms[wanted.room_id][wanted.after_sequence : wanted.after_sequence + wanted.limit]
        stretch = reading.LogStretch(room_id=wanted.room_id, head_sequence=self.head(wanted.room_id))
        for record in records:
            size -= record.ByteSize()
            if size < 0 and stretch.entries:
                break
            seen = not wanted.user_id or self.visible(wanted.room_id, wanted.user_id, record.sequence)
            last = stretch.entries[-1] if stretch.entries else None
            if seen:
                stretch.entries.add(sequence=record.sequence, to_sequence=record.sequence, event=record)
            elif last is not None and not last.HasField("event"):
                last.to_sequence = record.sequence
            else:
                stretch.entries.add(sequence=record.sequence, to_sequence=record.sequence)
        return stretch

    def rooms_of(self, user_id: int) -> list[reading.UserRoom]:
        """As ListUserRooms answers."""
        return [
            reading.UserRoom(
                room_id=room_id,
                head_sequence=self.head(room_id),
                read_sequence=self.read.get((room_id, user_id), 0),
                unread_count=1,
                joined_sequence=self.joined(room_id, user_id),
                epochs=[
                    reading.RoomEpoch(epoch=epoch, head_sequence=heads[room_id])
                    for epoch, heads in self.epochs.items()
                    if room_id in heads
                ],
            )
            for room_id in list(self.rooms)
            if self.joined(room_id, user_id)
        ]

    def ended_of(self, user_id: int) -> list[reading.EndedMembership]:
        """The same of the memberships that are over."""
        return [
            reading.EndedMembership(room_id=room_id, joined_sequence=first, left_sequence=last)
            for (room_id, user), intervals in self.intervals.items()
            for first, last in intervals
            if user == user_id and last
        ]


def message_event(user_id: int, text: str, request_id: str = "") -> RoomEvent:
    """A `messageCreated`."""
    event = RoomEvent(actor_user_id=user_id, request_id=request_id)
    event.message_created.message.message_id = 1000
    event.message_created.message.sender_user_id = user_id
    event.message_created.message.text = text
    return event
