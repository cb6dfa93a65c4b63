"""Brings the schemas of all services to the state their code wants.

`python -m scripts.stack.migrations DIR [--restoring]` reads the login of each role from
`DIR/postgres-<service>.dsn`. One process for all of them: loading the libraries takes longer than finding
that nothing is to be done. A process of its own, so that the supervisor does not keep them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from scripts.stack.errors import StackError
from scripts.stack.layout import ROOT, SERVICES
from scripts.stack.tools import run_tool

RESTORING = "--restoring"


async def run_migrations(secrets: Path, *, restoring: bool = False) -> None:
    """Migrate in a process of its own; raise StackError with its last lines when that fails.

    Only who is `restoring` may migrate a database that a restore has not finished.
    """
    command: list[str | Path] = [sys.executable, "-P", "-m", "scripts.stack.migrations", secrets]
    if restoring:
        command.append(RESTORING)
    await run_tool(command, what="migrate the database", cwd=ROOT, env=os.environ)


def migrate_all(dsns: Mapping[str, str], *, restoring: bool = False) -> None:
    """Migrate here and now, service by service; what ran is printed.

    Raises StackError when somebody does not let go of what a migration needs, or a restore has not ended.
    """
    # Here, so that whoever only starts the process above does not load it.
    from chassis.migrate import MigrationBlockedError, migrate
    from chassis.restoring import UnfinishedRestoreError

    for service, dsn in dsns.items():
        try:
            ran = migrate(dsn, f"services.{service}", restoring=restoring)
        except (MigrationBlockedError, UnfinishedRestoreError) as error:
            raise StackError(f"Could not migrate the database: {error}") from error
        print(f"{service}: {', '.join(ran) if ran else 'up to date'}")


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    logins = {name: (folder / f"postgres-{name}.dsn").read_text().strip() for name in SERVICES}
    try:
        migrate_all(logins, restoring=RESTORING in sys.argv)
    except StackError as error:
        sys.exit(str(error))
