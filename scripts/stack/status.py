"""What `status` shows: the state file, unless its writer is gone."""

from __future__ import annotations

import json
from typing import Any

import typer
from rich.console import Console

from scripts.stack import pids
from scripts.stack.board import PartStatus
from scripts.stack.layout import Layout
from scripts.stack.view import part_table


def read_status(layout: Layout) -> dict[str, Any]:
    """The document in state.json; only `state`: "stopped" when no supervisor runs on this data folder."""
    supervisor = pids.alive(layout.run, pids.SUPERVISOR)
    try:
        document: dict[str, Any] = json.loads(layout.state_file.read_text())
    except FileNotFoundError:
        document = {}
    if supervisor is None or document.get("pid") != supervisor:
        return {"state": "stopped", "parts": [], "urls": {}}
    return document


def show_status(document: dict[str, Any], as_json: bool) -> None:
    """Print the document as JSON, or as the table of `up` with the addresses below it."""
    if as_json:
        typer.echo(json.dumps(document, indent=2))
        return
    typer.echo(f"stack {document['state']}")
    if document["parts"]:
        Console().print(part_table(PartStatus(**row) for row in document["parts"]))
    for name in ("http", "grpc", "kafkaBootstrap", "consulAddr"):
        if name in document["urls"]:
            typer.echo(f"{name:<15}{document['urls'][name]}")
