"""docs/reliability.md names tests for its promises: every one of them is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "reliability.md").read_text()
NAMED = sorted(set(re.findall(r"`(tests/[\w/.]+)(?:::(\w+))?`", PAGE)))


@pytest.mark.parametrize(("path", "test"), NAMED)
def test_what_the_page_names_is_there(path: str, test: str) -> None:
    """A promise whose test was renamed or removed is no promise."""
    place = ROOT / path
    assert place.exists()
    assert not test or re.search(rf"^(async )?def {test}\(", place.read_text(), re.MULTILINE)


def test_every_promise_names_a_test() -> None:
    """I1 to I8, and how long things may take."""
    rows = [line for line in PAGE.splitlines() if re.match(r"\| (I\d|[A-Z]{4,}) \|", line)]
    assert len(rows) == 16
    assert all("tests/" in row or "every row" in row for row in rows)
