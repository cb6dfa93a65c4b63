"""Every bound of the client protocol, with its reason. Times are seconds, sizes are bytes."""

from __future__ import annotations

FRAME_BYTES = 65_536
"""A `hello` with 1,000 cursors fits; told in `welcome.limits.frameBytes`."""

TEXT_BYTES = 16_384
"""As SendMessageRequest.text says; told in `welcome.limits.textBytes`."""

IN_FLIGHT = 32
"""Unanswered requests of one connection; beyond it the edge stops reading."""

FRAGMENTS = 16
"""Pieces of one WebSocket message: more of them are only ever an attack."""

JSON_DEPTH = 32
"""Nesting of a JSON frame, checked before anything recursive reads it."""

MAX_ID = 2**32 - 1
"""Request ids are uint32."""

HELLO_ROOMS = 1_000
"""Cursors in a `hello`, and rooms in a `welcome`."""

RING_EVENTS = 128
"""Encoded events kept for each room: what reconnecting clients miss fits in most cases."""

RING_BYTES = 128 * 1024
"""The same in bytes as they came: 128 usual messages are 90 KiB. Up to four times that with all wires."""

RINGS_BYTES = 32 * 1024 * 1024
"""All rings of a process, counted the same way; a room without a ring is read from the log."""

EVENT_BYTES = 400
"""What an event costs beside its payload: the objects around it."""

REPLAY_ROOM = 200
"""Events replayed for one room; past it a `gap`."""

REPLAY_SLOW = 16
"""Events asked of the log at once for a peer that was slow: 512 KiB at most, mostly a few KiB."""

REPLAY_CONNECTION = 5_000
"""Events replayed for one connection; past it a `gap` for each room that is left."""

EARLY_EVENTS = 1_000
"""Events of a room kept while those before them are fetched; past it they are fetched again instead."""

EARLY_BYTES = 512 * 1024
"""The same in bytes."""

READERS = 10_000
"""Readers of a room whose receipts are compared one by one: 1 MiB at most, in the room with that many."""

EARLY_READERS = 256
"""Readers of a room whose receipts wait for what they read to come by here; those of more are lost."""

PORTION_BYTES = 64 * 1024
"""Events of a tick are handed on in portions of this, so that one peer's share of a tick is no more."""

REPLIES_BYTES = 768 * 1024
"""Unsent bytes past which a slow peer gets no large reply, but an error: it is to take what it has first."""

SMALL_REPLY_BYTES = 4 * 1024
"""Replies up to this size always go to who asked; `IN_FLIGHT` bounds how many."""
