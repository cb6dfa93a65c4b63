"""What every text that is stored must keep to."""

from __future__ import annotations

from chassis.errors import InvalidField


def no_nul(field: str, text: str) -> None:
    """Raises InvalidField for a text with U+0000, which PostgreSQL cannot keep."""
    if "\0" in text:
        raise InvalidField(field, "must not contain U+0000")
