"""The folders and ports of a stack."""

from pathlib import Path

import pytest

from scripts.stack.errors import StackError
from scripts.stack.layout import SERVICES, Layout, Ports


def all_ports(ports: Ports) -> list[int]:
    parts = [ports.postgres, ports.redis, ports.kafka, ports.kafka_controller]
    parts += [ports.consul, ports.consul_serf, ports.consul_server]
    services = [ports.grpc(name) for name in SERVICES] + [ports.service_metrics(name) for name in SERVICES]
    edges = [ports.edge_metrics(number) for number in range(1, 33)]
    return [*parts, *services, *edges, ports.http, ports.grpc_base]


def test_no_two_listeners_share_a_port() -> None:
    """From the defaults to 32 edges, every listener has a port of its own."""
    ports = all_ports(Ports())
    assert len(set(ports)) == len(ports)


def test_services_have_the_ports_of_the_design() -> None:
    """auth 50051, user 50052, chat 50053, message 50054."""
    assert [Ports().grpc(name) for name in SERVICES] == [50051, 50052, 50053, 50054]


@pytest.mark.parametrize(
    ("ports", "option"),
    [
        ({"http": 0}, "--http-port"),
        ({"http": 65536}, "--http-port"),
        ({"grpc_base": 65532}, "--grpc-base-port"),
        ({"parts_base": -5}, "--parts-base-port"),
        ({"parts_base": 32700}, "--parts-base-port"),
    ],
)
def test_a_bad_port_is_refused_by_the_name_of_its_option(ports: dict[str, int], option: str) -> None:
    """Too low, too high, or where Linux takes ports for outgoing connections."""
    with pytest.raises(StackError, match=option):
        Ports(**ports)


def test_a_folder_of_another_version_is_refused_and_left_alone(tmp_path: Path) -> None:
    """The sentence names the folder; nothing is written into it."""
    (tmp_path / "VERSION").write_text("0\n")
    with pytest.raises(StackError, match=str(tmp_path)):
        Layout(tmp_path).make()
    assert [path.name for path in tmp_path.iterdir()] == ["VERSION"]


def test_a_folder_of_ours_is_taken_again(tmp_path: Path) -> None:
    """Making it twice is no error; others may pass through it and see neither secrets nor logs."""
    layout = Layout(tmp_path / "data")
    layout.make()
    layout.make()
    assert layout.data.stat().st_mode & 0o066 == 0
    for folder in (layout.secrets, layout.logs):
        assert folder.stat().st_mode & 0o777 == 0o700
