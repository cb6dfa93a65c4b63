"""What is checked before and after a start, and what `status` makes of it."""

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.stack import pids
from scripts.stack.down import run_down
from scripts.stack.errors import StackError
from scripts.stack.layout import Layout
from scripts.stack.listening import check_free
from scripts.stack.provision_kafka import Topic, check_partitions
from scripts.stack.status import read_status
from scripts.stack.up import only_supervisor


@pytest.fixture
def taken() -> Iterator[int]:
    """A port on which this process listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_port_in_use_is_told_with_its_holder_and_the_option(taken: int) -> None:
    """Who has it, and what to do."""
    with pytest.raises(StackError, match=rf"Port {taken} for redis .*pid {os.getpid()}.*--parts-base-port"):
        check_free(taken, "redis", "--parts-base-port")


def test_a_port_shared_by_others_is_in_use() -> None:
    """Edges of another stack allow sharing; ours must not mix with them."""
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        server.bind(("127.0.0.1", 0))
        server.listen()
        with pytest.raises(StackError, match="--http-port"):
            check_free(server.getsockname()[1], "edges", "--http-port")


def test_a_free_port_passes(taken: int) -> None:
    """Also right after a server left it with a connection half closed."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            server.accept()[0].close()
    check_free(port, "redis", "--parts-base-port")


@pytest.mark.parametrize("found", [1, 23, 25])
def test_another_number_of_partitions_is_refused(found: int) -> None:
    """A key would move, and with it the order of a room."""
    with pytest.raises(StackError, match=f"room-log has {found} partitions and needs 24"):
        check_partitions(Topic("room-log", 24, 7), found)
    check_partitions(Topic("room-log", 24, 7), 24)


@pytest.mark.parametrize(("replicas", "in_sync"), [(1, "1"), (2, "1"), (3, "2")])
def test_all_replicas_but_one_have_what_is_acknowledged(replicas: int, in_sync: str) -> None:
    """One broker may be lost and the topic can still be written to, as far as there are enough of them."""
    assert Topic("room-log", 24, 7).settings(replicas)["min.insync.replicas"] == in_sync


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """A data folder whose state file says that all was ready."""
    made = Layout(tmp_path)
    made.make()
    made.state_file.write_text(json.dumps({"state": "ready", "pid": os.getpid(), "parts": [], "urls": {}}))
    return made


def test_a_second_supervisor_is_refused(layout: Layout) -> None:
    """It names the first; when that has ended, the folder is free again."""
    with only_supervisor(layout):
        with pytest.raises(StackError, match=rf"pid {os.getpid()}.*scripts/down"), only_supervisor(layout):
            pytest.fail("two supervisors on one folder")
        assert read_status(layout)["state"] == "ready"
    with only_supervisor(layout):
        pass


def test_the_state_of_a_dead_supervisor_is_stopped(layout: Layout) -> None:
    """Whatever its last words in the state file were."""
    assert read_status(layout)["state"] == "stopped"
    layout.state_file.unlink()
    assert read_status(layout)["state"] == "stopped"


def test_down_on_nothing_says_so(layout: Layout, tmp_path: Path) -> None:
    """On a folder that was used, and on one that never was."""
    assert "Nothing runs" in run_down(layout)
    assert "Nothing runs" in run_down(Layout(tmp_path / "never"))


def test_down_forgets_a_supervisor_that_died(layout: Layout) -> None:
    """Its pid may be anybody's by now: nobody is ended."""
    pids.write(layout.run, pids.SUPERVISOR, os.getpid())
    (layout.run / "up.birth").write_text("another boot 1\n")
    assert "Nothing runs" in run_down(layout)
    assert not (layout.run / "up.pid").exists()
