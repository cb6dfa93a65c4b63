"""The passwords and keys of one stack: made at the first start, kept in files only their owner can read."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

from scripts.stack.errors import StackError
from scripts.stack.layout import SERVICES

SECRET_BYTES = 32

INTERNAL_CREDENTIAL = "internal.credential"
PAGE_TOKEN_KEY = "page-token.key"  # noqa: S105 (a file name)
SIGNING_KEY_SECRET = "signing-key.secret"  # noqa: S105 (a file name)


class Credentials:
    """Reads and makes the files in `folder`, each mode 0600 and one line long."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, name: str) -> Path:
        return self._folder / name

    def secret(self, name: str) -> str:
        """The secret called `name`, made from the system's random source when it is not there yet."""
        path = self.path(name)
        if not path.exists():
            self.write(name, secrets.token_urlsafe(SECRET_BYTES))
        return path.read_text().strip()

    def kept(self, name: str, what: str, instead: str) -> str:
        """The secret called `name`, which something stored was made with: a new one would not fit.

        Raises StackError when its file is gone; it says `what` it is, and what to do `instead` of putting
        it back.
        """
        if not self.path(name).exists():
            raise StackError(
                f"{self.path(name)} is gone. It is {what}. Put it back from a backup, or {instead}."
            )
        return self.secret(name)

    def write(self, name: str, value: str) -> Path:
        """Put `value` into the file called `name`, whole or not at all."""
        path = self.path(name)
        draft = path.with_name(f".{name}.{os.getpid()}")
        draft.unlink(missing_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(value + "\n")
        draft.replace(path)
        return path

    def role_password(self, service: str) -> str:
        return self.secret(role_password_file(service))

    @property
    def has_logins(self) -> bool:
        """Whether a password of PostgreSQL was ever put here; False in a new folder."""
        return any(self._folder.glob("postgres-*.password"))


def role_password_file(service: str) -> str:
    return f"postgres-{service}.password"


def with_login(dsn: str, user: str, password: str, database: str) -> str:
    """`dsn` with another user, password and database; host, port and options stay."""
    url = urlsplit(dsn)
    host = url.netloc.rpartition("@")[2]
    login = f"{quote(user, safe='')}:{quote(password, safe='')}@{host}"
    return urlunsplit((url.scheme, login, f"/{database}", url.query, ""))


def role_of(service: str) -> str:
    """The PostgreSQL role of a service; each owns one schema of the service's name."""
    if service not in SERVICES:
        raise ValueError(f"{service!r} is no service with a schema")
    return f"polychat_{service}"
