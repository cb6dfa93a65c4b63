"""The passwords of the services' roles, on a server that may have the roles already."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.stack.credentials import Credentials
from scripts.stack.errors import StackError
from scripts.stack.layout import SERVICES
from scripts.stack.provision_postgres import role_passwords
from tests.support.stack import Stack


@pytest.fixture
def store(tmp_path: Path) -> Credentials:
    """An empty folder."""
    return Credentials(tmp_path)


async def test_a_new_folder_gives_the_roles_new_passwords(parts: Stack, store: Credentials) -> None:
    """Also those that another folder had made: whoever starts with a new one means to."""
    passwords = await role_passwords(parts.postgres_dsn, store)
    assert passwords == {service: store.role_password(service) for service in SERVICES}
    assert len(set(passwords.values())) == len(SERVICES)
    assert await role_passwords(parts.postgres_dsn, store) == passwords


@pytest.mark.parametrize("kept", ["postgres-auth.password", "postgres-admin.password"])
async def test_the_lost_password_of_a_role_that_exists_is_missed(
    parts: Stack, store: Credentials, kept: str
) -> None:
    """A new one would lock out whoever still has the old; no file is made."""
    store.write(kept, "kept")
    with pytest.raises(StackError, match=r"postgres-(\w+)\.password is gone.*polychat_\1,.*Put it back"):
        await role_passwords(parts.postgres_dsn, store)
    assert [path.name for path in store.path("").iterdir()] == [kept]


async def test_a_server_that_does_not_answer_is_told(store: Credentials) -> None:
    """As a sentence."""
    store.write("postgres-auth.password", "kept")
    with pytest.raises(StackError, match="Could not look at the roles"):
        await role_passwords("postgresql://postgres:x@127.0.0.1:1/postgres", store)
