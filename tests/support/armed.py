"""Arming crash windows (chassis/failpoints.py) in the processes of a running stack, for one life each."""

from __future__ import annotations

import signal
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.eventually import eventually
from tests.support.stack import Stack

FOLDER = "POLYCHAT_FAILPOINTS_DIR"
"""Environment variable that a stack must have been started with."""
TAKEN_SECONDS = 10.0
FIRED_SECONDS = 20.0


@dataclass(frozen=True)
class Armory:
    """A stack, and the folder that its processes look for their points in."""

    stack: Stack
    folder: Path
    _logged: dict[str, int] = field(default_factory=dict)
    """Bytes in a part's log when it was armed last."""

    async def arm(self, part: str, text: str) -> int:
        """Hands points to the process of a part; gives its pid once it has taken them."""
        instance = part if part.startswith("edge-") else f"{part}-1"
        file = self.folder / instance
        file.with_suffix(".new").write_text(text)
        file.with_suffix(".new").rename(file)
        pid = self.stack.pid(part)
        self._logged[part] = self._log(part).stat().st_size
        self.stack.kill(part, signal.SIGUSR2)

        async def taken() -> bool:
            return not file.exists()

        await eventually(taken, seconds=TAKEN_SECONDS, what=f"{part} taking {text}")
        return pid

    async def fired(self, part: str, point: str) -> None:
        """Waits until a part has come to a point that it was armed with."""

        async def told() -> bool:
            with self._log(part).open("rb") as log:
                log.seek(self._logged[part])
                lines = log.read().splitlines()
            return any(b"failpoint_reached" in line and point.encode() in line for line in lines)

        await eventually(told, seconds=FIRED_SECONDS, what=f"{part} at {point}")

    def _log(self, part: str) -> Path:
        return self.stack.data / "logs" / f"{part}.log"
