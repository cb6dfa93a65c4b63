"""The page's TypeScript stubs are those of the present protos."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
WEB = ROOT / "web"
PLUGIN = WEB / "node_modules" / ".bin" / "protoc-gen-es"


def contents(folder: Path) -> dict[str, str]:
    """Every file below a folder, by its path in it."""
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def generated(tmp_path: Path) -> Path:
    """What `npm run generate` would write now, somewhere else."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not on PATH")
    if not PLUGIN.exists():
        npm = shutil.which("npm")
        assert npm is not None, "node without npm: install npm"
        subprocess.run([npm, "ci"], cwd=WEB, check=True, capture_output=True, timeout=240)
    template = (WEB / "buf.gen.yaml").read_text().replace("out: src/gen", f"out: {tmp_path / 'gen'}")
    (tmp_path / "buf.gen.yaml").write_text(template)
    path = f"{ROOT / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}"
    command = ["buf", "generate", "--template", str(tmp_path / "buf.gen.yaml")]
    subprocess.run(command, cwd=WEB, check=True, timeout=120, env=os.environ | {"PATH": path})
    return tmp_path / "gen"


def test_the_stubs_are_those_of_the_protos(generated: Path) -> None:
    """A proto that was changed without `npm run generate` fails here."""
    assert contents(WEB / "src" / "gen") == contents(generated)


def test_the_lock_file_names_no_registry() -> None:
    """Packages come from wherever the reader's npm gets them, and are known by their hash."""
    lock = (WEB / "package-lock.json").read_text()
    assert "://" not in "".join(line for line in lock.splitlines() if '"resolved"' in line)
    assert '"integrity"' in lock


def test_versions_are_exact() -> None:
    """No range in package.json: what was tested is what is installed."""
    package = (WEB / "package.json").read_text()
    assert "^" not in package
    assert '"~' not in package
