"""The store of the user service: one suite, in memory and on PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from chassis.errors import BackendUnavailable
from chassis.postgres import Pool, open_pool
from services.user.domain import Profile, ProfileChange
from services.user.errors import EmailTaken, UsernameTaken, UserNotFound
from services.user.memory import MemoryProfileStore
from services.user.ports import ProfileStore
from services.user.store import SQL, PostgresProfileStore

NOW = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)


@pytest.fixture(scope="session")
def user_dsn(postgres_dsn: Callable[[str], str]) -> str:
    """A migrated database of its own."""
    return postgres_dsn("user")


@pytest.fixture
async def pool(request: pytest.FixtureRequest) -> AsyncIterator[Pool]:
    """Connections to that database, emptied."""
    dsn: str = request.getfixturevalue("user_dsn")
    async with open_pool(dsn, size=4, application_name="contract") as opened:
        await opened.execute('TRUNCATE "user".profile')
        yield opened


@pytest.fixture(params=["memory", "postgres"])
def store(request: pytest.FixtureRequest) -> ProfileStore:
    if request.param == "memory":
        return MemoryProfileStore()
    pool: Pool = request.getfixturevalue("pool")
    return PostgresProfileStore(pool)


def profile(user_id: int, username: str, display_name: str = "", email: str = "") -> Profile:
    """A new profile."""
    return Profile(user_id, username, display_name, "", email, NOW)


async def test_a_profile_is_kept(store: ProfileStore) -> None:
    """What was put comes back."""
    ada = profile(1, "Ada", "Ada L", "ada@example.org")
    assert await store.put(ada) == ada
    assert await store.get([1]) == [ada]


async def test_unknown_ids_are_left_out(store: ProfileStore) -> None:
    """Only what exists comes back, by id."""
    ada, grace = profile(1, "ada"), profile(2, "grace")
    await store.put(grace)
    await store.put(ada)
    assert await store.get([2, 99, 1]) == [ada, grace]
    assert await store.get([]) == []


async def test_a_repeated_put_overwrites(store: ProfileStore) -> None:
    """Name and email are those of the last put; bio and time stay."""
    await store.put(profile(1, "ada", "Ada", "ada@example.org"))
    await store.update(1, ProfileChange(bio="hello"))
    again = replace(profile(1, "lovelace", "Lady", "lady@example.org"), create_time=NOW + timedelta(hours=1))
    assert await store.put(again) == replace(again, bio="hello", create_time=NOW)


async def test_a_name_belongs_to_one_user(store: ProfileStore) -> None:
    """In any case of its letters."""
    await store.put(profile(1, "Ada"))
    with pytest.raises(UsernameTaken):
        await store.put(profile(2, "aDA"))
    assert await store.get([2]) == []


async def test_an_email_belongs_to_one_user(store: ProfileStore) -> None:
    """In any case of its letters; no email is nobody's."""
    await store.put(profile(1, "ada", email="Ada@example.org"))
    with pytest.raises(EmailTaken):
        await store.put(profile(2, "grace", email="ada@EXAMPLE.org"))
    await store.put(profile(2, "grace"))
    await store.put(profile(3, "edith"))
    assert len(await store.get([1, 2, 3])) == 3


async def test_of_many_puts_of_a_name_one_wins(store: ProfileStore) -> None:
    """The store decides, not a check before."""
    results = await asyncio.gather(
        *(store.put(profile(number, "ada")) for number in range(1, 9)), return_exceptions=True
    )
    assert sum(isinstance(result, UsernameTaken) for result in results) == 7


async def test_a_removed_profile_frees_its_name_and_email(store: ProfileStore) -> None:
    """Another user may have both at once."""
    await store.put(profile(1, "ada", email="ada@example.org"))
    await store.remove(1, NOW)
    assert await store.get([1]) == []
    assert await store.search("ada", "", 10) == []
    assert await store.update(1, ProfileChange(bio="x")) is None
    assert await store.put(profile(2, "ada", email="ada@example.org"))


async def test_a_removed_profile_never_comes_back(store: ProfileStore) -> None:
    """A put that was under way when the registration was given up is refused; a repeated removal is fine."""
    await store.put(profile(1, "ada"))
    await store.remove(1, NOW)
    await store.remove(1, NOW)
    with pytest.raises(UserNotFound):
        await store.put(profile(1, "ada"))
    assert await store.get([1]) == []


async def test_a_removal_may_overtake_the_put(store: ProfileStore) -> None:
    """The put of a given up registration that arrives after its removal makes nothing."""
    await store.remove(1, NOW)
    with pytest.raises(UserNotFound):
        await store.put(profile(1, "ada"))
    assert await store.put(profile(2, "ada"))


async def test_only_what_is_named_changes(store: ProfileStore) -> None:
    """None leaves a field, an empty text removes it."""
    await store.put(profile(1, "ada", "Ada", "ada@example.org"))
    changed = await store.update(1, ProfileChange(bio="hello"))
    assert changed == replace(profile(1, "ada", "Ada", "ada@example.org"), bio="hello")
    changed = await store.update(1, ProfileChange(display_name=""))
    assert changed == replace(profile(1, "ada", "", "ada@example.org"), bio="hello")
    assert await store.update(1, ProfileChange()) == changed
    assert await store.update(9, ProfileChange(bio="x")) is None


async def found(store: ProfileStore, prefix: str, after: str = "", limit: int = 10) -> list[str]:
    """The usernames that a search gives."""
    return [p.username for p in await store.search(prefix, after, limit)]


async def test_a_search_finds_by_both_names(store: ProfileStore) -> None:
    """The beginning of the username or of the display name, each user once, by username."""
    await store.put(profile(1, "Marie", "Adele"))
    await store.put(profile(2, "adam", "Adam"))
    await store.put(profile(3, "Ada", "Zoe"))
    await store.put(profile(4, "bad", "Not at the beginning: ad"))
    assert await found(store, "ad") == ["Ada", "adam", "Marie"]
    assert await found(store, "ada") == ["Ada", "adam"]
    assert await found(store, "zo") == ["Ada"]
    assert await found(store, "x") == []


async def test_a_search_goes_on_after_a_name(store: ProfileStore) -> None:
    """Page by page nobody is left out or shown twice, although new users come in between."""
    for number in range(10):
        await store.put(profile(number + 1, f"ada-{number}", "Same" if number % 2 else ""))
    assert await found(store, "ada", "", 4) == ["ada-0", "ada-1", "ada-2", "ada-3"]
    await store.put(profile(50, "ada-00"))
    assert await found(store, "ada", "ada-3", 4) == ["ada-4", "ada-5", "ada-6", "ada-7"]
    assert await found(store, "same", "ada-3", 4) == ["ada-5", "ada-7", "ada-9"]


async def test_a_changed_display_name_is_found(store: ProfileStore) -> None:
    """And the old one is not any more."""
    await store.put(profile(1, "ada", "Countess"))
    await store.update(1, ProfileChange(display_name="Lady"))
    assert await found(store, "countess") == []
    assert await found(store, "lady") == ["ada"]


@pytest.mark.parametrize(
    ("display_name", "prefix", "hit"),
    [
        ("100% sure", "100%", True),
        ("100 percent", "100%", False),
        ("under_score", "under_", True),
        ("underXscore", "under_", False),
        ("back\\slash", "back\\", True),
        ("Straße", "strass", True),
        ("ŁÓDŹ", "łó", True),
        ("日本語", "日本", True),
        ("\U0010ffff\U0010ffff", "\U0010ffff", True),
        ("\ud7ff end", "\ud7ff", True),
        ("'; DROP TABLE profile; --", "'; drop", True),
    ],
)
async def test_every_character_is_itself(
    store: ProfileStore, display_name: str, prefix: str, hit: bool
) -> None:
    """No character of a search is special, and case does not count in any script."""
    await store.put(profile(1, "ada", display_name))
    assert await found(store, prefix) == (["ada"] if hit else [])


async def test_a_search_uses_the_indexes(pool: Pool) -> None:
    """With many users neither half reads the whole table, also in a plan made before the prefix is known."""
    await pool.execute(
        'INSERT INTO "user".profile (user_id, username, username_key, display_name_key, create_time) '
        "SELECT n, 'user' || n, 'user' || n, 'name' || n, now() FROM generate_series(1, 20000) AS n"
    )
    async with pool.acquire() as connection:
        await connection.execute('ANALYZE "user".profile')
        await connection.execute("SET plan_cache_mode = force_generic_plan")
        plan = await connection.fetch("EXPLAIN " + SQL.search_profiles, "user1234", "user1235", "", 10)
        await connection.execute("RESET plan_cache_mode")
    text = "\n".join(row[0] for row in plan)
    assert "Seq Scan" not in text, text
    assert "profile_by_username" in text
    assert "profile_by_display_name" in text


async def test_a_store_that_is_away_says_so(user_dsn: str) -> None:
    """Nothing of the driver is seen: BACKEND_UNAVAILABLE with the name of the part."""
    async with open_pool(user_dsn, size=1, application_name="contract") as pool:
        await pool.close()
        with pytest.raises(BackendUnavailable) as caught:
            await PostgresProfileStore(pool).get([1])
    assert caught.value.metadata == {"backend": "postgres"}
