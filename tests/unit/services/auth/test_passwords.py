"""argon2id in its own threads: parameters, the same work for nobody, and a bounded queue."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import argon2
import pytest

from chassis.errors import Overloaded
from services.auth.passwords import Argon2Hasher, common_passwords, open_hasher
from tests.support.tracked import ROOT


async def test_a_password_is_recognised() -> None:
    """The right one is, another is not, and every byte counts."""
    async with open_hasher(1) as hasher:
        encoded = await hasher.hash("pässword ⚑")
        assert await hasher.verify(encoded, "pässword ⚑")
        assert not await hasher.verify(encoded, "pässword ⚑ ")


async def test_the_parameters_are_stored_with_the_hash() -> None:
    """argon2id with 19 MiB, two passes and one lane."""
    async with open_hasher(1) as hasher:
        encoded = await hasher.hash("password")
        assert encoded.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
        assert not hasher.needs_rehash(encoded)
        assert hasher.needs_rehash(argon2.PasswordHasher(1, 8, 1).hash("password"))


async def test_nobody_has_no_password() -> None:
    """For a user that does not exist the answer is no, after a real verification of another hash."""
    async with open_hasher(1) as hasher:
        checked = []
        inner = hasher._verify

        def watch(encoded: str | None, password: str) -> bool:
            checked.append(encoded)
            return inner(encoded, password)  # type: ignore[arg-type]

        hasher._verify = watch  # type: ignore[method-assign]
        assert not await hasher.verify(None, "password")
        (encoded,) = checked
        assert not hasher.needs_rehash(str(encoded))


async def test_a_full_queue_refuses() -> None:
    """One at work, two waiting: the fourth is told to come back; then there is room again."""
    gate = threading.Event()
    with ThreadPoolExecutor(1) as executor:
        hasher = Argon2Hasher(executor, workers=1, queue=2)
        waiting = [asyncio.ensure_future(hasher._run(gate.wait)) for _ in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(Overloaded) as caught:
            await hasher.hash("password")
        assert caught.value.retry_after is not None
        gate.set()
        await asyncio.gather(*waiting)
        assert await hasher.hash("password")
        assert hasher.pending == 0


async def test_a_caller_that_left_still_counts_until_its_work_is_done() -> None:
    """Going away does not make room for more threads than there are."""
    gate, started = threading.Event(), threading.Event()

    def work() -> None:
        started.set()
        gate.wait()

    with ThreadPoolExecutor(1) as executor:
        hasher = Argon2Hasher(executor, workers=1, queue=0)
        caller = asyncio.ensure_future(hasher._run(work))
        await asyncio.to_thread(started.wait)
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        with pytest.raises(Overloaded):
            await hasher.hash("password")
        gate.set()
        executor.submit(lambda: None).result()
        await asyncio.sleep(0)
        assert hasher.pending == 0


def test_the_common_passwords_could_be_chosen() -> None:
    """Each is long enough to get as far as the list, in the form in which it is compared, and there once."""
    lines = (ROOT / "services/auth/common_passwords.txt").read_text().splitlines()
    assert 100 <= len(lines) <= 1000
    assert sorted(set(lines)) == sorted(lines)
    assert [line for line in lines if len(line.encode()) < 8 or line != line.casefold()] == []
    assert common_passwords() == frozenset(lines)
