"""What `polychat backup` does: everything of one instant into one place, and that read back."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from scripts.backup.archive import checked, files_in, new_backup, write_private
from scripts.backup.database import dump, one_instant, readable
from scripts.backup.manifest import NAME, Manifest, measured
from scripts.backup.settings import NAME as SETTINGS
from scripts.backup.settings import read_settings
from scripts.stack.credentials import INTERNAL_CREDENTIAL, PAGE_TOKEN_KEY, SIGNING_KEY_SECRET
from scripts.stack.errors import StackError
from scripts.stack.layout import Layout

SECRETS = "secrets"

# Without the first nobody could sign in with the keys in the database; logins of roles are made anew.
KEPT_SECRETS = (SIGNING_KEY_SECRET, PAGE_TOKEN_KEY, INTERNAL_CREDENTIAL)

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Source:
    """What is backed up: an administrator's login, Consul's address, the folder of the secrets."""

    dsn: str
    consul: str
    secrets: Path


def source_of(layout: Layout) -> Source:
    """What runs on a data folder; raise StackError when nothing does."""
    try:
        state = json.loads(layout.state_file.read_text())
        dsn = (layout.secrets / "postgres-admin.dsn").read_text().strip()
        return Source(dsn, str(state["urls"]["consulAddr"]), layout.secrets)
    except (OSError, ValueError, KeyError) as error:
        raise StackError(
            f"Nothing can be backed up from {layout.data}: {error}. Name the folder of a running stack with "
            "--data, or start it with ./scripts/up."
        ) from error


def run_backup(source: Source, to: Path, say: Say) -> Manifest:
    """Write a backup to `to`, a folder or a .tar, while everything runs; raise StackError when it failed."""
    with new_backup(to) as folder:
        asyncio.run(_fill(source, folder, say))
        manifest = checked(folder)
    say("read back: every checksum is right, and the dump can be decoded")
    return manifest


async def _fill(source: Source, folder: Path, say: Say) -> None:
    write_private(folder / SETTINGS, await read_settings(source.consul))
    (folder / SECRETS).mkdir(mode=0o700)
    for name in KEPT_SECRETS:
        try:
            write_private(folder / SECRETS / name, (source.secrets / name).read_bytes())
        except FileNotFoundError as error:
            raise StackError(f"{source.secrets / name} is gone: a backup without it is of no use.") from error
    async with one_instant(source.dsn) as instant:
        say(", ".join(f"{count} {name}" for name, count in instant.counts.items()))
        await dump(source.dsn, instant, folder)
    await readable(folder)
    files = {}
    for name, path in files_in(folder):
        with path.open("rb") as file:
            files[name] = measured(file)
            os.fsync(file.fileno())
    manifest = Manifest(
        create_time=datetime.now(UTC).isoformat(timespec="seconds"),
        product=version("polychat"),
        postgres=instant.postgres,
        schemas=instant.schemas,
        counts=instant.counts,
        files=files,
    )
    write_private(folder / NAME, manifest.encode())
