"""The command line of the launcher, which becomes a part or a short tool under another identity."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from scripts.stack.part import Identity

LAUNCHER = Path(__file__).with_name("launcher.py")


def launched(
    command: Sequence[str], identity: Identity, cwd: Path, death_signal: signal.Signals = signal.SIGKILL
) -> tuple[str, ...]:
    """`command` as `identity`, started in `cwd`; it gets `death_signal` when this process dies."""
    how = (identity, str(death_signal.value), str(os.getpid()), str(cwd))
    return (sys.executable, "-I", "-S", str(LAUNCHER), *how, *command)
