"""Finding users by the beginning of their names."""

from __future__ import annotations

from collections.abc import Sequence

from chassis.paging import PageTokens, page_size
from chassis.text import no_nul
from services.user.domain import Profile, search_key
from services.user.ports import ProfileStore


class Directory:
    """The search over all profiles."""

    def __init__(self, store: ProfileStore, tokens: PageTokens) -> None:
        self._store = store
        self._tokens = tokens

    async def search(
        self, caller_id: int, query: str, size: int, page_token: str
    ) -> tuple[Sequence[Profile], str]:
        """A page of users by username, and the token of the next page, empty at the end.

        Raises InvalidField, PageTokenInvalid for a token of another caller or query.
        """
        no_nul("query", query)
        prefix = search_key(query)
        scope = f"SearchUsers {caller_id} {prefix}"
        after = str(self._tokens.open(scope, page_token)[0]) if page_token else ""
        limit = page_size(size)
        found = await self._store.search(prefix, after, limit + 1)
        page = found[:limit]
        more = len(found) > limit
        return page, self._tokens.seal(scope, search_key(page[-1].username)) if more else ""
