"""A stack to break, a swarm that sends from the first fault of a module to its last, and the fault matrix."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.support.armed import FOLDER, Armory
from tests.support.matrix import Matrix
from tests.support.stack import ATTACH, Stack, running_stack
from tests.support.swarm import Swarm, running_swarm
from tests.support.wanderers import wanderers

CLIENTS, ROOMS, WANDERERS = 20, 5, 3

MATRIX = pytest.StashKey[Matrix]()


def pytest_configure(config: pytest.Config) -> None:
    """One matrix a run."""
    config.stash[MATRIX] = Matrix()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A skipped fault is a row too, with its reason."""
    report = yield
    if report.skipped and isinstance(report.longrepr, tuple):
        reason = str(report.longrepr[2]).removeprefix("Skipped: ")
        item.config.stash[MATRIX].add(item.name, result=f"skipped: {reason}")
    return report


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A run in which a fault was injected and nobody looked at what was lost by it has failed."""
    if session.exitstatus == pytest.ExitCode.OK and session.config.stash[MATRIX].unjudged():
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Prints the matrix after every run that injected something, and what was not judged."""
    lines = list(config.stash[MATRIX].lines())
    if lines:
        terminalreporter.section("fault matrix")
        terminalreporter.write("\n".join(lines) + "\n")
    for fault in config.stash[MATRIX].unjudged():
        terminalreporter.write_line(f"FAILED: nobody judged what was lost by {fault!r}", red=True)


@pytest.fixture
def matrix(pytestconfig: pytest.Config) -> Matrix:
    """Where a test notes what it injected."""
    return pytestconfig.stash[MATRIX]


@pytest.fixture(scope="session")
def failpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the processes of `own_stack` find their failpoints in."""
    return tmp_path_factory.mktemp("failpoints")


@pytest.fixture(scope="session")
def own_stack(failpoints: Path) -> Iterator[Stack]:
    """A stack that nobody else uses, whatever the environment names: its parts are killed."""
    with contextlib.ExitStack() as running:
        with pytest.MonkeyPatch.context() as environment:
            environment.delenv(ATTACH, raising=False)
            environment.setenv(FOLDER, str(failpoints))
            stack = running.enter_context(running_stack())
        yield stack


@pytest.fixture(scope="session")
def armory(own_stack: Stack, failpoints: Path) -> Armory:
    """Arms failpoints in `own_stack`."""
    return Armory(own_stack, failpoints)


@pytest_asyncio.fixture(scope="module")
async def swarm(own_stack: Stack) -> AsyncIterator[Swarm]:
    """Is sending, and others come into its rooms and go again."""
    async with (
        running_swarm(own_stack, clients=CLIENTS, rooms=ROOMS, calls=True) as running,
        wanderers(own_stack, running, count=WANDERERS) as wandering,
    ):
        running.beside.append(wandering)
        running.start_sending()
        yield running
