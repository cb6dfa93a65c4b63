"""The caller beside a swarm finds what answers wrongly, for good, or not at all."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from tests.support.api import Api, ApiError, Json, User
from tests.support.callers import GET_USER, LIST_EVENTS, LIST_ROOMS, LOGIN, METHODS, Caller, deadline
from tests.support.eventually import eventually
from tests.support.journal import Journal

ROOM = 7
SHORT = 0.05


class ScriptedApi(Api):
    """Answers everything well but for what the test puts into `scripts`."""

    def __init__(self) -> None:
        self.scripts: dict[str, Exception | Json | None] = {}
        """By method: an error to raise, another answer, or None for no answer at all."""

    async def close(self) -> None:
        """There is nothing to give back."""

    async def call(
        self,
        method: str,
        params: Mapping[str, Any] | None = None,
        user: User | str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Json:
        """As the product would."""
        if method not in self.scripts:
            return _well(method)
        script = self.scripts[method]
        if script is None:
            await asyncio.Event().wait()
        if isinstance(script, Exception):
            raise script
        assert script is not None
        return script


def _well(method: str) -> Json:
    user = {"userId": "9", "username": "anna"}
    answers: dict[str, Json] = {
        LOGIN: {"user": user, "accessToken": "t", "refreshToken": "r"},
        GET_USER: {"user": user},
        LIST_ROOMS: {"rooms": [{"roomId": str(ROOM)}]},
        LIST_EVENTS: {"events": [{"memberJoined": {"membership": {"userId": "9"}}}]},
    }
    return answers[method]


def _refused(code: str) -> ApiError:
    return ApiError(httpx.Response(503, json={"code": code}))


@asynccontextmanager
async def _calling(api: ScriptedApi) -> AsyncIterator[tuple[Caller, Journal]]:
    journal = Journal()
    caller = Caller(api, [User(9, "anna", "t", "r")], ROOM, journal, lambda _method: SHORT, SHORT)
    caller.start()
    try:
        yield caller, journal
    finally:
        await caller.close()


async def _well_but(caller: Caller, since: float, *methods: str) -> None:
    async def so() -> bool:
        caller.hurry()
        return caller.missing(since) == [f"{method} has no new answer" for method in methods]

    await eventually(so, seconds=5, what="answers")


async def test_calls_that_are_answered_are_normal() -> None:
    """New ones come all the time, and none is missing at the end."""
    async with _calling(ScriptedApi()) as (caller, journal):
        await _well_but(caller, 0.0)
        since = time.monotonic()
        assert len(caller.missing(since)) == len(METHODS)
        await _well_but(caller, since)
        await caller.finish()
        assert journal.complaints == []


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("script", "complaint"),
    [
        (_refused("unavailable"), ""),
        (httpx.ReadError("cut"), ""),
        (_refused("unauthenticated"), "was refused"),
        (_refused("internal"), "was refused"),
        (None, "neither an answer nor an end"),
        ({}, "was answered"),
        (
            {"user": {"userId": "8", "username": "bert"}, "accessToken": "", "refreshToken": ""},
            "was answered",
        ),
        ({"rooms": [], "events": []}, "was answered"),
    ],
    ids=[
        "unavailable",
        "cut",
        "refused",
        "internal",
        "hangs",
        "nothing in it",
        "another user",
        "empty lists",
    ],
)
async def test_a_method_that_fails_is_not_normal_until_it_answers(
    method: str, script: Exception | Json | None, complaint: str
) -> None:
    """What says to try again is no breach; the others go on meanwhile."""
    api = ScriptedApi()
    api.scripts[method] = script
    async with _calling(api) as (caller, journal):
        since = time.monotonic()
        await _well_but(caller, since, method)
        await _complaint(journal, method, complaint)
        del api.scripts[method]
        await _well_but(caller, time.monotonic())


async def _complaint(journal: Journal, method: str, words: str) -> None:
    async def told() -> bool:
        return bool(journal.complaints) == bool(words)

    await eventually(told, seconds=5, what=f"a complaint with {words!r}")
    assert all(method in one and words in one for one in journal.complaints)


async def test_a_failure_after_a_success_is_not_normal() -> None:
    """As an answer may still have been on its way when a fault began."""
    api = ScriptedApi()
    async with _calling(api) as (caller, _journal):
        since = time.monotonic()
        await _well_but(caller, since)
        api.scripts[GET_USER] = _refused("unavailable")
        await _well_but(caller, since, GET_USER)


def test_every_method_has_a_deadline() -> None:
    """The product's own."""
    assert all(0 < deadline(method) <= 10 for method in METHODS)
