"""Makes the virtual environment of the repository: what `requirements.lock` names, each file by its hash.

Run by scripts/bootstrap with any Python 3.11.4 or newer; it uses the standard library only. Takes a few
milliseconds when the environment is as the lock file says. Two that run at once wait for each other.
"""

import fcntl
import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
LOCK = ROOT / "requirements.lock"
STAMP = VENV / "polychat.stamp"


def main() -> None:
    # This file is the lock: it is always there, and .venv may be removed while another run waits.
    with Path(__file__).open() as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        if not works():
            shutil.rmtree(VENV, ignore_errors=True)
            create()
        wanted = fingerprint()
        if not STAMP.exists() or STAMP.read_text() != wanted:
            print("Installing what requirements.lock names ...", flush=True)
            STAMP.unlink(missing_ok=True)
            install()
            STAMP.write_text(wanted)


def fingerprint() -> str:
    """Where .venv was made, and a text that changes when packages or our entry points have to."""
    content = LOCK.read_bytes() + (ROOT / "pyproject.toml").read_bytes()
    return f"{VENV}\n{hashlib.sha256(content).hexdigest()}\n"


def works() -> bool:
    """Whether .venv is there, was not moved (its programs name their folder), and still has its Python."""
    if STAMP.exists() and STAMP.read_text().splitlines()[0] != str(VENV):
        return False
    try:
        return subprocess.run([PYTHON, "-I", "-S", "-c", ""], check=False).returncode == 0
    except OSError:
        return False


def create() -> None:
    """Make .venv; without the module ensurepip (Debian splits it off) with the pip of this Python."""
    print("Making .venv ...", flush=True)
    if subprocess.run([sys.executable, "-m", "venv", VENV], capture_output=True, check=False).returncode == 0:
        return
    shutil.rmtree(VENV, ignore_errors=True)
    has_pip = subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True, check=False)
    if has_pip.returncode != 0:
        sys.exit("This Python can make no virtual environment: install python3-venv (Debian) and try again.")
    run(sys.executable, "-m", "venv", "--without-pip", VENV)


def install() -> None:
    """Install uv by pip, and by uv, which is several times faster, everything else."""
    uv = VENV / "bin" / "uv"
    if not is_installed(uv):
        requirement = VENV / "uv.lock"
        requirement.write_text(locked("uv"))
        run(*pip(), "install", "--quiet", "--require-hashes", "--no-deps", "-r", requirement)
    run(uv, "pip", "sync", "--quiet", "--python", PYTHON, "--require-hashes", LOCK)
    # The repository itself, as it stands: a change of the code needs no new installation.
    run(uv, "pip", "install", "--quiet", "--python", PYTHON, "--no-deps", "--no-build-isolation", "-e", ROOT)


def pip() -> tuple[str | Path, ...]:
    """pip of the virtual environment, else this Python's, told to work on the virtual environment."""
    own = subprocess.run([PYTHON, "-m", "pip", "--version"], capture_output=True, check=False)
    return (PYTHON, "-m", "pip") if own.returncode == 0 else (sys.executable, "-m", "pip", "--python", PYTHON)


def is_installed(uv: Path) -> bool:
    """Whether uv is there in the locked version."""
    if not uv.exists():
        return False
    answer = subprocess.run([uv, "--version"], capture_output=True, text=True, check=False)
    return answer.stdout.split()[1:2] == [locked("uv").split()[0].partition("==")[2]]


def locked(package: str) -> str:
    """The lines of the lock file about one package: its version and its hashes."""
    lines = LOCK.read_text().splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(f"{package}=="))
    end = start
    while lines[end].endswith("\\"):
        end += 1
    return "\n".join(lines[start : end + 1]) + "\n"


def run(*command: str | Path) -> None:
    """Run a command whose failure, which it explains itself, ends everything."""
    status = subprocess.run(command, check=False).returncode
    if status != 0:
        sys.exit(f"Could not make .venv: {Path(command[0]).name} ended with status {status} (see above).")


if __name__ == "__main__":
    main()
