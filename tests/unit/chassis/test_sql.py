"""Named statements out of a file."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from chassis.sql import Queries, load_queries

PACKAGE = "package_with_queries_of_this_test"


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Queries]]:
    """Loads a text as the `queries.sql` of a package."""
    folder = tmp_path / PACKAGE
    folder.mkdir()
    (folder / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)

    def load(text: str) -> Queries:
        (folder / "queries.sql").write_text(text)
        return load_queries(PACKAGE)

    yield load
    sys.modules.pop(PACKAGE, None)


def test_each_block_is_an_attribute(load: Callable[[str], Queries]) -> None:
    """Without the line of its name, with its comment and its own line breaks."""
    queries = load(
        "-- What this file is about.\n\n-- name: get_room\n-- One room.\nSELECT 1\nFROM room\n\n"
        "-- name: drop_room\nDELETE FROM room;\n"
    )
    assert queries.get_room == "-- One room.\nSELECT 1\nFROM room"
    assert queries.drop_room == "DELETE FROM room;"


def test_a_missing_statement_is_named(load: Callable[[str], Queries]) -> None:
    """A slip in a name is told with the name."""
    with pytest.raises(AttributeError, match="get_rooms"):
        load("-- name: get_room\nSELECT 1\n").get_rooms  # noqa: B018 — asking is the test


def test_a_name_given_twice_stops_the_import(load: Callable[[str], Queries]) -> None:
    """Else one of them would be silently lost."""
    with pytest.raises(ValueError, match="twice"):
        load("-- name: get_room\nSELECT 1\n-- name: get_room\nSELECT 2\n")


@pytest.mark.parametrize("service", ["auth", "user", "chat", "message"])
def test_the_files_of_the_services_load(service: str) -> None:
    """Each of them, with a body under every name."""
    queries = load_queries(f"services.{service}")
    assert queries._statements
    assert all(queries._statements.values())
