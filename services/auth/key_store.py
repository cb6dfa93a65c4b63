"""The signing keys in PostgreSQL."""

from __future__ import annotations

import json
from collections.abc import Sequence

import asyncpg

from chassis.postgres import Pool, transaction
from services.auth.key_rotation import KeyState, SigningKey
from services.auth.ports import KeyPlan
from services.auth.store import SQL

# A key must leave a state before another enters it: there is one `current` and one `next` at most.
_WRITE_ORDER = (KeyState.RETIRED, KeyState.CURRENT, KeyState.NEXT)


class PostgresKeyStore:
    """KeyStore on the table `signing_key`; a lock lets one instance plan at a time."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def change(self, plan: KeyPlan) -> Sequence[SigningKey]:
        async with transaction(self._pool) as connection:
            await connection.execute(SQL.lock_signing_keys)
            before = [_key(row) for row in await connection.fetch(SQL.list_signing_keys)]
            after = plan(before)
            for gone in {key.kid for key in before} - {key.kid for key in after}:
                await connection.execute(SQL.remove_signing_key, gone)
            for key in sorted(after, key=lambda key: _WRITE_ORDER.index(key.state)):
                if key not in before:
                    await connection.execute(
                        SQL.put_signing_key,
                        key.kid,
                        key.state,
                        json.dumps(dict(key.public_jwk)),
                        key.sealed_private,
                        key.not_before,
                        key.not_after,
                    )
        return after


def _key(row: asyncpg.Record) -> SigningKey:
    return SigningKey(
        row["kid"],
        KeyState(row["state"]),
        json.loads(row["public_jwk"]),
        row["sealed_private"],
        row["not_before"],
        row["not_after"],
    )
