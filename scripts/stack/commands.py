"""The command line: `up`, `down` and `status`. The `polychat` command mounts the same functions."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console

from scripts.stack.detach import leave_terminal, start_and_wait
from scripts.stack.down import run_down
from scripts.stack.errors import StackError
from scripts.stack.layout import ROOT, Layout, Ports, Wish
from scripts.stack.status import read_status, show_status
from scripts.stack.view import PlainView, TableView, live_table

DEFAULT_DATA = ROOT / ".polychat"
NOT_RUNNING = 3

Data = Annotated[
    Path, typer.Option("--data", metavar="DIR", help="The folder that holds everything of this stack.")
]

app = typer.Typer(
    help="Start, look at and stop Polychat with all its backing parts.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


def up(
    detached: Annotated[
        bool, typer.Option("--detach", help="Return when everything is ready; it goes on in the background.")
    ] = False,
    data: Data = DEFAULT_DATA,
    http_port: Annotated[int, typer.Option(help="Web page, HTTP and WebSocket.")] = 8080,
    grpc_base_port: Annotated[
        int, typer.Option(help="gRPC: edge here, auth, user, chat, message on the next four.")
    ] = 50050,
    parts_base_port: Annotated[
        int, typer.Option(help="First of 100 ports for backing parts and metrics.")
    ] = 15400,
    edges: Annotated[int, typer.Option(min=1, max=32, help="Edge processes, all on the same ports.")] = 2,
    ephemeral: Annotated[
        bool, typer.Option("--ephemeral", help="Data in a new folder, removed at the end.")
    ] = False,
    parts_only: Annotated[
        bool,
        typer.Option(
            "--parts-only", help="Only PostgreSQL, Redis, Kafka and Consul, made ready for services."
        ),
    ] = False,
    background: Annotated[bool, typer.Option("--background", hidden=True)] = False,
    remove_data: Annotated[bool, typer.Option("--remove-data", hidden=True)] = False,
) -> None:
    """Start everything and keep it running until Ctrl-C; a process that dies is started again.

    \b
    Examples:
      ./scripts/up            in this terminal, with a table
      ./scripts/up --detach   return when ready; ./scripts/down stops it
      ./scripts/up --detach --ephemeral --http-port 9080
      POLYCHAT_POSTGRES_DSN=postgresql://admin:pw@db/postgres ./scripts/up

    POLYCHAT_POSTGRES_DSN (a login that may create roles and databases), POLYCHAT_REDIS_URL,
    POLYCHAT_KAFKA_BOOTSTRAP and POLYCHAT_CONSUL_ADDR name parts that run elsewhere and are used instead of
    our own. POLYCHAT_KAFKA_JVM replaces the options of Kafka's Java (small memory), POLYCHAT_JAVA its
    program.
    """
    try:
        wish = Wish(Ports(http_port, grpc_base_port, parts_base_port), edges, parts_only)
        folder = Path(tempfile.mkdtemp(prefix="polychat-")) if ephemeral else data.absolute()
        layout = Layout(folder)
        if ephemeral:
            # PostgreSQL may run as another user, who must be able to pass through.
            folder.chmod(0o711)
        if detached:
            status = start_and_wait(layout, wish, ephemeral)
            raise typer.Exit(status)
        try:
            _run(layout, wish, background)
        finally:
            if ephemeral or remove_data:
                shutil.rmtree(folder, ignore_errors=True)
    except StackError as error:
        _complain(error)


def _run(layout: Layout, wish: Wish, background: bool) -> None:
    # Here and not above: it brings the clients of all parts, a second that down and status need not wait.
    from scripts.stack.up import run_up

    console = Console()
    if background or not console.is_terminal:
        run_up(layout, wish, PlainView(), lambda: leave_terminal(layout) if background else None)
        return
    with live_table(console) as live:
        run_up(layout, wish, TableView(live), lambda: None)


def _complain(error: StackError) -> NoReturn:
    typer.echo(str(error), err=True)
    raise typer.Exit(1) from error


def down(data: Data = DEFAULT_DATA) -> None:
    """Stop everything that `up` started on a data folder, in order, and what a killed `up` left over.

    Example: ./scripts/down --data other
    """
    try:
        typer.echo(run_down(Layout(data.absolute())))
    except StackError as error:
        _complain(error)


def status(
    data: Data = DEFAULT_DATA,
    as_json: Annotated[bool, typer.Option("--json", help="Print the state file, for programs.")] = False,
) -> None:
    """Show each part, its state, port and pid. Ends with 0 when all are ready, 1 if not, 3 if nothing runs.

    Example: polychat status --json
    """
    document = read_status(Layout(data.absolute()))
    show_status(document, as_json)
    if document["state"] == "stopped":
        raise typer.Exit(NOT_RUNNING)
    raise typer.Exit(0 if document["state"] == "ready" else 1)


def provision(
    secrets: Annotated[
        Path, typer.Option(metavar="DIR", help="Holds postgres-<service>.password for each service.")
    ],
) -> None:
    """Make roles, schemas and topics and migrate, on parts that run elsewhere: the first step in containers.

    \b
    Example:
      POLYCHAT_POSTGRES_DSN=postgresql://admin:pw@db/postgres POLYCHAT_KAFKA_BOOTSTRAP=kafka:9092 \\
        python -m scripts.stack provision --secrets /run/secrets
    """
    from scripts.stack.provision import run_provision

    try:
        run_provision(secrets)
    except StackError as error:
        _complain(error)


for command in (up, down, status, provision):
    app.command()(command)
