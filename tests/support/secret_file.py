"""A secret for settings whose process shows it to nobody."""

from __future__ import annotations

import functools
import secrets
import tempfile
from pathlib import Path


@functools.cache
def any_secret_file() -> Path:
    """A file with a random secret, the same for the whole run."""
    file = Path(tempfile.mkdtemp(prefix="polychat-secret-")) / "internal.credential"
    file.write_text(secrets.token_urlsafe())
    return file
