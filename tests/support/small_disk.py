"""A small disk that a test fills to the last byte and empties again: a tmpfs, so root is needed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

STUFF_SECONDS = 0.05
"""What a part frees, by a restart for example, is taken from it this soon."""


@dataclass(frozen=True)
class SmallDisk:
    """The place where it is mounted."""

    folder: Path

    @asynccontextmanager
    async def full(self) -> AsyncIterator[None]:
        """No byte is free while the block lasts, whatever others remove."""
        ballast = self.folder / "ballast"
        self._stuff(ballast)
        stuffing = asyncio.create_task(self._keep_stuffing(ballast))
        try:
            yield
        finally:
            stuffing.cancel()
            await asyncio.wait([stuffing])
            ballast.unlink()

    async def _keep_stuffing(self, ballast: Path) -> None:
        while True:
            await asyncio.sleep(STUFF_SECONDS)
            self._stuff(ballast)

    def _stuff(self, ballast: Path) -> None:
        with ballast.open("ab") as file:
            found = os.statvfs(self.folder)
            size = os.fstat(file.fileno()).st_size
            if found.f_bfree:
                with contextlib.suppress(OSError):  # somebody else was faster
                    os.posix_fallocate(file.fileno(), size, found.f_bfree * found.f_frsize)


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[SmallDisk]:
    """A disk of this size at a new folder. Raises PermissionError where we may not mount."""
    folder.mkdir()
    command = ("mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=0755", "tmpfs", str(folder))
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)
    if done.returncode != 0:
        raise PermissionError(f"root, to mount a small disk ({done.stderr.strip()})")
    try:
        yield SmallDisk(folder)
    finally:
        # Lazily: a process that has just ended may still be holding a file.
        subprocess.run(("umount", "--lazy", str(folder)), check=True, timeout=10)
        folder.rmdir()
