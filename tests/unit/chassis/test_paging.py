"""Page tokens: opaque, and useless for anything but the call they were made for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.errors import PageTokenInvalid
from chassis.paging import DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE, PageTokens, page_size

tokens = PageTokens(b"key of this test")
positions = st.lists(st.one_of(st.integers(-(2**63), 2**63 - 1), st.text(max_size=40)), max_size=4)


@given(st.text(max_size=40), positions)
def test_a_sealed_position_opens_again(scope: str, position: list[int | str]) -> None:
    """What was sealed comes back, with its types."""
    assert tokens.open(scope, tokens.seal(scope, *position)) == tuple(position)


@given(st.integers(0, 60), st.integers(1, 255))
def test_a_changed_token_is_refused(place: int, change: int) -> None:
    """One changed character anywhere is enough."""
    token = tokens.seal("ListRooms:7", 12345, "x")
    at = place % len(token)
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    other = alphabet[(alphabet.index(token[at]) + 1 + change % 62) % 64]
    changed = token[:at] + other + token[at + 1 :]
    with pytest.raises(PageTokenInvalid):
        tokens.open("ListRooms:7", changed)


@given(st.integers(0, 60), st.sampled_from("!*+/=. \n\0é"))
def test_a_token_with_something_added_is_refused(place: int, extra: str) -> None:
    """A token has one spelling: nothing in it is passed over."""
    token = tokens.seal("ListRooms:7", 12345, "x")
    with pytest.raises(PageTokenInvalid):
        tokens.open("ListRooms:7", token[:place] + extra + token[place:])


def test_no_other_spelling_opens() -> None:
    """Not with the other alphabet, with padding, or with other bits at the end that no byte uses."""
    sealed = [tokens.seal("ListRooms:7", number) for number in range(200)]
    spellings = [(token, token.replace("-", "+").replace("_", "/")) for token in sealed]
    spellings += [(token, token + "=" * (-len(token) % 4)) for token in sealed]
    spellings += [(token, token[:-1] + chr(ord(token[-1]) + 1)) for token in sealed]
    others = [other for token, other in spellings if other != token]
    assert len(others) > 300
    for other in others:
        with pytest.raises(PageTokenInvalid):
            tokens.open("ListRooms:7", other)


@pytest.mark.parametrize("token", ["", "x", "!!!!", "é", "A" * 5000, "\0"])
def test_rubbish_is_refused(token: str) -> None:
    """Nothing but our own tokens opens, and nothing else is raised."""
    with pytest.raises(PageTokenInvalid):
        tokens.open("ListRooms:7", token)


def test_a_token_of_another_caller_method_or_key_is_refused() -> None:
    """The scope and the key are part of the seal."""
    token = tokens.seal("ListRooms:7", 1)
    for scope, keeper in (
        ("ListRooms:8", tokens),
        ("ListEvents:7", tokens),
        ("ListRooms:7", PageTokens(b"other")),
    ):
        with pytest.raises(PageTokenInvalid):
            keeper.open(scope, token)


@pytest.mark.parametrize(
    ("asked", "given_"), [(0, DEFAULT_PAGE_SIZE), (1, 1), (100, 100), (10**6, MAX_PAGE_SIZE)]
)
def test_page_sizes_are_bounded(asked: int, given_: int) -> None:
    """0 is the default; more than the maximum is the maximum."""
    assert page_size(asked) == given_
