"""A backup on disk: written whole or not at all, never over another one, and believed only when unchanged."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from scripts.backup.archive import checked, files_in, new_backup, opened_backup, write_private
from scripts.backup.manifest import FORMAT, NAME, Manifest, decode, measured
from scripts.backup.take import source_of
from scripts.stack.errors import StackError
from scripts.stack.layout import ROOT, Layout


def fill(folder: Path) -> None:
    """Two files and a manifest that fits."""
    write_private(folder / "database.dump", b"rows")
    write_private(folder / "secrets" / "internal.credential", b"hidden\n")
    files = {name: measured(path.open("rb")) for name, path in files_in(folder)}
    manifest = Manifest("2026-01-01T00:00:00+00:00", "0.1.0", "18", {"auth": "0001"}, {"users": 2}, files)
    write_private(folder / NAME, manifest.encode())


@pytest.mark.parametrize("name", ["backup", "backup.tar"])
def test_what_is_written_is_read(tmp_path: Path, name: str) -> None:
    """As a folder and as one file; only their owner may read either, and nothing is left beside them."""
    place = tmp_path / "new" / name
    with new_backup(place) as folder:
        fill(folder)
    assert stat.S_IMODE(place.stat().st_mode) == (0o600 if name.endswith(".tar") else 0o700)
    with opened_backup(place, tmp_path) as (folder, manifest):
        assert (folder / "secrets" / "internal.credential").read_bytes() == b"hidden\n"
        assert manifest.counts == {"users": 2}
        assert {stat.S_IMODE(path.stat().st_mode) for _, path in files_in(folder)} == {0o600}
    assert [path.name for path in place.parent.iterdir()] == [name]


def test_a_backup_that_failed_leaves_nothing(tmp_path: Path) -> None:
    """Half of one is not to be taken for one."""

    def fail() -> None:
        with new_backup(tmp_path / "backup") as folder:
            fill(folder)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert list(tmp_path.iterdir()) == []


BACKUP = """
import signal, sys
from pathlib import Path
from scripts.backup.archive import new_backup, write_private
from scripts.cli.backup import _tell

def work():
    with new_backup(Path(sys.argv[1])) as folder:
        write_private(folder / "secrets" / "signing-key.secret", b"key")
        print("begun", flush=True)
        signal.pause()

_tell(work)
"""


def _ended_by(number: signal.Signals, place: Path) -> int:
    """A backup to `place` gets a signal in its middle; gives its status."""
    process = subprocess.Popen(
        [sys.executable, "-c", BACKUP, str(place)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        with pytest.raises(StackError, match="Another process writes a backup"), new_backup(place):
            raise AssertionError
        process.send_signal(number)
    return process.returncode


def test_a_backup_that_is_asked_to_end_leaves_nothing(tmp_path: Path) -> None:
    """What it had written holds keys."""
    assert _ended_by(signal.SIGTERM, tmp_path / "backup") != 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["backup", "backup.tar"])
def test_what_a_killed_backup_left_is_removed_by_the_next(tmp_path: Path, name: str) -> None:
    """It could not do so itself, and nobody else knows of it."""
    assert _ended_by(signal.SIGKILL, tmp_path / name) == -signal.SIGKILL
    (left,) = tmp_path.glob("*-draft")
    assert (left / "secrets" / "signing-key.secret").exists()
    left.with_name(left.name + ".tar").write_bytes(b"half of it")
    with new_backup(tmp_path / name) as folder:
        fill(folder)
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["backup", "backup.tar"])
def test_a_backup_is_on_the_disk_with_its_name(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folders are flushed before it gets its name, and the one that holds the name after it."""
    place, flushed = tmp_path / name, list[tuple[str, bool]]()

    def note(descriptor: int) -> None:
        flushed.append((str(Path(f"/proc/self/fd/{descriptor}").readlink()), place.exists()))

    monkeypatch.setattr(os, "fsync", note)
    with new_backup(place) as folder:
        fill(folder)
    assert {(str(folder), False), (str(folder / "secrets"), False), (str(tmp_path), True)} <= set(flushed)


def test_no_backup_is_written_over_another(tmp_path: Path) -> None:
    """It may be the only good one."""
    place = tmp_path / "backup.tar"
    place.write_bytes(b"the last good one")
    with pytest.raises(StackError, match="is there already"), new_backup(place):
        raise AssertionError
    assert place.read_bytes() == b"the last good one"


def test_a_changed_byte_is_told_with_its_file(tmp_path: Path) -> None:
    """Corruption is found by the checksum, also where the size is right."""
    with new_backup(tmp_path / "backup") as folder:
        fill(folder)
    (tmp_path / "backup" / "database.dump").write_bytes(b"rowz")
    with pytest.raises(StackError, match=r"database\.dump is not what was written \(4 bytes"):
        checked(tmp_path / "backup")


def test_a_lost_file_is_told(tmp_path: Path) -> None:
    """A folder that was copied in part."""
    with new_backup(tmp_path / "backup") as folder:
        fill(folder)
    (tmp_path / "backup" / "secrets" / "internal.credential").unlink()
    with pytest.raises(StackError, match=r"internal\.credential cannot be read"):
        checked(tmp_path / "backup")


def test_what_is_no_backup_is_told_so(tmp_path: Path) -> None:
    """Nothing there, an empty folder, a file that is no tar, a tar of something else."""
    for place, why in (
        (tmp_path / "nothing", "is not there"),
        (tmp_path, "it has no manifest"),
        (_file(tmp_path / "text.tar"), "could not be unpacked"),
        (_tar(tmp_path / "other.tar"), "it has no manifest"),
    ):
        with pytest.raises(StackError, match=why), opened_backup(place, tmp_path):
            raise AssertionError


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("../outside", tarfile.REGTYPE),
        ("a/../../outside", tarfile.REGTYPE),
        ("{}/outside", tarfile.REGTYPE),
        ("link", tarfile.SYMTYPE),
        ("link", tarfile.LNKTYPE),
        ("pipe", tarfile.FIFOTYPE),
    ],
)
def test_a_tar_from_elsewhere_reaches_nothing_outside(tmp_path: Path, name: str, kind: bytes) -> None:
    """No path out of the folder, no link out of it, no device."""
    place, scratch = tmp_path / "evil.tar", tmp_path / "scratch"
    scratch.mkdir()
    member = tarfile.TarInfo(name.format(tmp_path))
    member.type, member.linkname = kind, str(tmp_path / "outside")
    with tarfile.open(place, "w") as tar:
        tar.addfile(member)
    with (
        pytest.raises(StackError, match=r"could not be unpacked|has no manifest"),
        opened_backup(place, scratch),
    ):
        raise AssertionError
    assert sorted(tmp_path.iterdir()) == [place, scratch]
    assert not any(scratch.iterdir())


def _file(path: Path) -> Path:
    path.write_text("no archive")
    return path


def _tar(path: Path) -> Path:
    with tarfile.open(path, "w") as tar:
        tar.add(__file__, "README")
    return path


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 1, "create_time": "", "files": 7}'])
def test_a_manifest_that_is_none_is_a_sentence(text: str) -> None:
    """Never a traceback."""
    with pytest.raises(StackError, match="is no backup"):
        decode(text.encode(), "backup")


def test_a_later_format_is_left_to_its_version() -> None:
    """An older program does not guess."""
    text = json.dumps({"format": FORMAT + 1}).encode()
    with pytest.raises(StackError, match="restore it with the version that wrote it"):
        decode(text, "backup")


def test_nothing_runs_nothing_is_backed_up(tmp_path: Path) -> None:
    """It says what to do."""
    with pytest.raises(StackError, match=r"start it with \./scripts/up"):
        source_of(Layout(tmp_path))
