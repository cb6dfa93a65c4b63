"""`polychat user`: accounts."""

from __future__ import annotations

from typing import Annotated

import typer
from polychat_sdk import register

from scripts.cli.session import DEFAULT_URL, Url, finish

app = typer.Typer(help="Make users.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def users() -> None:
    """Make users."""


@app.command()
def add(
    username: Annotated[str, typer.Argument(help="3 to 50 letters, digits, dots, dashes, underscores.")],
    password: Annotated[
        str,
        typer.Option(
            envvar="POLYCHAT_PASSWORD",
            prompt=True,
            confirmation_prompt=True,
            hide_input=True,
            help="8 bytes or more.",
        ),
    ],
    display_name: Annotated[str, typer.Option(help="What others see.")] = "",
    url: Url = DEFAULT_URL,
) -> None:
    """Register a user.

    Example: polychat user add anna
    """
    finish(_add(url, username, password, display_name))


async def _add(url: str, username: str, password: str, display_name: str) -> None:
    tokens = await register(url, username, password, display_name=display_name)
    typer.echo(f"{tokens.user.username} has the user id {tokens.user.user_id}")
    await tokens.close()
