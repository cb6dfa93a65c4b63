"""Generates Python stubs and one descriptor set from `proto/`, the same bytes every time."""

import filecmp
import shutil
import subprocess
import sys
from importlib.resources import files as package_files
from pathlib import Path
from tempfile import TemporaryDirectory

from scripts.proto.tree import DESCRIPTOR_SET, GEN, PROTO, services, sources

ROOTS = ("polychat", "buf", DESCRIPTOR_SET)
"""What in the output folder is ours to replace."""


class ProtocError(Exception):
    """protoc refused the sources; its own words are the message."""


def generate(out: Path = GEN) -> int:
    """Replace the stubs in `out` by fresh ones and return how many `.proto` files they are of.

    Nothing in `out` is touched when protoc fails. Raises ProtocError.
    """
    names = sources()
    with TemporaryDirectory(prefix="polychat-gen-") as scratch:
        fresh = Path(scratch)
        _protoc(fresh, names)
        _replace(fresh, out)
    return len(names)


def drift(out: Path = GEN) -> list[str]:
    """Return files in `out` that `generate` would add, change or remove; none when they are up to date."""
    with TemporaryDirectory(prefix="polychat-gen-") as scratch:
        fresh = Path(scratch)
        _protoc(fresh, sources())
        wanted, found = _listing(fresh), _listing(out)
        changed = {name for name in wanted & found if not _same(fresh / name, out / name)}
        return sorted((wanted ^ found) | changed)


def _same(one: Path, other: Path) -> bool:
    return filecmp.cmp(one, other, shallow=False)


def _protoc(out: Path, names: list[str]) -> None:
    _run(
        names,
        f"--python_out={out}",
        f"--mypy_out=quiet:{out}",
        f"--descriptor_set_out={out / DESCRIPTOR_SET}",
        "--include_imports",
    )
    # only_async: every servicer and every stub here is grpc.aio, and the types should say so.
    _run(services(names), f"--grpc_python_out={out}", f"--mypy_grpc_out=quiet,only_async:{out}")


def _run(names: list[str], *options: str) -> None:
    well_known = package_files("grpc_tools") / "_proto"
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{PROTO}", f"-I{well_known}"]
    command += [f"--plugin=protoc-gen-{name}={_plugin(name)}" for name in ("mypy", "mypy_grpc")]
    done = subprocess.run([*command, *options, *names], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ProtocError(done.stderr.strip())


def _plugin(name: str) -> Path:
    """The plugins of the same environment as this Python, whatever PATH says."""
    return Path(sys.executable).with_name(f"protoc-gen-{name}")


def _replace(fresh: Path, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    wanted, found = _listing(fresh), _listing(out)
    for name in found - wanted:
        (out / name).unlink()
    # What is as it was stays untouched: a process may be importing it.
    for name in (name for name in wanted if name not in found or not _same(fresh / name, out / name)):
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(fresh / name, out / name)


def _listing(folder: Path) -> set[str]:
    found = {path for root in ROOTS for path in [folder / root, *(folder / root).rglob("*")]}
    return {path.relative_to(folder).as_posix() for path in found if path.is_file() and path.suffix != ".pyc"}
