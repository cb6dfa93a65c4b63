"""An idle connection whose peer is gone without a word is noticed by TCP itself."""

from __future__ import annotations

import socket

import pytest

from chassis.grpc_options import KEEPALIVE_TIMEOUT_MILLIS
from chassis.postgres import TCP_USER_TIMEOUT_MILLIS
from tests.support.sockets import asks_the_silent, peer_port, sockets_of
from tests.support.stack import Stack

SILENT_SECONDS = 20

PROCESSES = ("auth", "user", "chat", "message", "edge-1")
"""Kafka's and Consul's clients take no socket options; they ask every few seconds, with deadlines."""


@pytest.mark.parametrize("part", ["postgres", "redis"])
def test_every_connection_to_a_part_has_keepalive(own_stack: Stack, part: str) -> None:
    """Twenty seconds of silence end it, used or not."""
    port, found = own_stack.part(part)["port"], 0
    for process in PROCESSES:
        for end in sockets_of(own_stack.pid(process)):
            if peer_port(end) == port:
                found += 1
                assert asks_the_silent(end, SILENT_SECONDS), f"{process} to {part}"
    assert found


def test_every_connection_bounds_unacknowledged_bytes(own_stack: Stack) -> None:
    """TCP_USER_TIMEOUT on those to PostgreSQL, and between our processes, where gRPC pings as well."""
    bounds = {own_stack.part("postgres")["port"]: TCP_USER_TIMEOUT_MILLIS}
    bounds |= {own_stack.part(name)["port"]: KEEPALIVE_TIMEOUT_MILLIS for name in ("auth", "chat", "message")}
    found = set()
    for process in PROCESSES:
        for end in sockets_of(own_stack.pid(process)):
            if (port := peer_port(end)) in bounds:
                found.add(port)
                limit = end.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
                assert limit == bounds[port], f"{process} to port {port}"
    assert found == bounds.keys()
