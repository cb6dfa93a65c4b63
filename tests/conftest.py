"""Fixtures of every tier. Tests that need real parts get them here, started once for the whole run."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator

import pytest
from hypothesis import settings

from chassis.migrate import migrate
from tests.support.stack import Stack, drop_database, make_database, running_stack

settings.register_profile("same", derandomize=True)


def pytest_configure(config: pytest.Config) -> None:
    """Property tests try the same examples each time, and new ones in the long tier."""
    if config.getoption("markexpr") == "not long":
        settings.load_profile("same")


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """The whole product on real parts, shared by every test that only uses it."""
    with running_stack() as running:
        yield running


@pytest.fixture(scope="session")
def parts(request: pytest.FixtureRequest) -> Iterator[Stack]:
    """The four real backing parts; those of `stack` when this run starts one anyway."""
    if any("stack" in getattr(item, "fixturenames", ()) for item in request.session.items):
        yield request.getfixturevalue("stack")
        return
    with running_stack("--parts-only") as running:
        yield running


@pytest.fixture(scope="session")
def postgres_dsn(parts: Stack) -> Iterator[Callable[[str], str]]:
    """Makes a migrated database of a service's own: `postgres_dsn("chat")` gives its DSN."""
    made: list[str] = []
    numbers = itertools.count(1)

    def make(service: str) -> str:
        name = f"test_{service}_{os.getpid()}_{next(numbers)}"
        made.append(name)
        password = parts.secret(f"postgres-{service}.password")
        dsn = make_database(parts.postgres_dsn, name, service, password)
        migrate(dsn, f"services.{service}")
        return dsn

    yield make
    for name in made:
        drop_database(parts.postgres_dsn, name)


@pytest.fixture(scope="session")
def kafka_bootstrap(parts: Stack) -> str:
    """host:port of the real broker."""
    return parts.kafka_bootstrap


@pytest.fixture(scope="session")
def redis_url(parts: Stack) -> str:
    """The real Redis, with its password."""
    return parts.redis_url


@pytest.fixture(scope="session")
def consul_addr(parts: Stack) -> str:
    """host:port of the real Consul agent."""
    return parts.consul_addr
