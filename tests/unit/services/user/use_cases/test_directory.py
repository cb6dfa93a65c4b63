"""Searching page by page while the directory changes."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.errors import PageTokenInvalid
from chassis.paging import DEFAULT_PAGE_SIZE, PageTokens
from services.user.domain import Profile
from services.user.memory import MemoryProfileStore
from services.user.use_cases.directory import Directory

NOW = datetime(2026, 3, 1, tzinfo=UTC)
CALLER = 7


async def directory_of(*usernames: str) -> tuple[Directory, MemoryProfileStore]:
    """A directory with these users."""
    store = MemoryProfileStore()
    for number, username in enumerate(usernames):
        await store.put(Profile(number + 1, username, "", "", "", NOW))
    return Directory(store, PageTokens(b"p" * 32)), store


async def all_pages(directory: Directory, query: str, size: int) -> list[list[str]]:
    """The usernames, page by page."""
    pages, token = [], ""
    while True:
        found, token = await directory.search(CALLER, query, size, token)
        pages.append([profile.username for profile in found])
        if not token:
            return pages


@given(count=st.integers(0, 12), size=st.integers(1, 5))
async def test_pages_hold_everybody_once(count: int, size: int) -> None:
    """Whatever the size of a page: all of them, in order, and no empty page at the end."""
    usernames = [f"ada{number:02}" for number in range(count)]
    directory, _ = await directory_of(*usernames, "grace")
    pages = await all_pages(directory, "ADA", size)
    assert [name for page in pages for name in page] == usernames
    assert len(pages) == max(1, -(-count // size))


async def test_nothing_asked_for_means_the_usual_size() -> None:
    """0 is the default of 50."""
    directory, _ = await directory_of(*(f"ada{number:03}" for number in range(60)))
    found, token = await directory.search(CALLER, "ada", 0, "")
    assert len(found) == DEFAULT_PAGE_SIZE
    assert token


async def test_a_page_goes_on_when_its_last_user_is_gone() -> None:
    """The token is a place in the order, not a user."""
    directory, store = await directory_of("ada1", "ada2", "ada3")
    _, token = await directory.search(CALLER, "ada", 1, "")
    await store.remove(1, NOW)
    found, _ = await directory.search(CALLER, "ada", 10, token)
    assert [profile.username for profile in found] == ["ada2", "ada3"]


@pytest.mark.parametrize(("caller", "query"), [(8, "ada"), (CALLER, "ad"), (CALLER, "ada ")])
async def test_a_token_is_bound_to_caller_and_query(caller: int, query: str) -> None:
    """Anything else is refused; another case of the same query is the same query."""
    directory, _ = await directory_of("ada1", "ada2")
    _, token = await directory.search(CALLER, "ada", 1, "")
    with pytest.raises(PageTokenInvalid):
        await directory.search(caller, query, 1, token)
    assert await directory.search(CALLER, "ADA", 1, token)
