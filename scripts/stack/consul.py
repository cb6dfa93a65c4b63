"""Consul: one server agent, on loopback."""

from __future__ import annotations

import asyncio
import json
import os
import urllib.request
from http import HTTPStatus
from http.client import HTTPException
from pathlib import Path
from typing import ClassVar

from scripts.stack.consul_binary import consul_binary
from scripts.stack.errors import NotReadyError
from scripts.stack.layout import Layout, Ports
from scripts.stack.part import Launch, Part

NAME = "consul"
PROBE_SECONDS = 3.0
OFF = -1


class Consul(Part):
    """The embedded agent, or the one that POLYCHAT_CONSUL_ADDR (host:port or http://host:port) names."""

    stop_seconds: ClassVar[float] = 10.0

    def __init__(self, layout: Layout, ports: Ports, external_address: str | None) -> None:
        super().__init__(NAME, None if external_address else ports.consul)
        self._folder = layout.data / NAME
        self._ports = ports
        self._external = external_address is not None
        self._binary: Path | None = None
        self.address = external_address or f"127.0.0.1:{ports.consul}"

    async def fetch(self) -> None:
        if not self._external:
            self._binary = await consul_binary()

    async def prepare(self) -> None:
        if self._external:
            return
        self._folder.mkdir(mode=0o700, exist_ok=True)
        settings = {
            "server": True,
            "bootstrap_expect": 1,
            "node_name": "polychat",
            "data_dir": str(self._folder / "data"),
            "bind_addr": "127.0.0.1",
            "client_addr": "127.0.0.1",
            "ports": {
                "http": self._ports.consul,
                "serf_lan": self._ports.consul_serf,
                "server": self._ports.consul_server,
                "serf_wan": OFF,
                "dns": OFF,
                "grpc": OFF,
            },
            # A leader after one second instead of several: the default is meant for slow networks.
            "performance": {"raft_multiplier": 1},
            "disable_update_check": True,
        }
        (self._folder / "settings.json").write_text(json.dumps(settings, indent=2))

    def launch(self) -> Launch | None:
        if self._external:
            return None
        command = (str(self._binary), "agent", "-config-file", str(self._folder / "settings.json"))
        env = {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(self._folder)}
        return Launch(command, self._folder, env)

    async def probe(self) -> None:
        # A consistent read: only an agent with a leader answers it.
        url = self.address if "//" in self.address else f"http://{self.address}"
        await asyncio.to_thread(http_get, f"{url.rstrip('/')}/v1/catalog/nodes?consistent")


def http_get(url: str) -> None:
    """Return when `url` answers 200; raise NotReadyError with the reason when not."""
    try:
        with urllib.request.urlopen(url, timeout=PROBE_SECONDS) as answer:  # noqa: S310 (always http on loopback or what the person named)
            status = answer.status
    except (OSError, HTTPException) as error:
        raise NotReadyError(f"{url}: {error!r}") from error
    if status != HTTPStatus.OK:
        raise NotReadyError(f"{url} answered {status}")
