"""Settings in a real Consul's KV store reach a running process; a bad value never does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pydantic import BaseModel, Field

from discovery import LiveSettings, open_discovery
from tests.support.consul import ConsulAgent, own_consul
from tests.support.instances import make_process


class Sending(BaseModel):
    """Settings of these tests."""

    rate: int = Field(5, gt=0)
    level: str = "info"


@pytest.fixture
async def consul(tmp_path: Path) -> AsyncIterator[ConsulAgent]:
    async with own_consul(tmp_path) as agent:
        await agent.start()
        yield agent


class Applied:
    """Subscribes and waits for values."""

    def __init__(self, settings: LiveSettings[Sending]) -> None:
        self._queue: asyncio.Queue[Sending] = asyncio.Queue()
        settings.subscribe(self._queue.put_nowait)

    async def next(self) -> Sending:
        return await asyncio.wait_for(self._queue.get(), 20)


async def test_a_value_written_is_applied_and_a_value_removed_is_the_default_again(
    consul: ConsulAgent,
) -> None:
    async with open_discovery(make_process("chat", "chat-1", consul.address)) as discovery:
        settings = discovery.live_settings(Sending)
        applied = Applied(settings)
        assert settings.value == Sending()
        await consul.put("kv/polychat/chat/rate", "9")
        assert await applied.next() == Sending(rate=9)
        await consul.delete("kv/polychat/chat/rate")
        assert await applied.next() == Sending()


async def test_a_bad_value_keeps_the_last_good_one_and_is_counted(consul: ConsulAgent) -> None:
    """The other key is applied all the same."""
    process = make_process("chat", "chat-1", consul.address)
    async with open_discovery(process) as discovery:
        settings = discovery.live_settings(Sending)
        applied = Applied(settings)
        await consul.put("kv/polychat/chat/rate", "9")
        await applied.next()
        await consul.put("kv/polychat/chat/rate", "-1")
        await consul.put("kv/polychat/chat/level", "debug")
        assert await applied.next() == Sending(rate=9, level="debug")
        rejected = process.metrics.registry.get_sample_value(
            "polychat_chat_settings_rejected_total", {"key": "rate"}
        )
        assert rejected == 1


async def test_consul_away_and_back_empty_keeps_the_values(consul: ConsulAgent) -> None:
    """A wiped store unset nothing; what is written into the new one counts again."""
    async with open_discovery(make_process("chat", "chat-1", consul.address)) as discovery:
        settings = discovery.live_settings(Sending)
        applied = Applied(settings)
        await consul.put("kv/polychat/chat/rate", "9")
        await applied.next()
        consul.kill()
        consul.wipe()
        await consul.start()
        assert settings.value.rate == 9
        await consul.put("kv/polychat/chat/rate", "10")
        assert (await applied.next()).rate == 10


async def test_a_process_that_starts_without_consul_has_the_defaults(tmp_path: Path) -> None:
    async with (
        own_consul(tmp_path) as consul,
        open_discovery(make_process("chat", "chat-1", consul.address)) as discovery,
    ):
        settings = discovery.live_settings(Sending)
        applied = Applied(settings)
        assert settings.value == Sending()
        await consul.start()
        await consul.put("kv/polychat/chat/rate", "9")
        assert (await applied.next()).rate == 9
