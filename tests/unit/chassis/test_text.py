"""Texts that can be stored."""

from __future__ import annotations

import pytest

from chassis.errors import InvalidField
from chassis.text import no_nul


@pytest.mark.parametrize("text", ["\0", "a\0b", "ends\0"])
def test_nul_is_refused_by_name(text: str) -> None:
    """PostgreSQL cannot keep U+0000."""
    with pytest.raises(InvalidField) as caught:
        no_nul("bio", text)
    assert [violation.field for violation in caught.value.violations] == ["bio"]


@pytest.mark.parametrize("text", ["", "0", "\x01\x7f", "\u2400 ⚑"])
def test_everything_else_is_text(text: str) -> None:
    """Other control characters and the picture of NUL included."""
    no_nul("bio", text)
