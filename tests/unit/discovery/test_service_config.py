"""The table of deadlines and retries names every method that there is, and promises no more than it may."""

from __future__ import annotations

import importlib
import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.descriptor_pb2 import MethodOptions

from chassis import grpc_options
from discovery.agent import Instance
from discovery.channels import target
from discovery.service_config import CORE_CONFIG, DEFAULT_SECONDS, timeout_of

GEN = Path(__file__).resolve().parents[3] / "gen"
CONFIG = json.loads((Path(__file__).resolve().parents[3] / "discovery/service_config.json").read_text())
RETRIED = {
    f"/{name['service']}/{name['method']}"
    for entry in CONFIG["methodConfig"]
    if "retryPolicy" in entry
    for name in entry["name"]
}
NAMED = [f"/{name['service']}/{name['method']}" for entry in CONFIG["methodConfig"] for name in entry["name"]]


def _methods() -> Iterator[tuple[str, MethodDescriptor]]:
    for path in sorted(GEN.glob("polychat/**/*_service_pb2.py")):
        module = importlib.import_module(".".join(path.relative_to(GEN).with_suffix("").parts))
        for service in module.DESCRIPTOR.services_by_name.values():
            for method in service.methods:
                yield f"/{service.full_name}/{method.name}", method


METHODS = dict(_methods())


def test_it_names_exactly_the_methods_that_there_are_each_once() -> None:
    assert sorted(NAMED) == sorted(METHODS)


def test_every_unary_method_has_a_deadline_and_no_stream_has_one() -> None:
    for path, method in METHODS.items():
        streams = method.client_streaming or method.server_streaming
        assert (timeout_of(path) is None) == streams, path


def test_a_public_method_is_retried_exactly_when_its_definition_calls_it_repeatable() -> None:
    for path, method in METHODS.items():
        if not path.startswith("/polychat.internal."):
            repeatable = method.GetOptions().idempotency_level != MethodOptions.IDEMPOTENCY_UNKNOWN
            assert (path in RETRIED) == repeatable, path


def test_only_what_a_lost_server_answers_is_retried() -> None:
    """CANCELLED is what a server that ends says. DEADLINE_EXCEEDED would double the wait, and ABORTED is the
    service's own business."""
    for entry in CONFIG["methodConfig"]:
        if "retryPolicy" in entry:
            assert entry["retryPolicy"]["retryableStatusCodes"] == ["UNAVAILABLE", "CANCELLED"]


def test_the_library_is_given_all_but_the_timeouts() -> None:
    given = json.loads(CORE_CONFIG)
    assert given["retryThrottling"] == CONFIG["retryThrottling"]
    assert [entry["name"] for entry in given["methodConfig"]] == [e["name"] for e in CONFIG["methodConfig"]]
    assert "timeout" not in CORE_CONFIG


def test_a_method_of_a_newer_contract_has_the_default_deadline() -> None:
    assert timeout_of(b"/polychat.chat.v1.RoomService/NotThereYet") == DEFAULT_SECONDS


def test_the_library_knows_every_option_by_the_name_it_is_given() -> None:
    """An unknown name is ignored without a word."""
    spec = importlib.util.find_spec("grpc._cython.cygrpc")
    assert spec is not None
    assert spec.origin is not None
    library = Path(spec.origin).read_bytes()
    servers = (*grpc_options.SERVER_OPTIONS, *grpc_options.PUBLIC_SERVER_OPTIONS)
    for name, _value in (*servers, *grpc_options.CHANNEL_OPTIONS):
        assert name.encode() in library, name


def test_a_client_on_a_slow_link_is_not_cut_off_for_its_answer_to_a_ping() -> None:
    """It stands behind a large reply: 4 MB at 100 KB/s would end after 20 s."""
    assert "grpc.http2.ping_timeout_ms" in dict(grpc_options.SERVER_OPTIONS)
    assert "grpc.http2.ping_timeout_ms" not in dict(grpc_options.PUBLIC_SERVER_OPTIONS)


def test_the_server_permits_the_pings_that_clients_send() -> None:
    server, channel = dict(grpc_options.SERVER_OPTIONS), dict(grpc_options.CHANNEL_OPTIONS)
    permitted = int(server["grpc.http2.min_ping_interval_without_data_ms"])
    assert permitted < int(channel["grpc.keepalive_time_ms"])
    assert server["grpc.keepalive_permit_without_calls"] == 1


@pytest.mark.parametrize(
    ("addresses", "expected"),
    [
        (["127.0.0.1", "10.0.0.2"], "ipv4:127.0.0.1:5,10.0.0.2:5"),
        (["::1"], "ipv6:[::1]:5"),
        (["::1", "10.0.0.2"], "ipv6:[::1]:5,[::ffff:10.0.0.2]:5"),
    ],
)
def test_a_target_lists_the_instances(addresses: list[str], expected: str) -> None:
    assert target([Instance("x", address, 5) for address in addresses]) == expected


def test_there_is_no_target_without_an_instance() -> None:
    with pytest.raises(ValueError, match="at least one"):
        target([])
