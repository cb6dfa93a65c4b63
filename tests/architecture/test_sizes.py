"""Files that fit on a few screens, functions that fit on one."""

from __future__ import annotations

import ast

from tests.support.tracked import read, tracked

FILE_LINES = 300
FUNCTION_LINES = 60
OURS = [path for path in tracked("*.py") if not path.startswith("gen/")]


def long_functions(source: str) -> list[tuple[str, int]]:
    """Name and length of every function that is too long, from its `def` to its last line."""
    functions = (
        n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    sizes = ((f.name, (f.end_lineno or f.lineno) - f.lineno + 1) for f in functions)
    return [(name, lines) for name, lines in sizes if lines > FUNCTION_LINES]


def test_no_file_is_too_long() -> None:
    """A file past the limit holds two things."""
    assert [path for path in OURS if len(read(path).splitlines()) > FILE_LINES] == []


def test_no_function_is_too_long() -> None:
    """Methods and functions inside of functions count as well."""
    found = {path: long_functions(read(path)) for path in OURS}
    assert {path: functions for path, functions in found.items() if functions} == {}


def test_a_long_function_is_noticed() -> None:
    """Wherever it hides."""
    body = "\n".join(["        x = 1"] * FUNCTION_LINES)
    assert long_functions(f"class A:\n    async def f(self):\n{body}\n") == [("f", FUNCTION_LINES + 1)]
    assert long_functions("def f():\n    x = 1\n" * FUNCTION_LINES) == []
