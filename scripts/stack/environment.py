"""The environment of each Polychat process: everything it needs, and no login that belongs to another."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from scripts.stack.credentials import INTERNAL_CREDENTIAL, PAGE_TOKEN_KEY, SIGNING_KEY_SECRET, Credentials
from scripts.stack.layout import Ports
from scripts.stack.links import LINKS, Links, rerouted

# Meant for this program; a service must not see the administrator's login.
OWN = frozenset(
    {"POLYCHAT_POSTGRES_DSN", "POLYCHAT_KAFKA_BOOTSTRAP", "POLYCHAT_REDIS_URL", "POLYCHAT_CONSUL_ADDR"}
    | {"POLYCHAT_KAFKA_JVM", "POLYCHAT_JAVA", LINKS}
)
USES_KAFKA = frozenset({"chat", "message"})
USES_REDIS = frozenset({"auth", "chat", "message"})


@dataclass(frozen=True, slots=True)
class Backing:
    """Where the four backing parts are reached."""

    redis_url: str
    kafka_bootstrap: str
    consul_address: str
    links: Links = field(default_factory=dict)


def inherited() -> dict[str, str]:
    """The caller's environment without what only this program may know; POLYCHAT_FAILPOINTS, say, stays."""
    return {name: value for name, value in os.environ.items() if name not in OWN}


def _common(
    instance: str, backing: Backing, credentials: Credentials, grpc_port: int, metrics_port: int
) -> dict[str, str]:
    return inherited() | {
        "POLYCHAT_INSTANCE": instance,
        "POLYCHAT_CONSUL_ADDR": backing.consul_address,
        "POLYCHAT_GRPC_HOST": "127.0.0.1",
        "POLYCHAT_GRPC_PORT": str(grpc_port),
        "POLYCHAT_METRICS_PORT": str(metrics_port),
        "POLYCHAT_INTERNAL_CREDENTIAL_FILE": str(credentials.path(INTERNAL_CREDENTIAL)),
        "POLYCHAT_PAGE_TOKEN_KEY_FILE": str(credentials.path(PAGE_TOKEN_KEY)),
        "POLYCHAT_LOG_FORMAT": "json",
    }


def service_environment(
    service: str, ports: Ports, backing: Backing, credentials: Credentials
) -> dict[str, str]:
    """For `python -m services.<service>`, once PostgreSQL is provisioned: its login comes from there."""
    metrics = ports.service_metrics(service)
    env = _common(f"{service}-1", backing, credentials, ports.grpc(service), metrics)
    env["POLYCHAT_POSTGRES_DSN"] = credentials.path(f"postgres-{service}.dsn").read_text().strip()
    if service in USES_KAFKA:
        env["POLYCHAT_KAFKA_BOOTSTRAP"] = backing.kafka_bootstrap
    if service in USES_REDIS:
        env["POLYCHAT_REDIS_URL"] = backing.redis_url
    if service == "auth":
        env["POLYCHAT_SIGNING_KEY_SECRET_FILE"] = str(credentials.path(SIGNING_KEY_SECRET))
    return rerouted(env, backing.links.get(service, {}))


def edge_environment(number: int, ports: Ports, backing: Backing, credentials: Credentials) -> dict[str, str]:
    """For `python -m edge`, the process `number` counted from 1; all share the HTTP and the gRPC port."""
    env = _common(f"edge-{number}", backing, credentials, ports.grpc_base, ports.edge_metrics(number))
    env["POLYCHAT_HTTP_PORT"] = str(ports.http)
    return rerouted(env, backing.links.get("edge", {}))
