"""Finds Consul, or gets it once into the user's cache: Debian's signed package, else a build with Go."""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
from pathlib import Path

from scripts.stack.consul_build import build_consul
from scripts.stack.errors import StackError
from scripts.stack.layout import cache_folder
from scripts.stack.tools import one_at_a_time, run_tool

# The last Debian with Consul; its archive and its key are still published.
SUITE = "bullseye"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")

APT_SETTINGS = """\
Dir::State "{work}/state";
Dir::Cache "{work}/cache";
Dir::Etc::sourcelist "{work}/sources.list";
Dir::Etc::sourceparts "{work}/none";
APT::Sandbox::User "";
Acquire::Languages "none";
"""


async def consul_binary() -> Path:
    """The program: on PATH, in the cache, unpacked from Debian's package (3 s), or built (3 to 5 min)."""
    if found := shutil.which("consul"):
        return Path(found)
    folder = cache_folder() / f"consul-{platform.machine()}"
    async with one_at_a_time(folder.with_suffix(".lock")):
        if not (folder / "consul").exists():
            await _get(folder)
    return folder / "consul"


async def _get(folder: Path) -> None:
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        work = Path(scratch)
        try:
            draft = await _unpack_debian_package(work)
        except StackError as no_package:
            draft = await _build(work, no_package)
        _keep(draft, folder)


def _keep(draft: Path, folder: Path) -> None:
    """Move the finished program into the cache; what is there is always whole."""
    folder.mkdir(exist_ok=True)
    draft.rename(folder / "consul")


async def _build(work: Path, no_package: StackError) -> Path:
    try:
        return await build_consul(work)
    except StackError as no_build:
        raise StackError(
            "Consul is not on PATH and could not be had. Install it, or name a running agent in "
            "POLYCHAT_CONSUL_ADDR.\n"
            f"{no_package}\n{no_build}"
        ) from no_build


async def _unpack_debian_package(work: Path) -> Path:
    """Download with the system's apt and its keys, but a state of our own: no root, nothing installed."""
    _write_apt_settings(work)
    env = os.environ | {"APT_CONFIG": str(work / "apt.conf")}
    await run_tool(("apt-get", "update", "-q"), what="read Debian's package list", cwd=work, env=env)
    await run_tool(("apt-get", "download", "consul"), what="download Debian's consul", cwd=work, env=env)
    await run_tool(("dpkg-deb", "-x", _downloaded(work), "unpacked"), what="unpack consul", cwd=work)
    return work / "unpacked" / "usr" / "bin" / "consul"


def _downloaded(work: Path) -> Path:
    """The package in `work`; apt names the file by its version."""
    (package,) = work.glob("consul_*.deb")
    return package


def _write_apt_settings(work: Path) -> None:
    if None in map(shutil.which, ("apt-get", "dpkg-deb")) or not KEYRING.exists():
        raise StackError("There is no apt with Debian's keys here.")
    for folder in ("state/lists/partial", "cache/archives/partial", "unpacked"):
        (work / folder).mkdir(parents=True)
    (work / "sources.list").write_text(f"deb [signed-by={KEYRING}] {_debian_mirror()} {SUITE} main\n")
    (work / "apt.conf").write_text(APT_SETTINGS.format(work=work))


def _debian_mirror() -> str:
    """The address this machine already gets Debian from."""
    sources = Path("/etc/apt")
    texts = [path.read_text() for path in (sources / "sources.list.d").glob("*") if path.is_file()]
    if (sources / "sources.list").exists():
        texts.append((sources / "sources.list").read_text())
    mirror = mirror_in("\n".join(texts))
    if mirror is None:
        raise StackError("apt has no Debian source configured.")
    return mirror


def mirror_in(sources: str) -> str | None:
    """The first address of a Debian archive (never of its security updates) in apt's source files."""
    for line in sources.splitlines():
        if not line.startswith(("deb ", "URIs:")):
            continue
        for word in line.split():
            if word.startswith(("http://", "https://")) and word.rstrip("/").endswith("/debian"):
                return word
    return None
