"""The import contracts of pyproject.toml hold, cover everything, and would notice."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CONFIG = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
ASIDE = {"bench", "deploy", "gen", "sdk", "tests"}
"""Folders outside of the layers: what is generated, what is for clients, for images, for tests."""


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    """The linter on a tree, as CI runs it."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), str(folder / "sdk" / "python")])}
    return subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the code that may be broken."""
    folder = tmp_path_factory.mktemp("tree")
    ignore = shutil.ignore_patterns("__pycache__", "*.pyc")
    for package in CONFIG["root_packages"]:
        source = Path("sdk/python") / package if package == "polychat_sdk" else Path(package)
        shutil.copytree(ROOT / source, folder / source, ignore=ignore)
    shutil.copyfile(ROOT / "pyproject.toml", folder / "pyproject.toml")
    return folder


@pytest.fixture
def slip(tree: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """The tree with one line added to one file, which may be new."""
    path, line = request.param
    file = tree / path
    before = file.read_text() if file.exists() else None
    file.write_text((before or "") + f"\n{line}\n")
    yield tree
    if before is None:
        file.unlink()
    else:
        file.write_text(before)


def test_every_arrow_points_the_right_way() -> None:
    """In the tree as it is."""
    done = lint(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_folder_is_forgotten() -> None:
    """Each folder at the top that holds Python has a layer, or is known to stand aside."""
    listed = subprocess.run(["git", "ls-files", "*.py"], cwd=ROOT, capture_output=True, text=True, check=True)
    found = {file.partition("/")[0] for file in listed.stdout.splitlines()}
    assert found - ASIDE == set(CONFIG["root_packages"]) - {"polychat_sdk"}


def test_every_service_places_its_modules() -> None:
    """A new service needs a contract of its own."""
    services = {f"services.{file.parent.name}" for file in ROOT.glob("services/*/__main__.py")}
    placed = {
        container
        for contract in CONFIG["contracts"]
        if contract.get("exhaustive")
        for container in contract["containers"]
    }
    assert placed == services | {"edge", "discovery", "chassis"}


@pytest.mark.parametrize(
    ("slip", "broken"),
    [
        (("chassis/errors.py", "import discovery.agent"), "arrows point one way"),
        (("services/chat/api.py", "import services.user.domain"), "generated clients only"),
        (("services/chat/domain.py", "import services.chat.use_cases.rooms"), "chat: every module"),
        (("services/chat/cache.py", "x = 1"), "services.chat.cache"),
        (("services/user/use_cases/names.py", "import grpc"), "no gRPC, no protobuf"),
        (("services/message/domain.py", "from chassis import tokens"), "no gRPC, no protobuf"),
        (
            ("services/message/use_cases/receipts.py", "import polychat.chat.v1.room_pb2"),
            "no gRPC, no protobuf",
        ),
        (("services/user/api.py", "import asyncpg"), "only stores"),
        (("edge/protocol/connection.py", "import asyncio"), "no I/O"),
        (("edge/protocol/limits.py", "from chassis import logs"), "no I/O"),
        (("sdk/python/polychat_sdk/errors.py", "import chassis.errors"), "client library stands"),
    ],
    indirect=["slip"],
    ids=lambda value: value if isinstance(value, str) else value[0],
)
def test_a_slip_is_noticed(slip: Path, broken: str) -> None:
    """One wrong import, or one file without a place, and CI is red with the name of the rule."""
    done = lint(slip)
    assert done.returncode == 1, done.stdout
    assert any(broken in line and "KEPT" not in line for line in done.stdout.splitlines()), done.stdout
