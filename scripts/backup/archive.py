"""A backup on disk: a folder, or one tar file. Written beside its place first, and read back at the end."""

from __future__ import annotations

import fcntl
import os
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scripts.backup.manifest import NAME, Manifest, decode, measured
from scripts.stack.errors import StackError

SUFFIX = ".tar"


@contextmanager
def new_backup(to: Path) -> Iterator[Path]:
    """A folder only its owner may read, to be filled; it becomes `to` when the block ends well.

    Raises StackError when `to` is there already, or another process writes it. What a block that failed has
    written is removed, and what a killed process left is by the next one: there are keys in it.
    """
    if to.exists() and not (to.is_dir() and not any(to.iterdir())):
        raise StackError(f"{to} is there already. Name a new place with --to, or remove that one.")
    draft = _draft_of(to, to.parent)
    try:
        to.parent.mkdir(parents=True, exist_ok=True)
        with _alone(to), _removed(draft):
            draft.mkdir(mode=0o700)
            yield draft
            _flush_folders(draft)
            whole = _pack(draft) if to.suffix == SUFFIX else draft
            whole.rename(to)
            flush_folder(to.parent)
    except OSError as error:
        raise StackError(f"Could not write the backup to {to}: {error}") from error


@contextmanager
def _alone(to: Path) -> Iterator[None]:
    """No other process writes a backup to the same place; raise StackError when one does."""
    path = _draft_of(to, to.parent).with_suffix(".lock")
    busy = StackError(f"Another process writes a backup to {to}: wait for its end, or name another place.")
    with path.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.stat().st_ino != os.fstat(lock.fileno()).st_ino:
                raise busy
        except (BlockingIOError, FileNotFoundError):
            raise busy from None
        try:
            yield
        finally:
            path.unlink()


@contextmanager
def _removed(draft: Path) -> Iterator[None]:
    """Nothing of a draft is there at the beginning nor at the end of the block."""

    def remove() -> None:
        shutil.rmtree(draft, ignore_errors=True)
        _tar_of(draft).unlink(missing_ok=True)

    remove()
    try:
        yield
    finally:
        remove()


def flush_folder(folder: Path) -> None:
    """See the names in a folder on the disk."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _flush_folders(folder: Path) -> None:
    for path in (*folder.rglob("*"), folder):
        if path.is_dir():
            flush_folder(path)


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner may read, and see it on the disk."""
    path.parent.mkdir(mode=0o700, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def files_in(folder: Path) -> Iterator[tuple[str, Path]]:
    """Every file of a backup but the manifest, by its name in there."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name != NAME:
            yield path.relative_to(folder).as_posix(), path


@contextmanager
def opened_backup(place: Path, scratch: Path) -> Iterator[tuple[Path, Manifest]]:
    """The folder of a backup and its manifest, every file checked against it; a tar is unpacked in `scratch`.

    Nobody else may unpack there. Raises StackError when it is no backup, a file is missing or has changed.
    """
    if place.is_dir():
        yield place, checked(place)
        return
    if not place.is_file():
        raise StackError(f"{place} is not there: name a folder or a {SUFFIX} that `polychat backup` made.")
    folder = _draft_of(place, scratch)
    with _removed(folder):
        _unpack(place, folder)
        yield folder, checked(folder)


def checked(folder: Path) -> Manifest:
    """Read every file again; raise StackError naming what is missing or has changed."""
    try:
        manifest = decode((folder / NAME).read_bytes(), str(folder))
    except FileNotFoundError as error:
        raise StackError(f"{folder} is no backup: it has no {NAME}.") from error
    for name, noted in manifest.files.items():
        try:
            with (folder / name).open("rb") as file:
                found = measured(file)
        except OSError as error:
            raise StackError(f"{folder} cannot be used: {name} cannot be read ({error}).") from error
        if found != noted:
            raise StackError(
                f"{folder} cannot be used: {name} is not what was written ({found.bytes} bytes, "
                f"sha256 {found.sha256}; it was {noted.bytes} bytes, {noted.sha256})."
            )
    return manifest


def _pack(folder: Path) -> Path:
    target = _tar_of(folder)
    with os.fdopen(os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        with tarfile.open(fileobj=file, mode="w") as tar:
            for path in sorted(folder.rglob("*")):
                tar.add(path, path.relative_to(folder).as_posix(), recursive=False)
        file.flush()
        os.fsync(file.fileno())
    _expect_same(target, folder)
    return target


def _expect_same(packed: Path, folder: Path) -> None:
    with tarfile.open(packed) as tar:
        for member in filter(tarfile.TarInfo.isreg, tar):
            content = tar.extractfile(member)
            with (folder / member.name).open("rb") as file:
                if content is None or measured(content) != measured(file):
                    raise StackError(f"{member.name} in {packed} is not what was written: try another disk.")


def _unpack(place: Path, folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700)
        with tarfile.open(place) as tar:
            tar.extractall(folder, filter="data")
    except (OSError, tarfile.TarError) as error:
        raise StackError(f"{place} could not be unpacked into {folder}: {error}") from error


def _draft_of(place: Path, within: Path) -> Path:
    return within / f".{place.name}.polychat-draft"


def _tar_of(folder: Path) -> Path:
    return folder.with_name(folder.name + SUFFIX)
