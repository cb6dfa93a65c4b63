"""Every fault that the nemesis knows."""

from __future__ import annotations

from tests.nemesis.client_faults import client_faults
from tests.nemesis.consul_faults import consul_faults
from tests.nemesis.failpoint_faults import failpoint_faults
from tests.nemesis.fault import Fault
from tests.nemesis.joint_faults import joint_faults
from tests.nemesis.kafka_faults import kafka_faults
from tests.nemesis.link_faults import link_faults
from tests.nemesis.loss_faults import loss_faults
from tests.nemesis.postgres_faults import postgres_faults
from tests.nemesis.processes import process_faults
from tests.nemesis.redis_faults import redis_faults


def all_faults(*, links: bool = False) -> list[Fault]:
    """In a fixed order: with it, a seed means one sequence. `links`: also those that need toxiproxy."""
    return [
        *process_faults(),
        *postgres_faults(),
        *redis_faults(),
        *consul_faults(),
        *kafka_faults(),
        *client_faults(),
        *failpoint_faults(),
        *joint_faults(),
        *loss_faults(),
        *(link_faults() if links else ()),
    ]
