"""The public unary methods, by exact name, from the descriptors. What is not here cannot be reached."""

from __future__ import annotations

from dataclasses import dataclass

from google.protobuf.descriptor import ServiceDescriptor
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

from edge.protocol.errors import MethodNotAllowed, MethodNotFound

BACKENDS = {
    "auth": (auth_service_pb2, session_service_pb2),
    "user": (user_service_pb2, block_service_pb2),
    "chat": (room_service_pb2, membership_service_pb2, messaging_service_pb2, presence_service_pb2),
    "message": (message_service_pb2, receipt_service_pb2),
}

WITHOUT_TOKEN = frozenset(
    f"polychat.auth.v1.AuthService/{name}" for name in ("Register", "Login", "RefreshSession", "GetJwks")
)
NOT_CALLABLE = frozenset({"polychat.edge.v1.EdgeService/Session"})


@dataclass(frozen=True, slots=True)
class Method:
    """One public unary method and the process that has it."""

    name: str
    backend: str
    request: type[Message]
    reply: type[Message]

    @property
    def path(self) -> str:
        """As gRPC spells it."""
        return "/" + self.name

    @property
    def needs_token(self) -> bool:
        """Whether only a user may call it."""
        return self.name not in WITHOUT_TOKEN


def services() -> list[tuple[str, ServiceDescriptor]]:
    """Every public service with the name of its process."""
    return [
        (backend, service)
        for backend, modules in BACKENDS.items()
        for module in modules
        for service in module.DESCRIPTOR.services_by_name.values()
    ]


def _methods() -> dict[str, Method]:
    table = {}
    for backend, service in services():
        for method in service.methods:
            name = f"{service.full_name}/{method.name}"
            table[name] = Method(
                name, backend, GetMessageClass(method.input_type), GetMessageClass(method.output_type)
            )
    return table


METHODS = _methods()


def find(name: str) -> Method:
    """The method of this exact name. Raises MethodNotFound, MethodNotAllowed."""
    method = METHODS.get(name)
    if method is None:
        shown = name[:200]
        raise MethodNotAllowed(method=shown) if name in NOT_CALLABLE else MethodNotFound(method=shown)
    return method
