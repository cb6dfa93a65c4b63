"""The channel to each service: gRPC's own balancing and health checking over the instances we know.

gRPC Python has no resolver plug-in (grpc/grpc#11685), so the set is the target, `ipv4:a,b,c`, and a
changed set is a new channel. The core shares connections between channels with equal arguments, so
a rebuild does not connect again to the instances that stay.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final, Generic, TypeVar

import grpc
import grpc.aio

from chassis.errors import BackendUnavailable
from chassis.grpc_options import CHANNEL_OPTIONS, STREAM_OPTIONS, Options
from discovery.agent import Instance
from discovery.breaker import Breaker
from discovery.calls import CallInterceptor, Refuse
from discovery.service_config import CORE_CONFIG

SETTLE_SECONDS: Final = 2.0
"""How long a new channel may take to become ready before it replaces the old one anyway."""
LINGER_SECONDS: Final = 2.0
"""How long a replaced channel still takes calls, for callers that took its stub a moment ago."""
GRACE_SECONDS: Final = 15.0
"""How long calls in flight may take on a replaced channel: longer than any deadline of the config."""

READY: Final = grpc.ChannelConnectivity.READY
StubT = TypeVar("StubT")
Start = Callable[[Coroutine[Any, Any, None], str], None]
"""Starts a named task that somebody owns."""

_OPTIONS: Final[Options] = (*CHANNEL_OPTIONS, ("grpc.service_config", CORE_CONFIG))


def target(instances: Sequence[Instance]) -> str:
    """The gRPC target that balances over these instances. ValueError when there are none."""
    if not instances:
        raise ValueError("a gRPC target needs at least one instance")
    addresses = [(ipaddress.ip_address(instance.address), instance.port) for instance in instances]
    if all(address.version == 4 for address, _port in addresses):
        return "ipv4:" + ",".join(f"{address}:{port}" for address, port in addresses)
    # A target has one scheme; among IPv6 ones an IPv4 address is written as mapped (RFC 4291, 2.5.5.2).
    mapped = (
        (f"::ffff:{address}" if address.version == 4 else str(address), port) for address, port in addresses
    )
    return "ipv6:" + ",".join(f"[{address}]:{port}" for address, port in mapped)


class ServiceChannel:
    """The current channel to one service; until an instance was seen, one that refuses every call."""

    def __init__(self, service: str, breaker: Breaker, start: Start) -> None:
        self.service = service
        self.channel = grpc.aio.insecure_channel("ipv4:127.0.0.1:1", interceptors=[Refuse(service)])
        self.instances: tuple[Instance, ...] = ()
        self._seen = False
        self._breaker = breaker
        self._start = start
        self._wanted = asyncio.Event()
        self._replaced = asyncio.Event()

    def use(self, instances: Sequence[Instance]) -> None:
        """Asks for a channel over these instances; `run` brings it."""
        self.instances = tuple(instances)
        self._wanted.set()

    @property
    def ready(self) -> bool:
        """Whether an instance is connected and says that it serves. Asking keeps the channel connected."""
        return self._seen and self.channel.get_state(try_to_connect=True) is READY

    async def wait_ready(self) -> None:
        """Returns when `ready` is true."""
        while not self.ready:
            waits: list[asyncio.Future[Any]] = [asyncio.ensure_future(self._replaced.wait())]
            if self._seen:
                state = self.channel.get_state(try_to_connect=True)
                waits.append(asyncio.ensure_future(self.channel.wait_for_state_change(state)))
            try:
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for wait in waits:
                    wait.cancel()

    async def run(self) -> None:
        """Replaces the channel whenever the set has changed, until cancelled; then closes it."""
        try:
            while True:
                await self._wanted.wait()
                self._wanted.clear()
                await self._switch(target(self.instances))
        finally:
            await self.channel.close()

    async def _switch(self, address: str) -> None:
        interceptors = [CallInterceptor(self.service, self._breaker)]
        fresh = grpc.aio.insecure_channel(address, options=_OPTIONS, interceptors=interceptors)
        if self._seen:
            await _settle(fresh)
        old, self.channel, self._seen = self.channel, fresh, True
        replaced, self._replaced = self._replaced, asyncio.Event()
        replaced.set()
        self._start(_retire(old), f"retire the old channel to {self.service}")


class ServiceClient(Generic[StubT]):
    """Calls one service. Made by `Discovery.client`."""

    def __init__(
        self,
        channel: ServiceChannel,
        stub_type: Callable[[grpc.aio.Channel], StubT],
        preferred: Callable[[], Sequence[Instance]],
    ) -> None:
        self.service = channel.service
        self._channel = channel
        self._stub_type = stub_type
        self._preferred = preferred
        self._made_for: grpc.aio.Channel | None = None
        self._stub: StubT

    @property
    def stub(self) -> StubT:
        """The stub on the current channel. Take it anew for every call: the channel may be replaced.

        Without an instance, and behind an open breaker, a call fails at once with AioRpcError
        UNAVAILABLE, which `chassis.status.from_rpc_error` reads as BACKEND_UNAVAILABLE.
        """
        if self._made_for is not self._channel.channel:
            self._made_for = self._channel.channel
            self._stub = self._stub_type(self._made_for)
        return self._stub

    async def ready(self, timeout: float) -> None:
        """Waits until an instance serves. BackendUnavailable after `timeout` seconds."""
        try:
            async with asyncio.timeout(timeout):
                await self._channel.wait_ready()
        except TimeoutError as error:
            raise BackendUnavailable(self.service) from error

    def instances(self) -> list[Instance]:
        """The instances to choose one from, for a stream: those that Consul last saw passing, if any."""
        return list(self._preferred())

    def connect(self, instance: Instance) -> grpc.aio.Channel:
        """A channel to this one instance for a long stream: bounded, no deadline, no breaker.

        The caller closes it.
        """
        return grpc.aio.insecure_channel(target([instance]), options=(*_OPTIONS, *STREAM_OPTIONS))


async def _settle(channel: grpc.aio.Channel) -> None:
    try:
        async with asyncio.timeout(SETTLE_SECONDS):
            while (state := channel.get_state(try_to_connect=True)) is not READY:
                await channel.wait_for_state_change(state)
    except TimeoutError:
        return


async def _retire(channel: grpc.aio.Channel) -> None:
    try:
        await asyncio.sleep(LINGER_SECONDS)
        await channel.close(GRACE_SECONDS)
    finally:
        await channel.close()
