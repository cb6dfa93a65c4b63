"""A stack of whose links each leads through toxiproxy."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from scripts.stack.layout import SERVICES, Ports
from tests.support.free_port import free_block
from tests.support.stack import ATTACH, Stack, running_stack
from tests.support.toxiproxy import Toxiproxy, running_toxiproxy

USES = {
    "auth": ("postgres", "redis"),
    "user": ("postgres",),
    "chat": ("postgres", "redis", "kafka"),
    "message": ("postgres", "redis", "kafka"),
}
BASES = range(22_000, 25_000, 200)
GRPC, HTTP, PROXIES, LISTENERS, PORTS_OF_A_STACK = 110, 120, 130, 170, 180


@dataclass(frozen=True)
class LinkedStack(Stack):
    """Clients reach the edges through the link `client`; `vanishing` is another way to them."""

    ports: Mapping[str, int]
    """By link, where toxiproxy listens."""
    toxiproxy: Toxiproxy

    @property
    def http_url(self) -> str:
        """Through toxiproxy."""
        return f"http://127.0.0.1:{self.ports['client']}"


@dataclass
class _Ways:
    """Ports given out from a block, and what they lead to."""

    base: int
    links: dict[str, tuple[int, int]] = field(default_factory=dict)
    """For toxiproxy: by link, the port listened on and the one led to."""
    file: dict[str, dict[str, int]] = field(default_factory=dict)
    """For POLYCHAT_LINKS."""

    def add(self, link: str, to: int) -> int:
        self.links[link] = (self.base + PROXIES + len(self.links), to)
        return self.links[link][0]


def links_of(base: int) -> _Ways:
    """Every link by its name: `chat-postgres`, `to-chat` (from whoever calls it), `consul`, `client`."""
    ports = Ports(base + HTTP, base + GRPC, base)
    ways = _Ways(base)
    consul = ways.add("consul", ports.consul)
    for number, service in enumerate(SERVICES):
        own = {"consul": consul, "advertise": ways.add(f"to-{service}", ports.grpc(service))}
        if "kafka" in USES[service]:
            own["kafkaListens"] = base + LISTENERS + number
        leads = {"postgres": ports.postgres, "redis": ports.redis, "kafka": own.get("kafkaListens", 0)}
        own |= {part: ways.add(f"{service}-{part}", leads[part]) for part in USES[service]}
        ways.file[service] = own
    ways.file["edge"] = {"consul": consul}
    ways.add("client", ports.http)
    ways.add("vanishing", ports.http)
    return ways


@contextmanager
def linked_stack(folder: Path) -> Iterator[LinkedStack]:
    """A new stack, whatever the environment names, with toxiproxy before it and until after its end."""
    with free_block(BASES, PORTS_OF_A_STACK) as base:
        yield from _linked(folder, base)


def _linked(folder: Path, base: int) -> Iterator[LinkedStack]:
    ways = links_of(base)
    file = folder / "links.json"
    file.write_text(json.dumps(ways.file))
    options = (f"--parts-base-port={base}", f"--grpc-base-port={base + GRPC}", f"--http-port={base + HTTP}")
    with (
        pytest.MonkeyPatch.context() as environment,
        running_toxiproxy(base + PORTS_OF_A_STACK - 1, ways.links, folder / "toxiproxy.log") as toxiproxy,
    ):
        environment.delenv(ATTACH, raising=False)
        environment.setenv("POLYCHAT_LINKS", str(file))
        with running_stack(*options) as running:
            listens = {link: listen for link, (listen, _) in ways.links.items()}
            yield LinkedStack(running.data, listens, toxiproxy)
