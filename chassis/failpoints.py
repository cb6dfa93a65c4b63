"""Crash windows by name, for tests: a process dies, stalls or fails at one exact place of its work.

`POLYCHAT_FAILPOINTS="message.after_commit=kill@3,chat.before_produce=stall(60)"` arms points for the whole
life of a process, and of every process that is started again with the same environment. To arm one life
only, name a folder in `POLYCHAT_FAILPOINTS_DIR`: a process takes the file `<folder>/<its instance>`, with the
same text in it, when it starts and whenever it gets SIGUSR2, and removes it.

Only whoever sets a process's environment can reach this. With neither variable set, a point costs one
look into an empty dict.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from chassis import logs
from chassis.errors import BackendUnavailable

POINTS: Mapping[str, str] = {
    "auth.reserved": "a registration holds its username and has no profile yet",
    "auth.profile_made": "a registration has a profile and its account is not active yet",
    "auth.activated": "a registration is through and nobody was told",
    "chat.before_produce": "records wait in memory and none of this round went to Kafka",
    "chat.after_produce": "the broker has acknowledged a round and chat has not noted it",
    "chat.before_reply": "outcomes of sends are known and the edge is about to be told",
    "chat.outbox_produced": "outbox rows are in the log and not yet marked so",
    "chat.in_drain": "the edges were told to leave and what is pending is waited for",
    "edge.before_sent": "outcomes of sends have come and no client was told",
    "edge.in_drain": "the clients were told to leave",
    "message.before_poll": "nothing in hand; a stall here outlasts max.poll.interval",
    "message.before_commit": "a batch has its sequences and PostgreSQL has not seen it",
    "message.after_commit": "a batch is committed and nobody was told",
    "message.after_publish": "a batch is committed and told",
    "message.before_offset": "commits stand and Kafka's own offsets are behind them",
}
"""What is true at each point, by name; the first part of the name is the process."""

MAX_STALL_SECONDS = 3600.0
GRAMMAR = re.compile(
    r"(?P<name>[a-z_.]+)=(?P<action>kill|error|stall\((?P<seconds>\d+(\.\d+)?)\))(@(?P<hit>[1-9]\d*))?"
)

log = logs.get("failpoints")


@dataclass(slots=True)
class Failpoint:
    """What happens at a point at its n-th hit from now."""

    action: str
    """kill, stall or error."""
    seconds: float
    hits_left: int


def parse(text: str) -> dict[str, Failpoint]:
    """`name=action[@n],…` by name; empty: none. ValueError says what is wrong and which names there are."""
    found: dict[str, Failpoint] = {}
    for item in filter(None, (part.strip() for part in text.split(","))):
        match = GRAMMAR.fullmatch(item)
        if match is None:
            raise ValueError(
                f"{item!r} is not name=action[@n] with an action of kill, error, stall(seconds); {_names()}"
            )
        name, seconds = match["name"], float(match["seconds"] or 0)
        if name not in POINTS:
            raise ValueError(f"there is no point {name!r}; {_names()}")
        if seconds > MAX_STALL_SECONDS:
            raise ValueError(f"{name} stalls for more than {MAX_STALL_SECONDS:.0f} s")
        found[name] = Failpoint(match["action"].partition("(")[0], seconds, int(match["hit"] or 1))
    return found


def _names() -> str:
    return f"the points are {', '.join(POINTS)}"


class FailpointSettings(BaseSettings):
    """What the operator armed, for every process alike."""

    model_config = SettingsConfigDict(env_prefix="POLYCHAT_", extra="ignore")

    failpoints: str = ""
    failpoints_dir: Path | None = None

    @field_validator("failpoints")
    @classmethod
    def _readable(cls, text: str) -> str:
        parse(text)
        return text


_armed: dict[str, Failpoint] = {}


async def reach(
    name: str, failure: Callable[[], Exception] = lambda: BackendUnavailable("failpoint")
) -> None:
    """A place in the code. Does nothing unless it is armed; `failure` makes what `error` raises."""
    if name in _armed:
        await _hit(name, failure)


async def _hit(name: str, failure: Callable[[], Exception]) -> None:
    point = _armed[name]
    point.hits_left -= 1
    if point.hits_left > 0:
        return
    del _armed[name]
    log.warning("failpoint_reached", point=name, action=point.action)
    if point.action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if point.action == "error":
        raise failure()
    await asyncio.sleep(point.seconds)


def arm(process: str, text: str) -> None:
    """Arms those points of a text that belong to this process, beside those armed before. ValueError."""
    mine = {name: point for name, point in parse(text).items() if name.partition(".")[0] == process}
    _armed.update(mine)
    if mine:
        log.warning("failpoints_armed", points=sorted(mine))


def disarm() -> None:
    """Forgets all."""
    _armed.clear()


def arm_from_file(process: str, file: Path) -> None:
    """Arms what a file says, if it is there, and removes it first, so that it counts for one life only.

    ValueError when it cannot be read as failpoints.
    """
    try:
        text = file.read_text()
        file.unlink()
    except FileNotFoundError:
        return
    arm(process, text)


def start(process: str, instance: str, settings: FailpointSettings) -> None:
    """Arms what the settings say, once, before the process does anything. ValueError for a bad file."""
    disarm()
    arm(process, settings.failpoints)
    if settings.failpoints_dir is not None:
        arm_from_file(process, settings.failpoints_dir / instance)


def listen(process: str, instance: str, settings: FailpointSettings) -> None:
    """From now on SIGUSR2 makes the process look for its file again; only when a folder is named."""
    if settings.failpoints_dir is None:
        return
    file = settings.failpoints_dir / instance

    def look() -> None:
        try:
            arm_from_file(process, file)
        except ValueError as error:
            log.error("failpoints_refused", why=str(error))

    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR2, look)
