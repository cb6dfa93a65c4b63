"""Reflection tells the JSON names, for those who know a service by it alone."""

from __future__ import annotations

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from polychat.edge.v1 import edge_service_pb2

from chassis.reflection import pool_of

SERVICE = edge_service_pb2.DESCRIPTOR.services_by_name["EdgeService"].full_name


def test_every_field_has_its_json_name() -> None:
    """Also those of nested and imported messages."""
    pool = pool_of([SERVICE])
    for name in ("polychat/edge/v1/server_frame.proto", "polychat/chat/v1/room.proto"):
        proto = FileDescriptorProto()
        pool.FindFileByName(name).CopyToProto(proto)
        fields = {field.name: field.json_name for message in proto.message_type for field in message.field}
        assert all(fields.values())
        assert fields["room_id"] == "roomId"


def test_the_options_of_fields_stay() -> None:
    """protovalidate's rules are in them."""
    proto = FileDescriptorProto()
    pool_of([SERVICE]).FindFileByName("polychat/edge/v1/client_frame.proto").CopyToProto(proto)
    hello = next(message for message in proto.message_type if message.name == "Hello")
    assert hello.field[0].options.SerializeToString()


def test_the_details_of_errors_can_be_read() -> None:
    """No method names them, and yet every error has them."""
    assert pool_of([SERVICE]).FindMessageTypeByName("google.rpc.ErrorInfo").fields_by_name["reason"]


def test_a_service_that_is_not_loaded_is_an_error() -> None:
    """At start, not when somebody asks."""
    with pytest.raises(KeyError):
        pool_of(["polychat.nothing.v1.NoService"])
