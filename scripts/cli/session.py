"""What the commands that sign in share: where the server is, who one is, and how errors are told."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine
from typing import Annotated, Any

import typer
from polychat_sdk import PolychatError

UNREACHABLE = 3
NOT_ALLOWED = 4
DEFAULT_URL = "http://localhost:8080"

Url = Annotated[str, typer.Option("--url", envvar="POLYCHAT_URL", help="Where the edge answers HTTP.")]
User = Annotated[str, typer.Option("--user", "-u", envvar="POLYCHAT_USER", help="Your user name.")]
Password = Annotated[
    str,
    typer.Option(
        "--password",
        envvar="POLYCHAT_PASSWORD",
        prompt=True,
        hide_input=True,
        help="Better in the environment or at the prompt than on the command line.",
    ),
]


def finish(work: Coroutine[Any, Any, None]) -> None:
    """Runs a command to its end; an error becomes a sentence and an exit code.

    3: unreachable, 4: not allowed, 1: anything else.
    """
    try:
        asyncio.run(work)
    except PolychatError as error:
        typer.echo(printable(f"{error.reason}: {error.message}"), err=True)
        if error.code == "UNAVAILABLE":
            typer.echo("Is it running? `polychat status` tells; --url says where to look.", err=True)
            raise typer.Exit(UNREACHABLE) from error
        denied = error.code in ("UNAUTHENTICATED", "PERMISSION_DENIED")
        raise typer.Exit(NOT_ALLOWED if denied else 1) from error
    except KeyboardInterrupt:
        sys.exit(130)


def printable(text: str) -> str:
    """Without control characters: what others write must not steer this terminal."""
    return "".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in text)
