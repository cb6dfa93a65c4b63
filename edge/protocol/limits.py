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

REPLAY_ROOM = 200
"""Events replayed for one room; past it a `gap`."""

REPLAY_CONNECTION = 5_000
"""Events replayed for one connection; past it a `gap` for each room that is left."""

EARLY_EVENTS = 1_000
"""Events of a room kept while those before them are fetched; past it they are fetched again instead."""
