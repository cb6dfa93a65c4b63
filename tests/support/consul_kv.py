"""Live settings as an administrator writes them: keys of Consul's KV store."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from tests.support.stack import Stack


@asynccontextmanager
async def live_setting(stack: Stack, service: str, key: str, value: str) -> AsyncIterator[None]:
    """A setting of a service within the block, and none after it; processes follow within a second."""
    url = f"http://{stack.consul_addr}/v1/kv/polychat/{service}/{key}"
    async with httpx.AsyncClient(trust_env=False) as http:
        (await http.put(url, content=value)).raise_for_status()
        try:
            yield
        finally:
            (await http.delete(url)).raise_for_status()
