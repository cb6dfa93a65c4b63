"""`./scripts/test`: checks of the code first, then every test, the browser's included."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
CHECKED = ("chassis", "discovery", "edge", "scripts", "services", "sdk/python", "tests", "bench")
FAST = ("tests/unit", "tests/architecture", "tests/conformance")


@dataclass(frozen=True)
class Step:
    """A command to run from the repository's root, and what it is for."""

    what: str
    command: Sequence[str | Path]


def checks() -> list[Step]:
    """What reads the code and runs none of it."""
    folders = [folder for folder in CHECKED if (ROOT / folder).exists()]
    return [
        Step("lint", (BIN / "ruff", "check", *folders)),
        Step("format", (BIN / "ruff", "format", "--check", "--quiet", *folders)),
        Step("types", (BIN / "mypy", *folders)),
        Step("layers", (BIN / "lint-imports",)),
        Step("contract", (sys.executable, "-m", "scripts.proto", "check")),
    ]


def chromium() -> list[Step]:
    """Installs the browser of the browser tests where that is ours to do: as root on Debian."""
    if shutil.which("chromium") or not shutil.which("apt-get") or os.geteuid() != 0:
        return []
    install = ("apt-get", "install", "--yes", "--quiet", "--no-install-recommends", "chromium")
    return [
        Step("package lists", ("apt-get", "update", "--quiet")),
        Step("chromium", ("env", "DEBIAN_FRONTEND=noninteractive", *install)),
    ]


def main() -> int:
    """Runs the steps in order and stops at the first that fails; its exit code is ours."""
    parser = argparse.ArgumentParser(prog="./scripts/test", description=__doc__)
    parser.add_argument("--fast", action="store_true", help="only what needs no real parts")
    parser.add_argument("--long", action="store_true", help="also what takes minutes each, hours in all")
    parser.add_argument("--no-checks", action="store_true", help="leave out lint, types and layers")
    parser.add_argument("pytest", nargs="*", help="handed to pytest, after `--`; default: every test")
    arguments = parser.parse_args()
    chosen = arguments.pytest or (FAST if arguments.fast else ("tests",))
    every = ("-m", "long or not long") if arguments.long else ()
    tests = Step("tests", (sys.executable, "-m", "pytest", "--durations=15", *every, *chosen))
    steps = [*([] if arguments.no_checks else checks()), *([] if arguments.fast else chromium()), tests]
    for step in steps:
        print(f"==> {step.what}", flush=True)
        started = time.monotonic()
        code = subprocess.run([str(word) for word in step.command], cwd=ROOT, check=False).returncode
        print(f"    {step.what}: {time.monotonic() - started:.0f} s", flush=True)
        if code != 0:
            print(f"{step.what} failed ({code})", file=sys.stderr)
            return code
    return 0


if __name__ == "__main__":
    sys.exit(main())
