"""Becomes a part: changes the user, asks to be told of the supervisor's death, then executes the part.

Called as `python -I -S launcher.py IDENTITY SIGNAL PARENT FOLDER COMMAND ...`; it imports nothing of the
project, so that it starts in a few milliseconds. A function between fork and exec would do the same, but is
unsafe in a process with threads. IDENTITY is `self`; `nobody`, for PostgreSQL, which refuses to run as
root; or `mapped`: root seen as `nobody` in a user namespace of its own, for folders that only root can
enter.
"""

import ctypes
import os
import sys
from pathlib import Path

NOBODY = 65534
PR_SET_PDEATHSIG = 1
CLONE_NEWUSER = 0x10000000


def main() -> None:
    identity, death_signal, parent, folder, *command = sys.argv[1:]
    # Loaded before the user changes: afterwards Python's own folder may be closed to it.
    libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
    os.chdir(folder)
    if identity == "nobody":
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    elif identity == "mapped" and libc is not None:
        map_root_to_nobody(libc)
    if libc is not None:
        # After the change of user, which would clear it.
        libc.prctl(PR_SET_PDEATHSIG, int(death_signal))
        if os.getppid() != int(parent):
            sys.exit("the supervisor ended before this part began")
    os.execvp(command[0], command)  # noqa: S606 (no shell is the point)


def map_root_to_nobody(libc: ctypes.CDLL) -> None:
    """Enter a user namespace in which root is called nobody; exit with the reason when the kernel refuses."""
    user, group = os.getuid(), os.getgid()
    if libc.unshare(CLONE_NEWUSER) != 0:
        sys.exit(f"no user namespace: {os.strerror(ctypes.get_errno())}")
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{NOBODY} {user} 1")
    Path("/proc/self/gid_map").write_text(f"{NOBODY} {group} 1")


if __name__ == "__main__":
    main()
