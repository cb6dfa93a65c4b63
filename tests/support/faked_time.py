"""Wall clocks that a test sets while a process runs: libfaketime, which leaves the monotonic clock alone."""

from __future__ import annotations

import importlib.util
import platform
from collections.abc import Mapping
from pathlib import Path

LIBRARY = Path("vendor/libfaketime/src/libfaketime.so.1")
"""Inside the package `libfaketime`, whose wheel brings it built."""


def built_library() -> Path | None:
    """The library to preload; None where there is none for this machine."""
    spec = importlib.util.find_spec("libfaketime")
    if (
        (platform.system(), platform.machine()) != ("Linux", "x86_64")
        or spec is None
        or not spec.submodule_search_locations
    ):
        return None
    found = Path(spec.submodule_search_locations[0]) / LIBRARY
    return found if found.exists() else None


class FakedTime:
    """The wall clock of one process, right until it is set."""

    def __init__(self, library: Path, stamp: Path) -> None:
        self._library = library
        self._stamp = stamp
        self.jump(0)

    @property
    def environment(self) -> Mapping[str, str]:
        """For the process to start with."""
        return {
            "LD_PRELOAD": str(self._library),
            "FAKETIME_TIMESTAMP_FILE": str(self._stamp),
            # The file is read at every look at the clock.
            "FAKETIME_NO_CACHE": "1",
            # asyncio's clock is another one; it must never step.
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def jump(self, seconds: int) -> None:
        """From now on the clock is this far off; 0 sets it right again."""
        draft = self._stamp.with_suffix(".new")
        draft.write_text(f"{seconds:+d}\n")
        draft.replace(self._stamp)
