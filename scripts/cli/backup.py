"""`polychat backup` and `polychat restore`: take everything away, and put it back."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from scripts.stack.commands import DEFAULT_DATA
from scripts.stack.errors import StackError
from scripts.stack.layout import Layout, Ports

Data = Annotated[Path, typer.Option("--data", metavar="DIR", help="The data folder of the stack.")]
PartsBasePort = Annotated[
    int, typer.Option(help="First of 100 free ports for PostgreSQL and the others while it works.")
]


def backup(
    to: Annotated[
        Path, typer.Option("--to", metavar="PLACE", help="A new folder, or a new file that ends in .tar.")
    ],
    data: Data = DEFAULT_DATA,
) -> None:
    """Take a backup of a running stack; nothing waits for it.

    Everything of one instant: the database (users, rooms, messages, receipts, sessions), the live settings
    and the three keys that it cannot be used without. It is read back and every checksum compared before
    the command ends. Nothing else is in it: Kafka, Redis and Consul are made new by a restore.

    Whoever can read a backup can read every message and sign in as anybody: folders have mode 0700, files
    0600. Encrypt it where it leaves the machine.

    \b
    Examples:
      polychat backup --to /backups/monday
      polychat backup --data other --to monday.tar
    """
    from scripts.backup.take import run_backup, source_of

    def work() -> None:
        manifest = run_backup(source_of(Layout(data.absolute())), to.absolute(), typer.echo)
        size = sum(file.bytes for file in manifest.files.values())
        typer.echo(f"backup of {manifest.create_time} in {to}, {size:,} bytes")

    _tell(work)


def restore(
    place: Annotated[
        Path | None, typer.Option("--from", metavar="PLACE", help="What `polychat backup` wrote.")
    ] = None,
    data: Data = DEFAULT_DATA,
    mark_only: Annotated[
        bool,
        typer.Option(
            "--mark-only",
            help="The database was set back by other means (a snapshot, point-in-time recovery): only begin "
            "the new epoch.",
        ),
    ] = False,
    parts_base_port: PartsBasePort = 15400,
) -> None:
    """Make a new data folder from a backup; ./scripts/up --data DIR then starts it.

    The folder must be new or empty, and after a failure it is gone again. What happened after the backup is
    undone for everyone: clients that had seen more are told to load those rooms again, sessions that are
    newer have to sign in, and records that Kafka still holds are not read.

    POLYCHAT_POSTGRES_DSN and the other variables of ./scripts/up name parts that run elsewhere; that
    PostgreSQL must have no database `polychat`, or an empty one, and no service may run.

    \b
    Examples:
      polychat restore --from /backups/monday --data new
      polychat restore --mark-only --data other
    """
    from scripts.backup.restore import run_mark, run_restore

    def work() -> None:
        layout, ports = Layout(data.absolute()), Ports(parts_base=parts_base_port)
        if mark_only and place is None:
            run_mark(layout, ports, typer.echo)
        elif place is not None and not mark_only:
            run_restore(place.absolute(), layout, ports, typer.echo)
        else:
            raise StackError("Name the backup with --from, or say --mark-only: one of the two.")
        typer.echo(f"start it with ./scripts/up --data {data}")

    _tell(work)


def _tell(work: Callable[[], None]) -> None:
    """Runs a command to its end; an error becomes its sentence and the exit code 1.

    When it is asked to end (SIGTERM, SIGHUP) it clears away as on Ctrl-C.
    """
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
            signal.signal(number, _interrupt)
    try:
        work()
    except StackError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error


def _interrupt(number: int, _frame: object) -> None:
    # Once: the second one would cut the clearing away short.
    signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt
