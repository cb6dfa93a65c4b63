"""Arming crash windows (chassis/failpoints.py) in the processes of a running stack, for one life each."""

from __future__ import annotations

import signal
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.eventually import eventually
from tests.support.stack import Stack

FOLDER = "POLYCHAT_FAILPOINTS_DIR"
"""Environment variable that a stack must have been started with."""
SUPERVISOR = "up"
TAKEN_SECONDS = 10.0
FIRED_SECONDS = 20.0


@dataclass(frozen=True)
class Armory:
    """A stack, and the folder that its processes look for their points in."""

    stack: Stack
    folder: Path
    _logged: dict[tuple[str, str], int] = field(default_factory=dict)
    """By part, and name of a log: its bytes when the part was armed last."""

    async def arm(self, part: str, text: str) -> int:
        """Hands points to the process of a part; gives its pid once it has taken them."""
        instance = part if part.startswith("edge-") else f"{part}-1"
        file = self.folder / instance
        file.with_suffix(".new").write_text(text)
        file.with_suffix(".new").rename(file)
        pid = self.stack.pid(part)
        for log in (part, SUPERVISOR):
            self._logged[part, log] = self._log(log).stat().st_size
        self.stack.kill(part, signal.SIGUSR2)

        async def taken() -> bool:
            return not file.exists()

        await eventually(taken, seconds=TAKEN_SECONDS, what=f"{part} taking {text}")
        return pid

    async def fired(self, part: str, point: str) -> None:
        """Waits until a part has come to a point that it was armed with."""

        await self._told(part, part, ("failpoint_reached", point))

    async def killed(self, part: str) -> None:
        """Waits until a part has died of SIGKILL since it was armed, which its supervisor says."""
        await self._told(part, SUPERVISOR, (f"{part} was ended by SIGKILL",))

    async def _told(self, part: str, log: str, words: tuple[str, ...]) -> None:
        async def told() -> bool:
            with self._log(log).open("rb") as file:
                file.seek(self._logged[part, log])
                lines = file.read().decode(errors="replace").splitlines()
            return any(all(word in line for word in words) for line in lines)

        await eventually(told, seconds=FIRED_SECONDS, what=f"{' and '.join(words)} in the log of {log}")

    def _log(self, part: str) -> Path:
        return self.stack.data / "logs" / f"{part}.log"
