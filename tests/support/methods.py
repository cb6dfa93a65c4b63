"""Every public method, from the descriptors: what a test calls by its short name, `RoomService/GetRoom`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.protobuf import json_format
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from polychat.auth.v1 import auth_service_pb2, session_service_pb2
from polychat.chat.v1 import (
    membership_service_pb2,
    messaging_service_pb2,
    presence_service_pb2,
    room_service_pb2,
)
from polychat.message.v1 import message_service_pb2, receipt_service_pb2
from polychat.user.v1 import block_service_pb2, user_service_pb2

PUBLIC_FILES = (
    auth_service_pb2,
    session_service_pb2,
    user_service_pb2,
    block_service_pb2,
    room_service_pb2,
    membership_service_pb2,
    messaging_service_pb2,
    presence_service_pb2,
    message_service_pb2,
    receipt_service_pb2,
)


def _methods() -> dict[str, MethodDescriptor]:
    return {
        f"{service.name}/{method.name}": method
        for file in PUBLIC_FILES
        for service in file.DESCRIPTOR.services_by_name.values()
        for method in service.methods
    }


METHODS: Mapping[str, MethodDescriptor] = _methods()
"""By `Service/Method`."""


def full_name(method: str) -> str:
    """`RoomService/GetRoom` → `polychat.chat.v1.RoomService/GetRoom`; what is no method of ours stays."""
    found = METHODS.get(method)
    return method if found is None else f"{found.containing_service.full_name}/{found.name}"


def service_of(method: str) -> str:
    """The process that serves a method: auth, user, chat or message."""
    return full_name(method).split(".")[1]


def request_of(method: str, params: Mapping[str, Any]) -> Message:
    """The request of a method from canonical JSON."""
    message: Message = GetMessageClass(METHODS[method].input_type)()
    return json_format.ParseDict(dict(params), message)


def response_of(method: str, data: bytes) -> dict[str, Any]:
    """A serialized response as canonical JSON."""
    message: Message = GetMessageClass(METHODS[method].output_type)()
    message.ParseFromString(data)
    return dict(json_format.MessageToDict(message))
