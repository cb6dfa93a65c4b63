"""Unary calls through the edge over HTTP, one after the other on one connection, timed by the generator."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.world import World
from tests.support.api import User
from tests.support.methods import full_name

SECONDS = 600.0


@dataclass(frozen=True)
class Calls:
    """Every reply must hold `mark` so many times; the first `warm` calls are not counted."""

    method: str
    mark: str
    marks: int
    warm: int


def timed(world: World, calls: Calls, bodies: Sequence[tuple[User, Mapping[str, Any]]]) -> dict[str, Any]:
    """`millis` (p50, p99, max), how many `calls` were counted and `wrong`, and `cpuSeconds` by part."""
    content = {
        "address": world.address,
        "method": full_name(calls.method),
        "warm": calls.warm,
        "mark": calls.mark,
        "marks": calls.marks,
        "calls": [{"token": user.access_token, "body": body} for user, body in bodies],
    }
    path = world.write("calls.json", content)
    before = world.cpu()
    done = subprocess.run([world.load, "calls", path], stdout=subprocess.PIPE, timeout=SECONDS, check=True)
    after = world.cpu()
    cpu = {part: spent - before.get(part, 0.0) for part, spent in after.items()}
    return dict(json.loads(done.stdout)) | {"cpuSeconds": cpu}
