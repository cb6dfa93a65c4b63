"""Keeps one part running: starts it after what it needs, restarts it when it dies, ends it when cancelled."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from asyncio.subprocess import Process
from collections.abc import Mapping

from scripts.stack import pids
from scripts.stack.board import Board
from scripts.stack.errors import NotReadyError, StackError
from scripts.stack.launching import launched
from scripts.stack.layout import Layout
from scripts.stack.part import Launch, Part
from scripts.stack.tools import last_lines

FIRST_ATTEMPTS = 3
FIRST_DELAY_SECONDS = 0.2
LONGEST_DELAY_SECONDS = 10.0
HEALTHY_SECONDS = 30.0
PROBE_EVERY_SECONDS = 0.1
LARGEST_LOG_BYTES = 10 * 1024 * 1024


def delay_before(attempt: int) -> float:
    """Seconds to wait before the restart `attempt`, counted from 0 since it was last healthy for long."""
    return float(min(LONGEST_DELAY_SECONDS, FIRST_DELAY_SECONDS * 2 ** min(attempt, 10)))


class DiedError(Exception):
    """The part's process ended before anybody wanted it to stop; the text says how."""


class Keeper:
    """`ready` is set once the part was ready and provisioned for the first time, and stays set."""

    def __init__(self, part: Part, layout: Layout, board: Board, needs: Mapping[str, asyncio.Event]) -> None:
        self.part = part
        self.ready = asyncio.Event()
        self._layout = layout
        self._board = board
        self._needs = needs
        self._process: Process | None = None
        self._log_start = 0
        self._ready_at = 0.0
        self._last_reason = ""

    async def run(self) -> None:
        """Until cancelled. Raises StackError when the part does not come up for the first time."""
        try:
            try:
                await self._live()
            finally:
                await self._end()
        except StackError:
            self._board.set(self.part.name, "failed")
            raise

    async def _live(self) -> None:
        self._board.set(self.part.name, "preparing")
        await self.part.fetch()
        if self.part.needs:
            self._board.set(self.part.name, "waiting")
        for need in self.part.needs:
            await self._needs[need].wait()
        await self._first_start()
        if self._process is None:
            # It runs elsewhere; nothing to do but to be there until the end.
            await asyncio.get_running_loop().create_future()
        await self._restart_for_ever()

    async def _first_start(self) -> None:
        for attempt in range(FIRST_ATTEMPTS):
            try:
                async with asyncio.timeout(self.part.start_seconds):
                    await self._start()
                break
            except DiedError as error:
                reason = str(error)
                await asyncio.sleep(delay_before(attempt))
            except TimeoutError:
                raise StackError(
                    f"{self.part.name} was not ready in time: {self._last_reason}{self._tail()}"
                ) from None
        else:
            raise StackError(f"{self.part.name} does not start: it {reason}.{self._tail()}")
        await self.part.provision()
        self.ready.set()
        self._show_ready()

    async def _restart_for_ever(self) -> None:
        attempt = 0
        while True:
            reason = await self._death()
            attempt = 0 if time.monotonic() - self._ready_at > HEALTHY_SECONDS else attempt
            while True:
                delay = delay_before(attempt)
                attempt += 1
                self._board.set(self.part.name, "restarting")
                self._board.say(f"{self.part.name} {reason}; restarting it in {delay:.1f} s.")
                await asyncio.sleep(delay)
                try:
                    await self._start_again()
                except DiedError as error:
                    reason = str(error)
                else:
                    break
            self._show_ready()

    async def _start_again(self) -> None:
        """Start it; raise DiedError when it could not start, ended, or was ended as not ready in time."""
        try:
            async with asyncio.timeout(self.part.start_seconds):
                await self._start()
        except TimeoutError:
            await self._end()
            seconds = f"{self.part.start_seconds:g} s"
            raise DiedError(f"was not ready in {seconds}: {self._last_reason}") from None
        except OSError as error:
            # A full disk, say, which must not end everything else.
            await self._end()
            raise DiedError(f"could not be started: {error}") from error

    def _show_ready(self) -> None:
        self._ready_at = time.monotonic()
        process = self._process
        self._board.set(self.part.name, "ready" if process else "external", process.pid if process else None)

    async def _start(self) -> None:
        """Start the process and return when it is ready; raise DiedError when it ends before."""
        self._last_reason = "it was not asked yet"
        await self.part.prepare()
        launch = self.part.launch()
        if launch is None:
            self._board.set(self.part.name, "starting")
            await self._probe_until_ready()
            return
        await self._spawn(launch)
        async with asyncio.TaskGroup() as group:
            death = group.create_task(self._death())
            probing = group.create_task(self._probe_until_ready())
            await asyncio.wait((death, probing), return_when=asyncio.FIRST_COMPLETED)
            death.cancel()
            probing.cancel()
        if not death.cancelled():
            raise DiedError(death.result())

    async def _probe_until_ready(self) -> None:
        while True:
            try:
                return await self.part.probe()
            except NotReadyError as error:
                self._last_reason = str(error)
                await asyncio.sleep(PROBE_EVERY_SECONDS)

    async def _spawn(self, launch: Launch) -> None:
        name = self.part.name
        log = self._layout.log(name)
        if log.exists() and log.stat().st_size > LARGEST_LOG_BYTES:
            log.replace(log.with_suffix(".log.1"))
        with log.open("ab") as output:
            self._log_start = output.tell()
            self._process = await asyncio.create_subprocess_exec(
                *launched(launch.argv, launch.identity, launch.cwd, self.part.stop_signal),
                env=dict(launch.env),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                # Ctrl-C in the terminal is for the supervisor alone: it stops the parts in order.
                start_new_session=True,
            )
        pids.write(self._layout.run, name, self._process.pid)
        self._board.set(name, "starting", self._process.pid)

    async def _death(self) -> str:
        """Wait for the end of the process and tell it in words."""
        assert self._process is not None  # noqa: S101 (for the type checker: called only after _spawn)
        status = await self._process.wait()
        self._process = None
        pids.remove(self._layout.run, self.part.name)
        return f"was ended by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"

    async def _end(self) -> None:
        """Ask the process to end, and after `stop_seconds` make it."""
        process = self._process
        if process is None:
            return
        self._board.set(self.part.name, "stopping", process.pid)
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(self.part.stop_signal)
        try:
            async with asyncio.timeout(self.part.stop_seconds):
                await process.wait()
        except TimeoutError:
            self._board.say(
                f"{self.part.name} did not stop in {self.part.stop_seconds:.0f} s and was killed."
            )
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
        self._process = None
        pids.remove(self._layout.run, self.part.name)
        self._board.set(self.part.name, "stopped")

    def _tail(self) -> str:
        """The last lines that the process wrote since it was started."""
        log = self._layout.log(self.part.name)
        if not log.exists():
            return ""
        with log.open("rb") as file:
            file.seek(self._log_start)
            text = file.read().decode(errors="replace")
        return f"\nThe end of {log}:\n{last_lines(text)}"
