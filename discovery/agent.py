"""The Consul agent, as much of it as discovery needs; py-consul's exceptions stay in here.

An ACL token, where Consul asks for one, comes from CONSUL_HTTP_TOKEN (py-consul reads it).
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
import consul
import consul.aio
import consul.exceptions

CALL_SECONDS: Final = 2.0
"""A frozen agent must not hold a loop longer than this; a blocking query adds its own wait."""
WAIT_JITTER: Final = 1 / 16
"""Consul lengthens the wait of a blocking query by up to this share of it."""


class ConsulAway(Exception):  # noqa: N818 — a state that callers ride out, not a programming error
    """Consul gave no usable answer: not reachable, no leader, refused, or not understood."""


@dataclass(frozen=True, slots=True, order=True)
class Instance:
    """One process that serves a service: its unique name and where its gRPC port is."""

    name: str
    address: str
    port: int


@dataclass(frozen=True, slots=True)
class Entry:
    """What an instance registers."""

    service: str
    instance: Instance
    meta: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class KeyValue:
    """A key of the KV store; `session` holds its lock, empty when nobody does."""

    key: str
    value: bytes
    session: str
    modify_index: int


class Agent:
    """Asks one agent. Every method raises ConsulAway and nothing else; `heard` is told of every outcome."""

    def __init__(self, client: consul.aio.Consul, heard: Callable[[bool], None]) -> None:
        self._client = client
        self._heard = heard

    async def register(self, entry: Entry, *, check_interval: str, deregister_after: str) -> None:
        """Writes the entry, replacing one of the same instance name, with a gRPC health check."""
        where = f"{entry.instance.address}:{entry.instance.port}"
        check = consul.Check.grpc(where, check_interval, timeout=check_interval, deregister=deregister_after)
        async with self._answered(CALL_SECONDS):
            await self._client.agent.service.register(
                entry.service,
                service_id=entry.instance.name,
                address=entry.instance.address,
                port=entry.instance.port,
                meta=dict(entry.meta),
                check=check,
                replace_existing_checks=True,
            )

    async def registered(self, name: str) -> Entry | None:
        """What the agent knows under this instance name."""
        async with self._answered(CALL_SECONDS):
            found = await self._client.agent.service_definition(name)
            if found is None:
                return None
            instance = Instance(found["ID"], found["Address"], found["Port"])
            return Entry(found["Service"], instance, found["Meta"] or {})

    async def deregister(self, name: str) -> None:
        """Removes the entry; one that is not there is not an error."""
        async with self._answered(CALL_SECONDS):
            await self._client.agent.service.deregister(name)

    async def instances(
        self, service: str, index: int, wait: float
    ) -> tuple[int, list[tuple[Instance, bool]]]:
        """Blocking query: every registered instance and whether all its checks pass."""
        async with self._answered(CALL_SECONDS + wait * (1 + WAIT_JITTER)):
            answer = await self._client.health.service(service, index=index or None, wait=_seconds(wait))
            return int(answer[0]), [_instance(item) for item in answer[1]]

    async def keys(self, prefix: str, index: int = 0, wait: float = 0.0) -> tuple[int, list[KeyValue]]:
        """Blocking query when `index` is given: all keys under the prefix, with their values."""
        async with self._answered(CALL_SECONDS + wait * (1 + WAIT_JITTER)):
            answer = await self._client.kv.get(
                prefix, recurse=True, index=index or None, wait=_seconds(wait), consistency="consistent"
            )
            return int(answer[0]), [_key_value(item) for item in answer[1] or ()]

    async def create(self, key: str, value: bytes) -> bool:
        """Writes a key unless it is there; says whether it was written."""
        async with self._answered(CALL_SECONDS):
            return bool(await self._client.kv.put(key, value, cas=0))

    async def open_session(self, name: str, ttl_seconds: int) -> str:
        """A session that ends when it is not renewed, and with nothing else: not with the agent's health."""
        async with self._answered(CALL_SECONDS):
            return str(await self._client.session.create(name, ttl=ttl_seconds, lock_delay=0, checks=[]))

    async def renew(self, session: str) -> bool:
        """Prolongs a session; False when Consul says that there is no such session."""
        async with self._answered(CALL_SECONDS):
            try:
                await self._client.session.renew(session)
            except consul.NotFound:
                return False
            return True

    async def end_session(self, session: str) -> None:
        """Ends a session and frees what it locked."""
        async with self._answered(CALL_SECONDS):
            await self._client.session.destroy(session)

    async def lock(self, key: str, value: bytes, session: str, *, seen: KeyValue | None) -> bool:
        """Locks and writes a key if it is still as `seen` (None: not there). One transaction."""
        unchanged: dict[str, str | int]
        if seen is None:
            unchanged = {"Verb": "check-not-exists", "Key": key}
        else:
            unchanged = {"Verb": "check-index", "Key": key, "Index": seen.modify_index}
        lock = {"Verb": "lock", "Key": key, "Value": base64.b64encode(value).decode(), "Session": session}
        async with self._answered(CALL_SECONDS):
            try:
                await self._client.txn.put([{"KV": unchanged}, {"KV": lock}])
            except consul.exceptions.ClientError as error:
                if str(error).startswith("409"):
                    return False
                raise
            return True

    async def write_locked(self, key: str, value: bytes, session: str) -> bool:
        """Writes a key that this session holds; False when it does not hold it any more."""
        async with self._answered(CALL_SECONDS):
            return bool(await self._client.kv.put(key, value, acquire=session))

    async def unlock(self, key: str, value: bytes, session: str) -> bool:
        """Writes a last value and gives the lock up."""
        async with self._answered(CALL_SECONDS):
            return bool(await self._client.kv.put(key, value, release=session))

    @asynccontextmanager
    async def _answered(self, seconds: float) -> AsyncIterator[None]:
        try:
            with _translated():
                async with asyncio.timeout(seconds):
                    yield
        except ConsulAway:
            self._heard(False)
            raise
        self._heard(True)


@asynccontextmanager
async def open_agent(address: str, heard: Callable[[bool], None]) -> AsyncIterator[Agent]:
    """An agent at `http://host:port` or `host:port`; opens no connection yet. ValueError on a bad address."""
    parts = urlsplit(address if "//" in address else f"http://{address}")
    if parts.hostname is None or parts.port is None:
        raise ValueError(f"the Consul address {address!r} has no host or port; write http://host:port")
    async with consul.aio.Consul(host=parts.hostname, port=parts.port, scheme=parts.scheme) as client:
        yield Agent(client, heard)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (consul.ConsulException, aiohttp.ClientError, OSError, TimeoutError) as error:
        raise ConsulAway(str(error) or type(error).__name__) from error
    except (KeyError, TypeError, ValueError) as error:
        raise ConsulAway(f"answer not understood: {error!r}") from error


def _seconds(wait: float) -> str:
    return f"{max(1, round(wait * 1000))}ms"


def _instance(item: Mapping[str, Any]) -> tuple[Instance, bool]:
    service = item["Service"]
    address = service["Address"] or item["Node"]["Address"]
    checks: Sequence[Mapping[str, Any]] = item["Checks"]
    passing = all(check["Status"] == "passing" for check in checks)
    return Instance(service["ID"], address, service["Port"]), passing


def _key_value(item: Mapping[str, Any]) -> KeyValue:
    return KeyValue(item["Key"], item["Value"] or b"", item.get("Session", ""), item["ModifyIndex"])
