"""What the edge needs from discovery, so that tests can stand in for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

import grpc.aio

from discovery import Instance

Stub = TypeVar("Stub", covariant=True)


class Client(Protocol[Stub]):
    """A service somewhere; `stub` is asked for anew at every call."""

    @property
    def stub(self) -> Stub:
        """The stub on the present channel."""
        ...


class InstanceClient(Protocol):
    """A service of which one instance must be picked."""

    def instances(self) -> Sequence[Instance]:
        """The healthy ones."""
        ...

    def connect(self, instance: Instance) -> grpc.aio.Channel:
        """A channel to exactly this one."""
        ...
