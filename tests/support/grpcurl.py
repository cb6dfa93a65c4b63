"""grpcurl: the one on PATH, or built once with Go into the user's cache."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.support.go_built import go_built

PACKAGE = "github.com/fullstorydev/grpcurl/cmd/grpcurl"
VERSION = "v1.9.3"


async def grpcurl_program() -> Path:
    """The program. Raises StackError when it can neither be found nor built."""
    found = shutil.which("grpcurl")
    return Path(found) if found else await go_built("grpcurl", PACKAGE, VERSION)
