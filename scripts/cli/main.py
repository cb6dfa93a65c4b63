"""`polychat`: start and look at a stack, make users, talk from a terminal."""

from __future__ import annotations

import typer

from scripts.cli import backup, settings, talk, users
from scripts.stack import commands

app = typer.Typer(
    help="Polychat: chat rooms that lose no message.", no_args_is_help=True, rich_markup_mode=None
)
for command in (
    commands.up,
    commands.down,
    commands.status,
    talk.chat,
    talk.tail,
    backup.backup,
    backup.restore,
):
    app.command()(command)
app.add_typer(users.app, name="user")
app.add_typer(settings.app, name="config")


def main() -> None:
    """What the installed `polychat` program runs."""
    app()
