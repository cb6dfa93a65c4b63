"""Puts the parts of one stack together: which run here, on which ports, with which environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from scripts.stack.consul import Consul
from scripts.stack.credentials import (
    INTERNAL_CREDENTIAL,
    PAGE_TOKEN_KEY,
    SIGNING_KEY_SECRET,
    Credentials,
    role_password_file,
)
from scripts.stack.environment import Backing, edge_environment, service_environment
from scripts.stack.kafka import Kafka
from scripts.stack.layout import SERVICES, Layout, Ports
from scripts.stack.links import kafka_listeners, read_links
from scripts.stack.part import Part
from scripts.stack.postgres import Postgres
from scripts.stack.processes import Edge, Service
from scripts.stack.valkey import Valkey
from scripts.stack.web_page import WebPage

NEEDS = {
    "auth": frozenset({"postgres", "redis", "consul"}),
    "user": frozenset({"postgres", "consul"}),
    "chat": frozenset({"postgres", "redis", "kafka", "consul"}),
    "message": frozenset({"postgres", "redis", "kafka", "consul"}),
}


@dataclass(frozen=True, slots=True)
class Plan:
    """`listens` names each port that must be free: port, part, and the option that moves it."""

    parts: list[Part]
    listens: list[tuple[int, str, str]]
    urls: Mapping[str, object]


def make_plan(layout: Layout, ports: Ports, edges: int, parts_only: bool) -> Plan:
    """The parts in the order in which the table shows them; external ones come from the environment."""
    credentials = Credentials(layout.secrets)
    for name in (INTERNAL_CREDENTIAL, PAGE_TOKEN_KEY):
        credentials.secret(name)
    _signing_key_secret(credentials)
    postgres_dsn = os.environ.get("POLYCHAT_POSTGRES_DSN")
    postgres = Postgres(layout, credentials, ports.postgres, postgres_dsn, migrate=not parts_only)
    redis = Valkey(layout, credentials, ports.redis, os.environ.get("POLYCHAT_REDIS_URL"))
    links = read_links()
    bootstrap = os.environ.get("POLYCHAT_KAFKA_BOOTSTRAP")
    kafka = Kafka(layout, ports.kafka, ports.kafka_controller, bootstrap, kafka_listeners(links))
    consul = Consul(layout, ports, os.environ.get("POLYCHAT_CONSUL_ADDR"))
    backing = Backing(redis.url, kafka.bootstrap, consul.address, links)
    parts: list[Part] = [postgres, redis, kafka, consul]
    listens = [(part.port, part.name, "--parts-base-port") for part in parts if part.port is not None]
    if kafka.port is not None:
        listens.append((ports.kafka_controller, "kafka's controller", "--parts-base-port"))
    if consul.port is not None:
        listens += [
            (port, "consul", "--parts-base-port") for port in (ports.consul_serf, ports.consul_server)
        ]
    urls = _backing_urls(credentials, backing)
    if not parts_only:
        parts += _processes(ports, edges, backing, credentials)
        listens += _process_ports(ports, edges)
        urls |= _process_urls(ports, edges)
    return Plan(parts, listens, urls)


def _signing_key_secret(credentials: Credentials) -> None:
    """Make sure that there is one; raise StackError when one was there before the database and is gone."""
    # The role's password is made after it, and before auth can have put a key into the database.
    if credentials.path(role_password_file("auth")).exists():
        what = "what the signing keys in the database are sealed with"
        instead = "delete the rows of auth.signing_key and write 32 random characters or more there"
        credentials.kept(SIGNING_KEY_SECRET, what, instead)
    else:
        credentials.secret(SIGNING_KEY_SECRET)


def _processes(ports: Ports, edges: int, backing: Backing, credentials: Credentials) -> list[Part]:
    def service(name: str) -> Service:
        def environment() -> Mapping[str, str]:
            return service_environment(name, ports, backing, credentials)

        metrics = ports.service_metrics(name)
        return Service(name, f"services.{name}", ports.grpc(name), metrics, environment, NEEDS[name])

    def edge(number: int) -> Edge:
        def environment() -> Mapping[str, str]:
            return edge_environment(number, ports, backing, credentials)

        return Edge(number, ports.http, ports.edge_metrics(number), environment, page)

    page = WebPage()
    return [*map(service, SERVICES), *(edge(number) for number in range(1, edges + 1))]


def _process_ports(ports: Ports, edges: int) -> list[tuple[int, str, str]]:
    return [
        *((ports.grpc(name), name, "--grpc-base-port") for name in SERVICES),
        (ports.grpc_base, "the edges' gRPC", "--grpc-base-port"),
        (ports.http, "the edges' HTTP", "--http-port"),
        *((ports.service_metrics(name), f"the metrics of {name}", "--parts-base-port") for name in SERVICES),
        *(
            (ports.edge_metrics(n), f"the metrics of edge-{n}", "--parts-base-port")
            for n in range(1, edges + 1)
        ),
    ]


def _backing_urls(credentials: Credentials, backing: Backing) -> dict[str, object]:
    """Addresses for status and tests; logins only as the files that hold them."""
    logins = ("admin", *SERVICES)
    return {
        "postgresDsnFiles": {name: str(credentials.path(f"postgres-{name}.dsn")) for name in logins},
        "redisUrlFile": str(credentials.path("redis.url")),
        "kafkaBootstrap": backing.kafka_bootstrap,
        "consulAddr": backing.consul_address,
        "secrets": str(credentials.path("")),
    }


def _process_urls(ports: Ports, edges: int) -> dict[str, object]:
    metrics = {name: ports.service_metrics(name) for name in SERVICES}
    metrics |= {f"edge-{number}": ports.edge_metrics(number) for number in range(1, edges + 1)}
    return {
        "http": f"http://127.0.0.1:{ports.http}",
        "grpc": f"127.0.0.1:{ports.grpc_base}",
        "grpcPorts": {name: ports.grpc(name) for name in SERVICES} | {"edge": ports.grpc_base},
        "metricsPorts": metrics,
    }
