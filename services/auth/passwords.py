"""argon2id in threads of its own, so that the loop goes on and a flood of sign-ins finds a bounded queue."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from importlib import resources
from typing import TypeVar

import argon2
from argon2.exceptions import InvalidHashError, VerificationError, VerifyMismatchError

from chassis.errors import Overloaded

MEMORY_KIB = 19 * 1024
TIME_COST = 2
PARALLELISM = 1
"""The floor of the OWASP password storage cheat sheet for argon2id."""
QUEUE = 64
RETRY_SECONDS = 1.0

T = TypeVar("T")


def common_passwords() -> frozenset[str]:
    """Passwords that guessing begins with (OWASP ASVS 5.0, 6.2.4), casefolded, of 8 characters or more."""
    text = resources.files(__package__).joinpath("common_passwords.txt").read_text(encoding="utf-8")
    return frozenset(text.splitlines())


class Argon2Hasher:
    """PasswordHasher with one worker a core and at most `queue` passwords waiting."""

    def __init__(self, executor: ThreadPoolExecutor, workers: int, queue: int = QUEUE) -> None:
        self._executor = executor
        self._room = workers + queue
        self._argon2 = argon2.PasswordHasher(
            time_cost=TIME_COST, memory_cost=MEMORY_KIB, parallelism=PARALLELISM, type=argon2.Type.ID
        )
        # For users that do not exist: nobody knows its password, and checking one costs the same.
        self._dummy = self._argon2.hash(secrets.token_urlsafe())
        self.pending = 0
        """Passwords that wait or are worked on."""

    async def hash(self, password: str) -> str:
        return await self._run(lambda: self._argon2.hash(password))

    async def verify(self, encoded: str | None, password: str) -> bool:
        matches = await self._run(lambda: self._verify(encoded or self._dummy, password))
        return matches and encoded is not None

    def needs_rehash(self, encoded: str) -> bool:
        return self._argon2.check_needs_rehash(encoded)

    def _verify(self, encoded: str, password: str) -> bool:
        try:
            return self._argon2.verify(encoded, password)
        except VerifyMismatchError:
            return False
        except (VerificationError, InvalidHashError) as error:
            raise ValueError("a stored password hash cannot be read") from error

    async def _run(self, work: Callable[[], T]) -> T:
        if self.pending >= self._room:
            raise Overloaded(retry_after=RETRY_SECONDS)
        loop = asyncio.get_running_loop()
        self.pending += 1
        future = self._executor.submit(work)
        # Counted down when the thread is done with it, not when the caller went away.
        future.add_done_callback(lambda _: loop.call_soon_threadsafe(self._done))
        return await asyncio.wrap_future(future)

    def _done(self) -> None:
        self.pending -= 1


@asynccontextmanager
async def open_hasher(workers: int | None = None) -> AsyncIterator[Argon2Hasher]:
    """A hasher with its threads; on the way out, what waits is dropped and what runs is finished."""
    workers = workers or os.cpu_count() or 1
    executor = ThreadPoolExecutor(workers, thread_name_prefix="argon2")
    try:
        yield Argon2Hasher(executor, workers)
    finally:
        await asyncio.to_thread(executor.shutdown, wait=True, cancel_futures=True)
