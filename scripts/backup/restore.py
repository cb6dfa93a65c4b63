"""What `polychat restore` does: a new data folder from a backup, and what must change before it may run."""

from __future__ import annotations

import asyncio
import fcntl
import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from scripts.backup.archive import flush_folder, opened_backup
from scripts.backup.database import counts, load
from scripts.backup.history import begin_anew
from scripts.backup.log_ends import log_ends
from scripts.backup.manifest import Manifest
from scripts.backup.settings import NAME as SETTINGS
from scripts.backup.settings import write_settings
from scripts.backup.take import KEPT_SECRETS, SECRETS, Say
from scripts.stack import pids
from scripts.stack.credentials import Credentials
from scripts.stack.detach import start_and_wait
from scripts.stack.down import run_down
from scripts.stack.errors import StackError
from scripts.stack.layout import ROOT, SERVICES, Layout, Ports, Wish
from scripts.stack.migrations import run_migrations


def run_restore(place: Path, layout: Layout, ports: Ports, say: Say) -> Manifest:
    """Make the data folder from a backup and leave nothing running; raise StackError when that failed.

    The folder must be new or empty, or of a restore that was killed; after a failure it is gone.
    """
    if layout.data.exists() and any(layout.data.iterdir()) and not layout.restoring.exists():
        running = pids.alive(layout.run, pids.SUPERVISOR)
        raise StackError(
            f"{layout.data} is not empty{f', and a stack runs on it (pid {running})' if running else ''}: "
            "restore into a new folder with --data, or stop what runs (./scripts/down) and move it away."
        )
    with _unfinished(layout, say), opened_backup(place, layout.data) as (folder, manifest):
        say(f"the backup of {manifest.create_time} is whole")
        _expect_known_schemas(manifest)
        layout.make()
        credentials = Credentials(layout.secrets)
        for name in KEPT_SECRETS:
            credentials.write(name, (folder / SECRETS / name).read_text().strip())
        with _parts(layout, ports):
            asyncio.run(_fill(folder, manifest, layout, say))
    return manifest


@contextmanager
def _unfinished(layout: Layout, say: Say) -> Iterator[None]:
    """The data folder is marked until the block has ended well, and removed when it fails.

    What a killed restore left running there is ended, and what it left there removed. Raises StackError when
    another one is at work.
    """
    layout.data.mkdir(mode=0o711, parents=True, exist_ok=True)
    with layout.restoring.open("a") as mark:
        try:
            fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StackError(f"Another restore into {layout.data} is at work: wait for its end.") from None
        if any(path != layout.restoring for path in layout.data.iterdir()):
            say(f"{layout.data} is of a restore that did not end: beginning anew")
            run_down(layout)
            _clear(layout)
        try:
            yield
        except BaseException:
            shutil.rmtree(layout.data, ignore_errors=True)
            raise
        flush_folder(layout.data)
        layout.restoring.unlink()
        flush_folder(layout.data)


def _clear(layout: Layout) -> None:
    for path in layout.data.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path != layout.restoring:
            path.unlink()


def run_mark(layout: Layout, ports: Ports, say: Say) -> None:
    """For a database that was set back by other means: all that a restore does after the loading.

    Raises StackError, also when a stack runs on the data folder.
    """
    if running := pids.alive(layout.run, pids.SUPERVISOR):
        raise StackError(f"A stack runs on {layout.data} (pid {running}): stop it with ./scripts/down first.")
    if layout.restoring.exists():
        raise StackError(f"A restore into {layout.data} has not ended: run it again with --from as before.")
    with _parts(layout, ports):
        asyncio.run(_migrate_and_begin(layout, say, restoring=False))


@contextmanager
def _parts(layout: Layout, ports: Ports) -> Iterator[None]:
    """PostgreSQL, Redis, Kafka and Consul run, made ready for services, and no service does."""
    if start_and_wait(layout, Wish(ports, edges=1, parts_only=True), remove_data=False) != 0:
        raise StackError("The parts did not start; what they printed above says why.")
    try:
        yield
    finally:
        run_down(layout)


async def _fill(folder: Path, manifest: Manifest, layout: Layout, say: Say) -> None:
    dsn = _admin_dsn(layout)
    with tempfile.TemporaryDirectory() as scratch:
        await load(dsn, folder, Path(scratch))
    await _expect_counts(dsn, manifest)
    say(", ".join(f"{count} {name}" for name, count in manifest.counts.items()) + " are back")
    consul = str(json.loads(layout.state_file.read_text())["urls"]["consulAddr"])
    for key in await write_settings(consul, (folder / SETTINGS).read_bytes()):
        say(f"the setting {key} is in Consul already with another value, which stays")
    await _migrate_and_begin(layout, say, restoring=True)


async def _migrate_and_begin(layout: Layout, say: Say, *, restoring: bool) -> None:
    await run_migrations(layout.secrets, restoring=restoring)
    bootstrap = str(json.loads(layout.state_file.read_text())["urls"]["kafkaBootstrap"])
    epoch = await begin_anew(_admin_dsn(layout), await log_ends(bootstrap))
    say(f"the log has epoch {epoch} from now on: clients that saw more are told to load rooms again")


def _admin_dsn(layout: Layout) -> str:
    return (layout.secrets / "postgres-admin.dsn").read_text().strip()


async def _expect_counts(dsn: str, manifest: Manifest) -> None:
    async with await psycopg.AsyncConnection.connect(dsn, connect_timeout=10) as connection:
        found = await counts(connection)
    if found != manifest.counts:
        raise StackError(f"The database is not what was backed up: {found} instead of {manifest.counts}.")


def _expect_known_schemas(manifest: Manifest) -> None:
    for service in SERVICES:
        known = {path.name[:4] for path in (ROOT / "services" / service / "migrations").glob("[0-9]*.py")}
        revision = manifest.schemas.get(service)
        if revision not in known:
            raise StackError(
                f"The backup has revision {revision} of the schema {service}, which {ROOT} does not know: "
                f"restore it with Polychat {manifest.product} or later."
            )
