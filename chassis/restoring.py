"""The mark of a database into which a restore was begun and has not ended: nothing may serve from it.

What is loaded there is older than what clients have seen, and has no new epoch yet that would tell them so.
`scripts/backup` sets the mark and removes it, in the transaction that gives the epoch.
"""

from __future__ import annotations

MARK = "public.polychat_restoring"
"""A table, so that whoever may connect can look, and whoever owns the database can set it."""
IS_MARKED = f"SELECT to_regclass('{MARK}') IS NOT NULL"


class UnfinishedRestoreError(Exception):
    """Its text says what to do."""

    def __init__(self) -> None:
        super().__init__(
            "A restore into this database was begun and has not ended: nothing may run on it. Let it end, or "
            "run `polychat restore` again as before, which begins anew; to give it up, drop the database."
        )
