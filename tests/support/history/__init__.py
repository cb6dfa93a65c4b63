"""Judges what clients saw: the promises I1 to I6 as a pure function over recorded histories.

Each client writes down what it did and what reached it, with monotonic times; afterwards somebody
reads every room's whole log from the store. `check` compares and says every violation in a sentence.
A send that ended `UNKNOWN` may or may not be in the log, but at most once (Jepsen's set-full).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from tests.support.history.due import check_due
from tests.support.history.logs import check_logs
from tests.support.history.origins import check_origins
from tests.support.history.receipts import check_receipts
from tests.support.history.records import Kind, Logs, Memberships, Record, Stored, Violation
from tests.support.history.sends import check_sends
from tests.support.history.strangers import check_strangers
from tests.support.history.views import check_views

__all__ = ["Kind", "Logs", "Memberships", "Record", "Stored", "Violation", "check"]


def check(
    records: Iterable[Record],
    logs: Logs,
    memberships: Memberships,
    present: Mapping[str, int] = MappingProxyType({}),
) -> list[Violation]:
    """Every violation found; an empty list means that the histories agree with I1 to I6.

    `present`: by name the clients that are connected at the end, and their users. Of the rooms of these
    something must have been noted; without it nobody misses a view that is not there at all.
    """
    history = sorted(records, key=lambda record: record.time)
    return [
        *check_logs(logs),
        *check_sends(history, logs),
        *check_origins(history, logs),
        *check_views(history, logs, memberships),
        *check_due(history, logs, memberships, present),
        *check_receipts(history, logs, memberships),
        *check_strangers(history, logs, memberships),
    ]
