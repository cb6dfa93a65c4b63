"""An event loop whose time, order and randomness come from one seed: no selector, no thread, no clock.

Every callback belongs to a simulated process (a `Node`), by the context it was made in. Inside a process
callbacks run in asyncio's own order; which process runs next is drawn from the seed. When nobody can run,
time jumps to the next timer. So a run is a function of its seed, and any two steps of two processes meet
in any order.
"""

from __future__ import annotations

import asyncio
import hashlib
import heapq
import itertools
import random
import struct
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import Context, ContextVar, copy_context
from typing import Any, TypeVar

START = 1_000.0
"""Where the clock begins, in seconds."""

T = TypeVar("T")


class Stuck(Exception):  # noqa: N818 — a state of the whole simulation
    """Nothing can run and no timer is set."""


class Node:
    """One life of a simulated process: it runs, stands still, or is dead for ever."""

    def __init__(self, name: str, number: int, loop: SimLoop) -> None:
        self.name = name
        self.number = number
        self.alive = True
        self.paused = False
        self.ready: deque[asyncio.Handle] = deque()
        self.on_death: dict[object, Callable[[], None]] = {}
        """What the outside notices when the process dies, by whom it concerns."""
        self._loop = loop
        self.context: Context = copy_context()
        self.context.run(_NODE.set, self)

    def start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Runs a coroutine as a task of this process."""
        return self.context.copy().run(self._loop.create_task, work)

    def call(self, work: Callable[..., object], *arguments: object) -> None:
        """Calls something inside this process, soon; never when it is dead by then."""
        self._loop.call_soon(work, *arguments, context=self.context)

    def kill(self) -> None:
        """SIGKILL: not one more step of its code runs, no `finally`, no `except`."""
        self.alive = False
        self._loop.forget(self)
        watchers, self.on_death = self.on_death, {}
        for tell in watchers.values():
            tell()

    def pause(self) -> None:
        """SIGSTOP."""
        self.paused = True
        self._loop.forget(self)

    def resume(self) -> None:
        """SIGCONT: what came meanwhile is taken up."""
        self.paused = False
        self._loop.wake(self)


_NODE: ContextVar[Node | None] = ContextVar("node", default=None)


def current_node() -> Node:
    """The process whose code is running. LookupError outside of any."""
    node = _NODE.get()
    if node is None:
        raise LookupError("no simulated process is running")
    return node


def running_name() -> str:
    """The name of the process whose code is running, for logs."""
    node = _NODE.get()
    return "outside" if node is None else node.name


_serials = itertools.count()


class _Task(asyncio.Task[Any]):
    """A task with a place in sets that does not depend on its address."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        self.serial = next(_serials)
        super().__init__(*arguments, **named)
        self._log_destroy_pending = False

    def __hash__(self) -> int:
        return self.serial


class _Future(asyncio.Future[Any]):
    """The same for futures."""

    def __init__(self, *, loop: asyncio.AbstractEventLoop) -> None:
        self.serial = next(_serials)
        super().__init__(loop=loop)

    def __hash__(self) -> int:
        return self.serial


class SimLoop(asyncio.BaseEventLoop):
    """The scheduler. `random` is the one source of chance of a run."""

    def __init__(self, seed: int) -> None:
        global _serials
        _serials = itertools.count()  # two runs in one process count alike
        super().__init__()
        self.random = random.Random(seed)
        self.steps = 0
        self.outside = Node("outside", 0, self)
        """The network, the backing parts and the scheduler of faults: what no process owns."""
        self.outside.context.run(_NODE.set, None)
        self.connect: Callable[..., Awaitable[Any]] | None = None
        self.listen: Callable[..., Awaitable[Any]] | None = None
        self.complaints: list[str] = []
        self._now = START
        self._runnable: list[Node] = []
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._order = itertools.count()
        self._trace = hashlib.blake2b(digest_size=16)
        self.set_task_factory(lambda loop, work, **named: _Task(work, loop=loop, **named))

    # Time and order ----------------------------------------------------------------------------

    def time(self) -> float:
        """Virtual seconds."""
        return self._now

    def call_soon(  # type: ignore[override]  # less exact about the arguments
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        """See asyncio."""
        handle = asyncio.Handle(callback, args, self, context)
        self._enqueue(handle)
        return handle

    call_soon_threadsafe = call_soon  # type: ignore[assignment]  # there are no threads

    def call_at(  # type: ignore[override]  # less exact about the arguments
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """See asyncio."""
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        heapq.heappush(self._timers, (when, next(self._order), handle))
        return handle

    def call_later(  # type: ignore[override]  # less exact about the arguments
        self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """See asyncio."""
        return self.call_at(self._now + delay, callback, *args, context=context)

    def create_future(self) -> asyncio.Future[Any]:
        """See asyncio."""
        return _Future(loop=self)

    def note(self, *what: object) -> None:
        """Adds to the trace: two runs with one trace did the same."""
        self._trace.update(repr(what).encode())

    @property
    def trace(self) -> str:
        """A hash over everything that happened so far, in its order."""
        return self._trace.hexdigest()

    def forget(self, node: Node) -> None:
        """A process runs no more: for now, or for ever."""
        if node in self._runnable:
            self._runnable.remove(node)

    def wake(self, node: Node) -> None:
        """A process runs again."""
        if node.ready and node.alive and node not in self._runnable:
            self._runnable.append(node)

    def _enqueue(self, handle: asyncio.Handle) -> None:
        node = handle._context.get(_NODE) or self.outside  # type: ignore[attr-defined]
        if not node.ready and not node.paused and node.alive:
            self._runnable.append(node)
        node.ready.append(handle)  # a dead process's steps are kept too: dropped, they would run a `finally`

    def _run_once(self) -> None:
        timers, runnable = self._timers, self._runnable
        if not runnable:
            while timers and timers[0][2].cancelled():
                heapq.heappop(timers)
            if not timers:
                raise Stuck("nothing can run any more")
            self._now = max(self._now, timers[0][0])
        while timers and timers[0][0] <= self._now:
            handle = heapq.heappop(timers)[2]
            if not handle.cancelled():
                self._enqueue(handle)
        if runnable:
            self._step(runnable[int(self.random.random() * len(runnable))])

    def _step(self, node: Node) -> None:
        handle = node.ready.popleft()
        if not node.ready:
            self._runnable.remove(node)
        if handle.cancelled():
            return
        self.steps += 1
        self._trace.update(struct.pack("<dI", self._now, node.number))
        handle._run()

    # What an event loop has to have ---------------------------------------------------------------

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Cancelled timers are passed over when they come up."""

    def _process_events(self, event_list: object) -> None:
        """There is nothing that could happen outside."""

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Bugs that nobody awaits are kept for the verdict; what died with its process is silent."""
        error = context.get("exception")
        if isinstance(error, Exception) and "never retrieved" not in str(context.get("message")):
            self.complaints.append(f"{context['message']}: {error!r}")

    async def create_connection(  # type: ignore[override]  # of its many arguments these are used
        self, protocol_factory: Callable[[], asyncio.Protocol], host: str, port: int, **_options: object
    ) -> tuple[asyncio.Transport, asyncio.Protocol]:
        """A connection over the simulated network."""
        assert self.connect is not None, "the simulation has no network yet"
        found: tuple[asyncio.Transport, asyncio.Protocol] = await self.connect(protocol_factory, host, port)
        return found

    async def create_server(  # type: ignore[override]  # see create_connection
        self, protocol_factory: Callable[[], asyncio.Protocol], *, sock: object, **_options: object
    ) -> Any:
        """Listens on the simulated network."""
        assert self.listen is not None, "the simulation has no network yet"
        return await self.listen(protocol_factory, sock)
