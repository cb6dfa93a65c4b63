"""Keeps one entry of this process in Consul: written, written again when forgotten, removed at the end."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from typing import Final

from chassis import logs
from discovery.agent import Agent, ConsulAway, Entry
from discovery.backoff import Backoff

CHECK_INTERVAL: Final = "1s"
DEREGISTER_AFTER: Final = "60s"
"""The least that Consul allows before it removes an entry whose check fails."""
CONFIRM_SECONDS: Final = 3.0
RETRY_FIRST_SECONDS: Final = 0.25
RETRY_MOST_SECONDS: Final = 4.0
"""With CONFIRM_SECONDS: an agent that came back empty has the entry again within 10 s."""

log = logs.get("discovery")


class Registration:
    """One entry. Its id is the instance name, so a restarted instance replaces what it left behind."""

    def __init__(self, agent: Agent, entry: Entry, draining: asyncio.Event) -> None:
        self._agent = agent
        self._entry = entry
        self._draining = draining
        self._written = False

    async def run(self) -> None:
        """Keeps the entry until the process drains, then removes it."""
        backoff = Backoff(RETRY_FIRST_SECONDS, RETRY_MOST_SECONDS)
        away = False
        while not self._draining.is_set():
            try:
                await self._confirm()
            except ConsulAway as error:
                if not away:
                    log.warning("consul_away", registering=self._entry.service, why=str(error))
                away = True
                await self._pause(backoff.next())
                continue
            away = False
            backoff.reset()
            await self._pause(CONFIRM_SECONDS)
        await self.remove()

    async def remove(self) -> None:
        """Takes the entry out of Consul; when Consul is away its check will."""
        if not self._written:
            return
        try:
            await self._agent.deregister(self._entry.instance.name)
        except ConsulAway as error:
            log.warning("not_deregistered", entry=self._entry.service, why=str(error))
        else:
            self._written = False
            log.info("deregistered", entry=self._entry.service)

    async def _confirm(self) -> None:
        if self._written and await self._agent.registered(self._entry.instance.name) == self._entry:
            return
        again, self._written = self._written, True
        await self._agent.register(
            self._entry, check_interval=CHECK_INTERVAL, deregister_after=DEREGISTER_AFTER
        )
        log.info("registered", entry=self._entry.service, port=self._entry.instance.port, again=again)

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._draining.wait()
        except TimeoutError:
            return


async def resolve(host: str) -> str:
    """The IP address of a host name, since a gRPC target holds addresses only. OSError when unknown."""
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        found.sort(key=lambda item: item[0] is not socket.AF_INET)
        return str(found[0][4][0])
