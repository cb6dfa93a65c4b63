"""The judge judged: what was sent against what is stored, in both directions."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.histories import good, promises
from tests.support.history import Kind, check


@pytest.mark.parametrize("unknown_at", [2.2, 2.6, None], ids=["before", "after", "never"])
def test_a_refusal_is_definite_unless_an_attempt_before_it_was_not(unknown_at: float | None) -> None:
    """Refused at 2.5 and stored: an attempt that ended unknown before that may have been the one."""
    records, logs, memberships = good()
    at = next(i for i, r in enumerate(records) if r.kind is Kind.OK and r.request_id == "r4")
    records[at] = replace(records[at], kind=Kind.FAIL, sequence=0)
    if unknown_at is not None:
        records.append(replace(records[at], kind=Kind.UNKNOWN, time=unknown_at))
    expected = set() if unknown_at == 2.2 else {"I2"}
    assert promises(check(records, logs, memberships)) == expected


def test_a_refusal_after_an_unknown_attempt_of_another_request_is_definite() -> None:
    """r6 ended unknown, which says nothing of r7."""
    records, logs, memberships = good()
    at = next(i for i, r in enumerate(records) if r.kind is Kind.OK and r.request_id == "r7")
    records[at] = replace(records[at], kind=Kind.FAIL, sequence=0)
    assert promises(check(records, logs, memberships)) == {"I2"}
