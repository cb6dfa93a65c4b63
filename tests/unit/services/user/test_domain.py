"""The range of an index that a prefix is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.user.domain import after_prefix, search_key

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
PREFIX = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=4)


@given(prefix=PREFIX, text=TEXT)
def test_the_range_holds_exactly_what_begins_with_the_prefix(prefix: str, text: str) -> None:
    """Between the prefix and its end lie all texts that begin with it, and no others."""
    end = after_prefix(prefix)
    inside = prefix <= text and (end is None or text < end)
    assert inside == text.startswith(prefix)


@given(prefix=PREFIX, rest=TEXT)
def test_what_begins_with_the_prefix_is_in_the_range(prefix: str, rest: str) -> None:
    """The same, for texts that do begin with it."""
    end = after_prefix(prefix)
    assert prefix <= prefix + rest
    assert end is None or prefix + rest < end


@given(prefix=PREFIX)
def test_the_end_can_be_sent_to_the_database(prefix: str) -> None:
    """It is valid UTF-8, and its bytes order as its code points do."""
    end = after_prefix(prefix)
    if end is not None:
        assert prefix.encode() < end.encode()


@pytest.mark.parametrize(
    ("prefix", "end"),
    [
        ("a", "b"),
        ("az", "a{"),
        ("\ud7ff", "\ue000"),
        ("a\U0010ffff", "b"),
        ("\U0010ffff", None),
    ],
)
def test_the_edges_of_unicode(prefix: str, end: str | None) -> None:
    """Surrogates are stepped over; after the last code point there is no end."""
    assert after_prefix(prefix) == end


def test_case_does_not_count_in_any_script() -> None:
    """Case folding, not lower case: ß is ss, final sigma is sigma."""
    assert search_key("STRASSE") == search_key("straße")
    assert search_key("ΟΔΟΣ") == search_key("οδος")
