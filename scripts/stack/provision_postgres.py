"""The database, its roles and schemas: one schema a service, owned by its role, nothing for anybody else."""

from __future__ import annotations

from collections.abc import Mapping

import psycopg
from psycopg import sql

from scripts.stack.credentials import Credentials, role_of, role_password_file, with_login
from scripts.stack.errors import StackError
from scripts.stack.layout import SERVICES

DATABASE = "polychat"

# Two stacks on one external server would otherwise create the same role at once.
ADVISORY_LOCK = 0x706F6C79


async def role_passwords(admin_dsn: str, store: Credentials) -> dict[str, str]:
    """The password of each service's role, made when there is none yet.

    Raises StackError when `store` is not new, and has lost the password of a role that exists.
    """
    lost = [service for service in SERVICES if not store.path(role_password_file(service)).exists()]
    if lost and store.has_logins:
        existing = await _existing_roles(admin_dsn)
        for service in lost:
            if role_of(service) in existing:
                what = f"the password of {role_of(service)}, and others may use it"
                instead = "write a new one there, which the next start gives to the role"
                store.kept(role_password_file(service), what, instead)
    return {service: store.role_password(service) for service in SERVICES}


async def _existing_roles(admin_dsn: str) -> set[str]:
    try:
        async with await psycopg.AsyncConnection.connect(admin_dsn, connect_timeout=10) as connection:
            found = await connection.execute("SELECT rolname FROM pg_roles")
            return {name for (name,) in await found.fetchall()}
    except psycopg.Error as error:
        raise StackError(f"Could not look at the roles of PostgreSQL: {error}") from error


async def provision_postgres(admin_dsn: str, passwords: Mapping[str, str]) -> None:
    """Make what is missing and set every right, and the password of each service's role, anew.

    Raises StackError when the login may not, or the server refuses.
    """
    try:
        async with await psycopg.AsyncConnection.connect(admin_dsn, autocommit=True) as connection:
            await connection.execute("SELECT pg_advisory_lock(%s)", (ADVISORY_LOCK,))
            for service in SERVICES:
                await _make_role(connection, service, passwords[service])
            await _make_database(connection)
        database = with_database(admin_dsn, DATABASE)
        async with await psycopg.AsyncConnection.connect(database) as connection:
            await connection.execute("SELECT pg_advisory_xact_lock(%s)", (ADVISORY_LOCK,))
            await connection.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
            await connection.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm SCHEMA public")
            for service in SERVICES:
                await _make_schema(connection, service)
    except psycopg.Error as error:
        raise StackError(f"Could not prepare the database: {error}") from error


async def empty_schemas(connection: psycopg.AsyncConnection) -> None:
    """Throw away all that is in the schemas of the services; the roles stay."""
    for service in SERVICES:
        await connection.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(service)))
        await _make_schema(connection, service)


def service_dsn(admin_dsn: str, service: str, password: str) -> str:
    """The login of a service's role on the server of `admin_dsn`."""
    return with_login(admin_dsn, role_of(service), password, DATABASE)


def with_database(dsn: str, database: str) -> str:
    """`dsn` with another database and the same login."""
    head, _, options = dsn.partition("?")
    scheme, _, rest = head.partition("://")
    return f"{scheme}://{rest.partition('/')[0]}/{database}" + (f"?{options}" if options else "")


async def _make_role(connection: psycopg.AsyncConnection, service: str, password: str) -> None:
    role = sql.Identifier(role_of(service))
    found = await connection.execute("SELECT FROM pg_roles WHERE rolname = %s", (role_of(service),))
    if await found.fetchone() is None:
        await connection.execute(sql.SQL("CREATE ROLE {}").format(role))
    # Hashed here: the server's log may show a statement that failed.
    secret = connection.pgconn.encrypt_password(
        password.encode(), role_of(service).encode(), b"scram-sha-256"
    )
    limits = sql.SQL("ALTER ROLE {} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD {}")
    await connection.execute(limits.format(role, sql.Literal(secret.decode())))


async def _make_database(connection: psycopg.AsyncConnection) -> None:
    database = sql.Identifier(DATABASE)
    found = await connection.execute("SELECT FROM pg_database WHERE datname = %s", (DATABASE,))
    if await found.fetchone() is None:
        await connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(database))
    await connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(database))
    for service in SERVICES:
        role = sql.Identifier(role_of(service))
        await connection.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(database, role))


async def _make_schema(connection: psycopg.AsyncConnection, service: str) -> None:
    role, schema = sql.Identifier(role_of(service)), sql.Identifier(service)
    names = {"role": role, "schema": schema, "database": sql.Identifier(DATABASE)}
    for statement in (
        "GRANT {role} TO CURRENT_USER",
        "CREATE SCHEMA IF NOT EXISTS {schema} AUTHORIZATION {role}",
        "REVOKE ALL ON SCHEMA {schema} FROM PUBLIC",
        # The operators of pg_trgm live in public; the role may use them and create nothing there.
        "GRANT USAGE ON SCHEMA public TO {role}",
        "ALTER ROLE {role} IN DATABASE {database} SET search_path = {schema}, public",
    ):
        await connection.execute(sql.SQL(statement).format(**names))
