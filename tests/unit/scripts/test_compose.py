"""docker-compose.yml gives every process what `./scripts/up` gives it."""

import runpy
import sys
from pathlib import Path

import pytest

from scripts.stack.credentials import Credentials
from scripts.stack.environment import Backing, edge_environment, service_environment
from scripts.stack.layout import ROOT, SERVICES, Ports

COMPOSE = (ROOT / "docker-compose.yml").read_text()
BACKING = Backing("redis://:r@127.0.0.1:1/0", "127.0.0.1:2", "127.0.0.1:3")


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that make_secrets.py writes."""
    folder = tmp_path / "made"
    monkeypatch.setattr(sys, "argv", ["make_secrets.py", str(folder)])
    runpy.run_path(str(ROOT / "deploy/image/make_secrets.py"), run_name="__main__")
    return folder


def section(name: str) -> str:
    """The lines of one service, up to the next one."""
    return COMPOSE.partition(f"\n  {name}:\n    <<: *process")[2].partition("\n    <<: ")[0]


def shared() -> str:
    return COMPOSE.partition("x-environment:")[2].partition("\nservices:")[0]


def ours(env: dict[str, str]) -> set[str]:
    return {name for name in env if name.startswith("POLYCHAT_")}


@pytest.mark.parametrize("service", SERVICES)
def test_each_service_gets_every_variable(service: str, made: Path, tmp_path: Path) -> None:
    """From the shared block, its own block, or the file with its logins."""
    store = Credentials(tmp_path)
    store.write(f"postgres-{service}.dsn", "postgresql://a:b@h/polychat")
    wanted = ours(service_environment(service, Ports(), BACKING, store))
    text = shared() + section(service) + (made / f"{service}.env").read_text()
    assert {name for name in wanted if name not in text} == set()


def test_the_edge_gets_every_variable_and_no_login(tmp_path: Path) -> None:
    """It has no file with logins at all."""
    wanted = ours(edge_environment(1, Ports(), BACKING, Credentials(tmp_path)))
    assert {name for name in wanted if name not in shared() + section("edge")} == set()
    assert "env_file" not in section("edge")


def test_every_secret_of_the_file_is_made(made: Path) -> None:
    """Compose refuses to start when one is missing; none is open beyond its folder."""
    named = {
        line.split(".polychat-compose/")[1].rstrip("]")
        for line in COMPOSE.splitlines()
        if ".polychat-compose/" in line and not line.startswith("#")
    }
    assert named <= {path.name for path in made.iterdir()}
    assert len(named) > len(SERVICES)
    assert made.stat().st_mode & 0o077 == 0


def test_secrets_are_never_made_anew(made: Path) -> None:
    """A new password for a database that has the old one would lock everybody out."""
    before = {path.name: path.read_text() for path in made.iterdir()}
    runpy.run_path(str(ROOT / "deploy/image/make_secrets.py"), run_name="__main__")
    assert {path.name: path.read_text() for path in made.iterdir()} == before
