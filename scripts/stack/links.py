"""Ways of their own: ports that single processes use instead of the parts' own, such as a proxy's.

POLYCHAT_LINKS names a JSON file, by process (`auth`, `user`, `chat`, `message`, `edge`) and then by link:
`postgres`, `redis`, `kafka` and `consul` are ports on loopback that lead there; `kafkaListens` is a second
port of the broker, for this process alone, which sends its clients to `kafka`; `advertise` is the port at
which others find this process. What is not named goes the straight way.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from scripts.stack.errors import StackError

LINKS = "POLYCHAT_LINKS"

Links = Mapping[str, Mapping[str, int]]


def read_links() -> Links:
    """What the file says; nothing when none is named. Raises StackError when it cannot be read."""
    path = os.environ.get(LINKS)
    if not path:
        return {}
    try:
        found = json.loads(Path(path).read_text())
        return {process: {link: int(port) for link, port in ways.items()} for process, ways in found.items()}
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise StackError(f"{LINKS} names {path}, which cannot be used: {error}") from error


def rerouted(env: dict[str, str], ways: Mapping[str, int]) -> dict[str, str]:
    """The environment of a process with its own ways in it."""
    changed = dict(env)
    for link, variable in (("postgres", "POLYCHAT_POSTGRES_DSN"), ("redis", "POLYCHAT_REDIS_URL")):
        if link in ways and variable in env:
            changed[variable] = _through(env[variable], ways[link])
    for link, variable in (("kafka", "POLYCHAT_KAFKA_BOOTSTRAP"), ("consul", "POLYCHAT_CONSUL_ADDR")):
        if link in ways and variable in env:
            changed[variable] = f"127.0.0.1:{ways[link]}"
    if "advertise" in ways:
        changed["POLYCHAT_ADVERTISE_PORT"] = str(ways["advertise"])
    return changed


def kafka_listeners(links: Links) -> dict[str, tuple[int, int]]:
    """The broker's further listeners by name: the port listened on, and the one that clients are told."""
    return {
        process.upper(): (ways["kafkaListens"], ways["kafka"])
        for process, ways in links.items()
        if "kafkaListens" in ways
    }


def _through(url: str, port: int) -> str:
    parts = urlsplit(url)
    login = parts.netloc.rpartition("@")[0]
    return parts._replace(netloc=f"{login}@127.0.0.1:{port}").geturl()
