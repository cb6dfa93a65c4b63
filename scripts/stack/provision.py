"""The first step in containers: roles, schemas, topics and migrations, on parts that run elsewhere."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from scripts.stack.credentials import Credentials
from scripts.stack.errors import StackError
from scripts.stack.migrations import migrate_all
from scripts.stack.provision_kafka import provision_kafka
from scripts.stack.provision_postgres import provision_postgres, role_passwords, service_dsn


def run_provision(secrets: Path) -> None:
    """Provision the PostgreSQL and the Kafka that the environment names; raise StackError when that fails.

    `secrets` holds the password of each role as `postgres-<service>.password`.
    """
    asyncio.run(_provision(_named("POLYCHAT_POSTGRES_DSN"), _named("POLYCHAT_KAFKA_BOOTSTRAP"), secrets))


def _named(variable: str) -> str:
    value = os.environ.get(variable)
    if not value:
        raise StackError(f"{variable} is not set: name the part to provision in it.")
    return value


async def _provision(admin_dsn: str, bootstrap: str, secrets: Path) -> None:
    passwords = await role_passwords(admin_dsn, Credentials(secrets))
    await provision_postgres(admin_dsn, passwords)
    await provision_kafka(bootstrap)
    dsns = {service: service_dsn(admin_dsn, service, password) for service, password in passwords.items()}
    await asyncio.to_thread(migrate_all, dsns)
