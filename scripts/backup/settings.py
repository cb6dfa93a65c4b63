"""The live settings of a backup: what Consul's KV holds for processes, without what processes keep there."""

from __future__ import annotations

import json
from collections.abc import Mapping

from discovery.agent import ConsulAway, open_agent
from scripts.stack.errors import StackError

NAME = "settings.json"
PREFIX = "polychat/"

# Leases of worker ids belong to processes that live now.
WORKERS = PREFIX + "workers/"


async def read_settings(address: str) -> bytes:
    """All live settings as JSON, key to text. Raises StackError."""
    try:
        async with open_agent(address, lambda _heard: None) as agent:
            _, keys = await agent.keys(PREFIX)
    except (ConsulAway, ValueError) as error:
        raise StackError(f"Could not read the live settings from Consul at {address}: {error}") from error
    found = {key.key: key.value.decode() for key in keys if not key.key.startswith(WORKERS)}
    return (json.dumps(found, indent=2, sort_keys=True) + "\n").encode()


async def write_settings(address: str, content: bytes) -> list[str]:
    """Put live settings where there are none; give the keys that are there already with another value.

    Raises StackError.
    """
    wanted: Mapping[str, str] = json.loads(content)
    try:
        async with open_agent(address, lambda _heard: None) as agent:
            _, keys = await agent.keys(PREFIX)
            present = {key.key: key.value.decode(errors="replace") for key in keys}
            for key, value in wanted.items():
                await agent.create(key, value.encode())
    except (ConsulAway, ValueError) as error:
        raise StackError(f"Could not write the live settings to Consul at {address}: {error}") from error
    return [key for key, value in wanted.items() if present.get(key, value) != value]
