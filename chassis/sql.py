"""Named SQL: `queries.sql` beside the store, one `-- name: …` block per statement."""

from __future__ import annotations

import re
from importlib import resources

_NAME = re.compile(r"^-- name: (\w+)\s*$", re.MULTILINE)


class Queries:
    """The statements of one file as attributes; an unknown name is an AttributeError at first use."""

    def __init__(self, statements: dict[str, str]) -> None:
        self._statements = statements

    def __getattr__(self, name: str) -> str:
        try:
            return self._statements[name]
        except KeyError:
            raise AttributeError(f"no statement is named {name!r}") from None


def load_queries(package: str, file: str = "queries.sql") -> Queries:
    """Reads the named statements of a file in a package. ValueError when a name occurs twice."""
    text = resources.files(package).joinpath(file).read_text()
    parts = _NAME.split(text)[1:]
    names, bodies = parts[::2], parts[1::2]
    if len(set(names)) != len(names):
        raise ValueError(f"{package}/{file} names a statement twice")
    return Queries(dict(zip(names, (body.strip() for body in bodies), strict=True)))
