"""What is fetched from elsewhere: believed by its hash, found in the right place, new enough."""

import hashlib
import os
from pathlib import Path

import pytest

from scripts import make_venv
from scripts.stack import go, web_page
from scripts.stack.consul_binary import mirror_in
from scripts.stack.errors import StackError
from scripts.stack.kafka_jars import RECIPE, check_jars, expected_jars

JARS = {"a.jar": b"first", "b.jar": b"second"}


@pytest.fixture
def listing(tmp_path: Path) -> dict[str, str]:
    """Two jars in `tmp_path` and what is expected of them."""
    for name, content in JARS.items():
        (tmp_path / name).write_bytes(content)
    return {name: hashlib.sha256(content).hexdigest() for name, content in JARS.items()}


def test_the_expected_jars_pass(tmp_path: Path, listing: dict[str, str]) -> None:
    """Exactly these files with exactly these contents."""
    check_jars(tmp_path, listing)


def test_a_changed_jar_is_refused(tmp_path: Path, listing: dict[str, str]) -> None:
    """One byte is enough; the sentence names the file."""
    (tmp_path / "b.jar").write_bytes(b"Second")
    with pytest.raises(StackError, match=r"b\.jar"):
        check_jars(tmp_path, listing)


def test_a_missing_and_a_foreign_jar_are_refused(tmp_path: Path, listing: dict[str, str]) -> None:
    """A class path takes every jar of the folder, so one too many is as bad as one too few."""
    (tmp_path / "c.jar").write_bytes(b"third")
    with pytest.raises(StackError, match=r"c\.jar"):
        check_jars(tmp_path, listing)
    (tmp_path / "c.jar").unlink()
    (tmp_path / "a.jar").unlink()
    with pytest.raises(StackError, match=r"a\.jar"):
        check_jars(tmp_path, listing)


def test_the_committed_listing_names_the_committed_version() -> None:
    """The recipe and the hashes were renewed together."""
    expected = expected_jars((RECIPE / "jars.sha256").read_text())
    version = "4.4.0"
    assert f"org.apache.kafka:kafka_2.13:{version}" in (RECIPE / "jgo.toml").read_text()
    assert f"kafka_2.13-{version}.jar" in expected
    assert all(len(digest) == 64 for digest in expected.values())


@pytest.mark.parametrize(
    ("sources", "mirror"),
    [
        ("deb [signed-by=/k.gpg] http://m.test/debian bookworm main", "http://m.test/debian"),
        ("Types: deb\nURIs: https://m.test/debian/\nSuites: bookworm", "https://m.test/debian/"),
        ("# deb http://old.test/debian x main\ndeb http://m.test/debian x main", "http://m.test/debian"),
        ("deb http://m.test/debian-security bookworm-security main", None),
        ("deb https://m.test/cloud-sdk main", None),
        ("", None),
    ],
)
def test_debians_mirror_is_read_from_apts_sources(sources: str, mirror: str | None) -> None:
    """Both formats of apt; comments, other archives and the security updates are no mirror."""
    assert mirror_in(sources) == mirror


@pytest.mark.parametrize(
    ("answer", "enough"),
    [("go version go1.26.8 linux/amd64", True), ("go version go1.20.1 linux/amd64", False), ("no", False)],
)
def test_an_old_go_is_not_used(answer: str, enough: bool) -> None:
    """The load generator asks for 1.22, Consul for less."""
    assert go.is_new_enough(answer) == enough


@pytest.mark.parametrize(("answer", "enough"), [("v20.19.0", True), ("v20.18.3", False), ("v24.1.0", True)])
def test_an_old_node_is_not_used(answer: str, enough: bool) -> None:
    """The builder of the page asks for 20.19."""
    assert web_page.is_new_enough(answer) == enough


def test_no_web_folder_is_nothing_to_build(tmp_path: Path) -> None:
    """A checkout without the page still starts."""
    assert not web_page.is_stale(tmp_path)


def test_the_page_is_built_again_after_a_change_only(tmp_path: Path) -> None:
    """A source newer than the result counts, a newer file among the installed packages does not."""
    (tmp_path / "package.json").touch()
    assert web_page.is_stale(tmp_path)
    for folder in ("src", "dist", "node_modules"):
        (tmp_path / folder).mkdir()
    (tmp_path / "src" / "main.tsx").touch()
    (tmp_path / "dist" / "index.html").touch()
    for path, age in (("package.json", 1), ("src/main.tsx", 2), ("dist/index.html", 3)):
        os.utime(tmp_path / path, (age, age))
    (tmp_path / "node_modules" / "x.js").touch()
    assert not web_page.is_stale(tmp_path)
    os.utime(tmp_path / "src" / "main.tsx", (4, 4))
    assert web_page.is_stale(tmp_path)


def test_uv_is_installed_in_the_locked_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its lines, with all hashes, are cut out of the lock file; uvloop is another package."""
    lock = tmp_path / "requirements.lock"
    lock.write_text("uvloop==1\nuv==2 \\\n    --hash=sha256:b \\\n    --hash=sha256:c\nx==3\n")
    monkeypatch.setattr(make_venv, "LOCK", lock)
    assert make_venv.locked("uv") == "uv==2 \\\n    --hash=sha256:b \\\n    --hash=sha256:c\n"
