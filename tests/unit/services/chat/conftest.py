"""The chat end of one edge's link, running."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.support.chat_rig import Rig
from tests.support.chat_world import running


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    """Over a world in memory."""
    made = Rig()
    async with running(made.world.members.run, made.typing.run, made.read):
        yield made
