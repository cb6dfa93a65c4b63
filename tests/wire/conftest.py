"""An edge for each module of wire tests that wants one."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.support.edge_client import Here, open_here


@pytest.fixture
async def here() -> AsyncIterator[Here]:
    """A fresh edge with a fresh world."""
    async with open_here() as opened:
        yield opened
