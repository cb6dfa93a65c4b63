"""`polychat config`: what processes are told, checked before they are."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated

import typer
from pydantic import BaseModel, ValidationError

from chassis.config import ProcessSettings
from discovery.agent import ConsulAway, KeyValue, open_agent
from discovery.live_settings import problem_of
from edge.config import EdgeLiveSettings, EdgeSettings
from scripts.cli.session import UNREACHABLE
from scripts.stack.commands import DEFAULT_DATA
from services.auth.config import AuthLiveSettings, AuthSettings
from services.chat.config import ChatLiveSettings, ChatSettings
from services.message.config import MessageLiveSettings, MessageSettings
from services.user.config import UserLiveSettings, UserSettings

PROCESSES: Mapping[str, type[ProcessSettings]] = {
    "auth": AuthSettings,
    "user": UserSettings,
    "chat": ChatSettings,
    "message": MessageSettings,
    "edge": EdgeSettings,
}
LIVE: Mapping[str, type[BaseModel]] = {
    "auth": AuthLiveSettings,
    "user": UserLiveSettings,
    "chat": ChatLiveSettings,
    "message": MessageLiveSettings,
    "edge": EdgeLiveSettings,
}
PREFIX = "polychat/"

app = typer.Typer(help="Look at settings.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def config() -> None:
    """Look at settings."""


@app.command()
def check(
    process: Annotated[
        str | None,
        typer.Option(help=f"Check the environment for this process too: {', '.join(PROCESSES)}."),
    ] = None,
    data: Annotated[Path, typer.Option(help="The data folder of a running stack.")] = DEFAULT_DATA,
    consul_addr: Annotated[
        str | None,
        typer.Option(envvar="POLYCHAT_CONSUL_ADDR", help="Where Consul is; default: the stack's."),
    ] = None,
) -> None:
    """Check the live settings in Consul and the environment of a process; 1 when something is wrong.

    Examples:

      polychat config check

      polychat config check --process chat
    """
    problems = [*_environment(process)]
    address = consul_addr or _stacks_consul(data)
    if address is None:
        typer.echo(
            "No Consul to ask: nothing runs on this data folder and POLYCHAT_CONSUL_ADDR is not set.",
            err=True,
        )
        raise typer.Exit(UNREACHABLE)
    try:
        stored = asyncio.run(_stored(address))
    except ConsulAway as error:
        typer.echo(f"Consul at {address} does not answer: {error}", err=True)
        raise typer.Exit(UNREACHABLE) from error
    problems += live_problems(stored)
    for problem in problems:
        typer.echo(problem, err=True)
    if problems:
        raise typer.Exit(1)
    typer.echo(
        f"{len(stored)} live settings in Consul, all good"
        if stored
        else "no live settings: defaults everywhere"
    )


def live_problems(stored: Mapping[str, str]) -> list[str]:
    """What is wrong with live settings, a sentence each; keys are `service/key`."""
    found = []
    for name, value in sorted(stored.items()):
        service, _, key = name.partition("/")
        model = LIVE.get(service)
        if model is None or key not in model.model_fields:
            known = ", ".join(model.model_fields) if model else ", ".join(LIVE)
            found.append(f"{PREFIX}{name}: nobody reads this; there are {known}")
            continue
        why = problem_of(model, key, value.encode())
        if why is not None:
            found.append(f"{PREFIX}{name}: {why} (it is {value!r}; the last good value stays)")
    return found


def _environment(process: str | None) -> Iterator[str]:
    if process is None:
        return
    if process not in PROCESSES:
        yield f"--process {process}: there are {', '.join(PROCESSES)}"
        return
    try:
        PROCESSES[process]()
    except ValidationError as error:
        for item in error.errors(include_input=False, include_url=False):
            variable = "POLYCHAT_" + "__".join(str(part) for part in item["loc"]).upper()
            yield f"{variable}: {item['msg']}" + ("" if variable in os.environ else " (it is not set)")


def _stacks_consul(data: Path) -> str | None:
    try:
        state = json.loads((data / "run" / "state.json").read_text())
    except (OSError, ValueError):
        return None
    return str(state["urls"]["consulAddr"])


async def _stored(address: str) -> dict[str, str]:
    async with open_agent(address, lambda _heard: None) as agent:
        _, keys = await agent.keys(PREFIX, 0, 0)
    return {name: text for name, text in map(_entry, keys) if name.partition("/")[0] != "workers"}


def _entry(item: KeyValue) -> tuple[str, str]:
    return item.key.removeprefix(PREFIX), item.value.decode(errors="replace")
