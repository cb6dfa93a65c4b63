"""A stack to break, and a swarm that sends from the first fault of a module to its last."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from tests.support.fault_table import FaultTable
from tests.support.stack import ATTACH, Stack, running_stack
from tests.support.swarm import Swarm, running_swarm

CLIENTS, ROOMS = 20, 5


@pytest.fixture(scope="session")
def own_stack() -> Iterator[Stack]:
    """A stack that nobody else uses, whatever the environment names: its parts are killed."""
    with pytest.MonkeyPatch.context() as environment:
        environment.delenv(ATTACH, raising=False)
        with running_stack() as running:
            yield running


@pytest_asyncio.fixture(scope="module")
async def swarm(own_stack: Stack) -> AsyncIterator[Swarm]:
    """Is sending."""
    async with running_swarm(own_stack, clients=CLIENTS, rooms=ROOMS) as running:
        running.start_sending()
        yield running


@pytest.fixture(scope="module")
def table() -> Iterator[FaultTable]:
    """Printed when the module is through."""
    made = FaultTable()
    yield made
    print(f"\n{made}")
