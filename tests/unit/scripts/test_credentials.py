"""Secrets of a stack, and who gets which of them."""

from pathlib import Path

import pytest

from scripts.stack.credentials import INTERNAL_CREDENTIAL, PAGE_TOKEN_KEY, Credentials, with_login
from scripts.stack.environment import Backing, edge_environment, service_environment
from scripts.stack.layout import SERVICES, Ports
from scripts.stack.provision_postgres import with_database

BACKING = Backing("redis://:r@127.0.0.1:1/0", "127.0.0.1:2", "127.0.0.1:3")


@pytest.fixture
def credentials(tmp_path: Path) -> Credentials:
    """A store in which every role has its login."""
    store = Credentials(tmp_path)
    for service in SERVICES:
        store.write(f"postgres-{service}.dsn", f"postgresql://polychat_{service}:p@127.0.0.1/polychat")
    return store


def test_a_secret_is_made_once_and_private(credentials: Credentials) -> None:
    """The second call gives the same, from a file that only its owner can read."""
    first = credentials.secret("a")
    assert credentials.secret("a") == first != credentials.secret("b")
    assert len(first) >= 43
    assert credentials.path("a").stat().st_mode & 0o777 == 0o600


def test_a_login_with_odd_characters_stays_one_address() -> None:
    """Host, port and options are kept; what would end the password early is quoted."""
    dsn = with_login("postgresql://admin:x@db:5433/postgres?sslmode=disable", "me", "a@b/c", "polychat")
    assert dsn == "postgresql://me:a%40b%2Fc@db:5433/polychat?sslmode=disable"


def test_another_database_with_the_same_login() -> None:
    """With and without a database and options in the given address."""
    assert with_database("postgresql://a:b@h:1/x?y=z", "d") == "postgresql://a:b@h:1/d?y=z"
    assert with_database("postgresql://a:b@h:1", "d") == "postgresql://a:b@h:1/d"


def test_each_service_gets_its_own_login_only(
    credentials: Credentials, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The administrator's login, in the caller's environment for an external server, goes to nobody."""
    monkeypatch.setenv("POLYCHAT_POSTGRES_DSN", "postgresql://admin:nobodys@db/postgres")
    for service in SERVICES:
        env = service_environment(service, Ports(), BACKING, credentials)
        assert env["POLYCHAT_POSTGRES_DSN"].startswith(f"postgresql://polychat_{service}:")
        assert "nobodys" not in "".join(env.values())


def test_an_edge_gets_no_database_no_kafka_no_redis(
    credentials: Credentials, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even when the caller's environment names them for this program."""
    for name in ("POLYCHAT_POSTGRES_DSN", "POLYCHAT_KAFKA_BOOTSTRAP", "POLYCHAT_REDIS_URL"):
        monkeypatch.setenv(name, "elsewhere")
    env = edge_environment(2, Ports(), BACKING, credentials)
    assert "elsewhere" not in env.values()
    assert env["POLYCHAT_INSTANCE"] == "edge-2"
    assert env["POLYCHAT_HTTP_PORT"] == "8080"
    assert env["POLYCHAT_GRPC_PORT"] == "50050"


def test_only_auth_can_open_the_signing_keys(credentials: Credentials) -> None:
    """The others get the internal credential and the key of the page tokens."""
    for service in SERVICES:
        env = service_environment(service, Ports(), BACKING, credentials)
        assert ("POLYCHAT_SIGNING_KEY_SECRET_FILE" in env) == (service == "auth")
        assert env["POLYCHAT_INTERNAL_CREDENTIAL_FILE"] == str(credentials.path(INTERNAL_CREDENTIAL))
        assert env["POLYCHAT_PAGE_TOKEN_KEY_FILE"] == str(credentials.path(PAGE_TOKEN_KEY))


def test_fail_points_pass_through(credentials: Credentials, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault run sets them for every process at once."""
    monkeypatch.setenv("POLYCHAT_FAILPOINTS", "message.after_commit=kill@3")
    assert service_environment("chat", Ports(), BACKING, credentials)["POLYCHAT_FAILPOINTS"]
    assert edge_environment(1, Ports(), BACKING, credentials)["POLYCHAT_FAILPOINTS"]
