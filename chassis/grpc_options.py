"""The gRPC core settings that both ends of a connection must agree on, in one place.

Arguments are those of `grpc_types.h` / `channel_arg_names.h`. A client that pings more often than
its server permits is cut off with `too_many_pings`, so both sides are made from the same constants.
"""

from __future__ import annotations

from typing import Final

Options = tuple[tuple[str, int | str], ...]

KEEPALIVE_MILLIS: Final = 4_000
"""How often a silent connection is pinged, with or without calls on it."""
KEEPALIVE_TIMEOUT_MILLIS: Final = 4_000
"""A ping without an answer for this long closes a connection of our own; also its TCP_USER_TIMEOUT. With
KEEPALIVE_MILLIS: who stands still is missed, and that is told, within 10 s."""
PUBLIC_TIMEOUT_MILLIS: Final = 30_000
"""The TCP_USER_TIMEOUT of clients' connections: a slow reader that is well takes some bytes in this time."""
PERMITTED_PING_MILLIS: Final = KEEPALIVE_MILLIS // 2
"""What the server permits: half the client's interval, since pings bunch up on a busy machine."""
MAX_MESSAGE_BYTES: Final = 4 * 1024 * 1024
MAX_METADATA_BYTES: Final = 16 * 1024
"""A token, a trace context and a rich status fit; a peer that ignores it is cut by the interceptor."""
LOOKAHEAD_BYTES: Final = 16 * 1024
MAX_RECONNECT_MILLIS: Final = 3_000
"""The library waits up to 120 s before it tries a restarted server again; healing is due in 30 s."""
NEVER_MILLIS: Final = 2**31 - 1

STREAM_OPTIONS: Final[Options] = (
    # Without the probe and with a small look-ahead a reader that stops holds 24 KiB instead of 6 MiB.
    ("grpc.http2.bdp_probe", 0),
    ("grpc.http2.lookahead_bytes", LOOKAHEAD_BYTES),
)
"""For connections that carry a long stream; on the server for all, since it cannot tell them apart."""

_BOTH_ENDS: Final[Options] = (
    ("grpc.keepalive_time_ms", KEEPALIVE_MILLIS),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_metadata_size", MAX_METADATA_BYTES),
    ("grpc.absolute_max_metadata_size", MAX_METADATA_BYTES),
)

_OURS: Final[Options] = (
    ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_MILLIS),
    # For a ping's answer the library waits this long, 60 s unless told: the one before does not do it.
    ("grpc.http2.ping_timeout_ms", KEEPALIVE_TIMEOUT_MILLIS),
)
"""Between our processes. Not for a client's connection: on a slow link a ping waits behind a large reply."""

_ANY_SERVER: Final[Options] = (
    *_BOTH_ENDS,
    *STREAM_OPTIONS,
    ("grpc.http2.min_ping_interval_without_data_ms", PERMITTED_PING_MILLIS),
)

SERVER_OPTIONS: Final[Options] = (*_ANY_SERVER, *_OURS)
"""For servers that only our own processes call."""

PUBLIC_SERVER_OPTIONS: Final[Options] = (
    *_ANY_SERVER,
    ("grpc.keepalive_timeout_ms", PUBLIC_TIMEOUT_MILLIS),
)
"""For the edge, which clients on any network call."""

CHANNEL_OPTIONS: Final[Options] = (
    *_BOTH_ENDS,
    *_OURS,
    ("grpc.http2.bdp_probe", 0),
    ("grpc.enable_retries", 1),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", MAX_RECONNECT_MILLIS),
    # An idle channel would forget its instances' health and look unready.
    ("grpc.client_idle_timeout_ms", NEVER_MILLIS),
)
"""For unary calls; a channel for a stream adds STREAM_OPTIONS."""
