"""Secrets that are gone although something stored needs them: said, and never made anew."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.stack.credentials import INTERNAL_CREDENTIAL, SIGNING_KEY_SECRET, Credentials
from scripts.stack.errors import StackError
from scripts.stack.layout import Layout, Ports
from scripts.stack.plan import make_plan

ADMIN = "postgres-admin.password"


@pytest.fixture(autouse=True)
def own_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """No server elsewhere."""
    monkeypatch.delenv("POLYCHAT_POSTGRES_DSN", raising=False)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """An empty data folder."""
    made = Layout(tmp_path)
    made.make()
    return made


def plan(layout: Layout) -> None:
    make_plan(layout, Ports(), edges=1, parts_only=True)


def start_once(layout: Layout) -> None:
    """What a first start leaves: secrets, a database, and the passwords of its roles."""
    plan(layout)
    database = layout.data / "postgres" / "data"
    database.mkdir(parents=True)
    (database / "PG_VERSION").write_text("18\n")
    Credentials(layout.secrets).role_password("auth")


def test_a_new_folder_gets_its_secrets(layout: Layout) -> None:
    """And a second start finds them."""
    start_once(layout)
    before = {path.name: path.read_text() for path in layout.secrets.iterdir()}
    assert {ADMIN, SIGNING_KEY_SECRET, INTERNAL_CREDENTIAL} <= set(before)
    plan(layout)
    assert {path.name: path.read_text() for path in layout.secrets.iterdir()} == before


def test_a_first_start_that_was_killed_goes_on(layout: Layout) -> None:
    """Before the database was made, no secret is missed."""
    plan(layout)
    (layout.secrets / ADMIN).unlink()
    (layout.secrets / SIGNING_KEY_SECRET).unlink()
    plan(layout)
    assert (layout.secrets / ADMIN).exists()


@pytest.mark.parametrize("name", [ADMIN, SIGNING_KEY_SECRET])
def test_a_secret_that_the_database_needs_is_missed(layout: Layout, name: str) -> None:
    """A new one would open nothing; the sentence says which file, and what to do."""
    start_once(layout)
    (layout.secrets / name).unlink()
    with pytest.raises(StackError, match=rf"{name} is gone.*Put it back") as caught:
        plan(layout)
    assert str(layout.secrets) in str(caught.value)
    assert not (layout.secrets / name).exists()


def test_a_secret_that_nothing_stored_needs_is_made_anew(layout: Layout) -> None:
    """All processes that share it start together."""
    start_once(layout)
    (layout.secrets / INTERNAL_CREDENTIAL).unlink()
    plan(layout)
    assert (layout.secrets / INTERNAL_CREDENTIAL).exists()


def test_a_server_elsewhere_needs_no_password_here(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its administrator's login is in the environment."""
    monkeypatch.setenv("POLYCHAT_POSTGRES_DSN", "postgresql://admin:pw@192.0.2.1/postgres")
    start_once(layout)
    plan(layout)
    assert not (layout.secrets / ADMIN).exists()
