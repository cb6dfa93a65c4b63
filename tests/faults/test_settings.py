"""The settings that docs/reliability.md builds its promises on are those of what runs."""

from __future__ import annotations

import re

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from chassis.kafka import ROOM_LOG
from chassis.postgres import open_pool
from scripts.stack.layout import SERVICES
from services.chat.producers import KafkaProducers
from tests.support.stack import ROOT, Stack

PAGE = (ROOT / "docs" / "reliability.md").read_text()
ALL_IN_SYNC = -1
"""How Kafka's protocol says `acks=all`."""


def promised(part: str) -> dict[str, str]:
    """What the table of settings says of a part: `name=value`, each in backticks."""
    (row,) = (line for line in PAGE.splitlines() if line.startswith(f"| {part} |"))
    return dict(re.findall(r"`([\w.]+)=([\w.]+)`", row.split("|")[2]))


@pytest.mark.parametrize("service", SERVICES)
async def test_what_is_committed_is_on_the_disk(own_stack: Stack, service: str) -> None:
    """As each service sees it, on a connection like its own: a role or a session may have other settings."""
    wanted = promised("PostgreSQL")
    assert set(wanted) == {"fsync", "synchronous_commit", "full_page_writes", "data_checksums"}
    dsn = own_stack.secret(f"postgres-{service}.dsn")
    async with open_pool(dsn, size=1, application_name="settings") as pool:
        found = {name: await pool.fetchval("SELECT current_setting($1)", name) for name in wanted}
    assert found == wanted


async def test_the_log_is_written_in_order_and_by_all_replicas(own_stack: Stack) -> None:
    """The producers that chat makes, connected to the broker: it gave them an id, so repeats are known."""
    assert promised("Kafka") == {"acks": "all", "enable.idempotence": "true"}
    producers = KafkaProducers(own_stack.kafka_bootstrap, "settings")
    producer = await producers.open()
    try:
        assert producer._sender._acks == ALL_IN_SYNC
        assert producer._txn_manager is not None
        assert producer._txn_manager.has_pid()
    finally:
        await producers.close(producer)


async def test_the_topic_is_kept_as_promised(own_stack: Stack) -> None:
    """Whoever comes back within the time finds every record, and no stale replica becomes the leader."""
    wanted = promised("Kafka topic `room-log`")
    assert set(wanted) == {"cleanup.policy", "retention.ms", "unclean.leader.election.enable"}
    admin = AIOKafkaAdminClient(bootstrap_servers=own_stack.kafka_bootstrap)
    await admin.start()
    try:
        resource = ConfigResource(ConfigResourceType.TOPIC, ROOM_LOG, dict.fromkeys(wanted))
        (answer,) = await admin.describe_configs([resource])
        found = {name: value for name, value, *_ in answer.resources[0][4]}
        assert found == wanted
    finally:
        await admin.close()
