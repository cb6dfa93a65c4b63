"""`python -m scripts.proto`: the stubs are those of the sources, these are in order, a break is seen."""

import shutil
import subprocess
from pathlib import Path

import pytest

from scripts.proto import checks, tree
from scripts.proto.__main__ import main
from scripts.proto.generate import drift, generate

ROOM = Path("proto/polychat/chat/v1/room.proto")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository of its own that has the protos of this one on its main branch."""
    shutil.copytree(tree.PROTO, tmp_path / "proto")
    shutil.copyfile(tree.ROOT / "buf.yaml", tmp_path / "buf.yaml")
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    git(tmp_path, "add", ".")
    git(tmp_path, "-c", "user.name=t", "-c", "user.email=t@localhost", "commit", "--quiet", "-m", "protos")
    return tmp_path


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", "-C", str(folder), *arguments], check=True)


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def test_the_committed_stubs_are_those_of_the_sources() -> None:
    """Generating again gives the same files byte for byte, with none too many and none too few."""
    assert drift() == []


def test_drift_names_what_is_stale_missing_and_left_over(tmp_path: Path) -> None:
    """A stub that was edited, lost or left behind is named, and generating mends all three."""
    generate(tmp_path)
    edit(tmp_path / "polychat/chat/v1/room_pb2.py", "DESCRIPTOR", "DESCRIPTION")
    (tmp_path / "polychat/user/v1/user_pb2.pyi").unlink()
    (tmp_path / "polychat/user/v1/account_pb2.py").touch()
    assert drift(tmp_path) == [
        "polychat/chat/v1/room_pb2.py",
        "polychat/user/v1/account_pb2.py",
        "polychat/user/v1/user_pb2.pyi",
    ]
    generate(tmp_path)
    assert drift(tmp_path) == []


def test_the_sources_are_in_order() -> None:
    """Names, comments, layout and imports are as buf's STANDARD and COMMENTS ask, and formatted."""
    assert checks.lint() == ""


def test_lint_sees_a_field_without_a_comment(repository: Path) -> None:
    """The rules are on: a bare field is a complaint."""
    edit(repository / ROOM, "  // Empty in a direct room.\n", "")
    assert 'Field "title" should have a non-empty comment' in checks.lint(repository)


def test_lint_sees_a_file_that_is_not_formatted(repository: Path) -> None:
    """A diff of the format is a complaint too."""
    edit(repository / ROOM, "  string title = 2;", "    string title=2;")
    assert "-    string title=2;" in checks.lint(repository)


def test_a_field_may_be_added(repository: Path) -> None:
    """What only adds does not break anybody."""
    edit(repository / ROOM, "  string title = 2;", "  string title = 2;\n  // New.\n  string topic = 99;")
    assert checks.breaking("main", repository) == ""


@pytest.mark.parametrize(
    "change",
    [
        ("  string title = 2;", "  string name = 2;"),
        ("  string title = 2;", "  int64 title = 2;"),
        ("  // Empty in a direct room.\n  string title = 2;\n", ""),
        ("ROOM_KIND_PUBLIC", "ROOM_KIND_OPEN"),
    ],
    ids=["renamed", "retyped", "removed", "renamed value"],
)
def test_a_change_that_breaks_clients_is_seen(repository: Path, change: tuple[str, str]) -> None:
    """JSON clients hold the names and binary clients the numbers and types; both are kept."""
    edit(repository / ROOM, *change)
    assert str(ROOM) in checks.breaking("main", repository)


def test_a_branch_without_protos_is_no_base(tmp_path: Path) -> None:
    """Before the first contract there is nothing to break."""
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    assert checks.find_base(tmp_path) is None


def test_main_is_the_base(repository: Path) -> None:
    """Once main has protos it is what a change is compared with, from any branch."""
    git(repository, "switch", "--quiet", "--create", "work")
    assert checks.find_base(repository) == "main"


def test_an_unknown_command_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """A slip of the finger does not pass for a check."""
    assert main(["chek"]) == 2
    assert "generate|lint|breaking|check" in capsys.readouterr().err
