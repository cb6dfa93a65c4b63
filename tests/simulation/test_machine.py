"""Hypothesis chooses who does what and what breaks, on the same rig: a failure shrinks to a short story.

Message edits are not in the product yet and have no rule.
"""

from __future__ import annotations

import asyncio
import uuid
from contextlib import ExitStack
from typing import Any

import hypothesis.strategies as st
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from tests.simulation.loop import SimLoop
from tests.simulation.nemesis import Nemesis
from tests.simulation.processes import outside_replaced
from tests.simulation.run import leftovers_ignored, silence
from tests.simulation.scenario import USERS, Scenario
from tests.simulation.verdict import judge
from tests.simulation.world import World

EXAMPLES = 15
LONG_EXAMPLES = 200
"""In the long tier, where the profile of tests/conftest.py takes new ones each time."""
PEOPLE = st.integers(0, len(USERS) - 1)
ROOMS = st.integers(0, 1)
PROCESSES = st.sampled_from([f"{kind}-{number}" for kind in ("chat", "message", "edge") for number in (1, 2)])
PARTS = st.sampled_from(["broker", "postgres", "redis", "consul"])


class Product(RuleBasedStateMachine):
    """Everything in memory; each rule begins something, and `pass_time` lets it go on."""

    def __init__(self) -> None:
        super().__init__()
        with ExitStack() as ends:  # what is replaced is put back even when there is no beginning
            ends.enter_context(leftovers_ignored())
            self.loop = SimLoop(1)
            self.world = World(self.loop, 1)
            silence()
            ends.enter_context(outside_replaced(self.world))
            self.scenario = Scenario(self.world)
            self.nemesis = Nemesis(self.world, self.scenario.counts)
            self.loop.run_until_complete(self.scenario.begin())
            self._ends = ends.pop_all()

    def _start(self, who: int, work: Any) -> None:
        self.world.persons[who].node.start(work)

    @rule(seconds=st.sampled_from([0.001, 0.01, 0.1, 1.0, 4.0]))
    def pass_time(self, seconds: float) -> None:
        self.loop.run_until_complete(asyncio.sleep(seconds))

    @rule(who=PEOPLE, room=ROOMS, number=st.integers(1, 2**64))
    def send(self, who: int, room: int, number: int) -> None:
        self.scenario.counts.sends += 1
        request_id = str(uuid.UUID(int=number << 32 | self.scenario.counts.sends, version=4))
        person = self.world.persons[who]
        self._start(who, person.send(self.scenario.rooms[room], f"text {number}", request_id))

    @precondition(lambda self: any(person.acknowledged for person in self.world.persons))
    @rule(who=PEOPLE)
    def resend(self, who: int) -> None:
        person = self.world.persons[who]
        if person.acknowledged:
            self._start(who, person.resend(*person.acknowledged[-1]))

    @rule(who=PEOPLE, room=ROOMS)
    def read(self, who: int, room: int) -> None:
        self._start(who, self.world.persons[who].read(self.scenario.rooms[room]))

    @rule(who=PEOPLE, room=ROOMS, what=st.sampled_from(["join", "leave"]))
    def come_or_go(self, who: int, room: int, what: str) -> None:
        self._start(who, self.world.persons[who].change(what, self.scenario.rooms[room]))

    @rule(whom=PEOPLE, room=ROOMS, what=st.sampled_from(["kick", "add"]))
    def kick_or_add(self, whom: int, room: int, what: str) -> None:
        owner = next(i for i, person in enumerate(self.world.persons) if person.user_id == USERS[0])
        person = self.world.persons[owner]
        self._start(owner, person.change(what, self.scenario.rooms[room], USERS[whom]))

    @rule(who=PEOPLE)
    def disconnect_and_resume(self, who: int) -> None:
        person = self.world.persons[who]
        person.node.call(person.cut)

    @rule(who=PEOPLE)
    def crash_client(self, who: int) -> None:
        person = self.world.persons[who]
        self.world.leave(person)
        self.world.enter(person.user_id)

    @rule(name=PROCESSES)
    def crash(self, name: str) -> None:
        self.world.kill(name)

    @rule(name=PROCESSES)
    def start(self, name: str) -> None:
        self.world.start(name)

    @rule(part=PARTS)
    def lose_part(self, part: str) -> None:
        getattr(self.world, part).up = False

    @rule(part=PARTS)
    def regain_part(self, part: str) -> None:
        getattr(self.world, part).up = True

    def teardown(self) -> None:
        """Everything becomes whole, settles, and is judged."""
        try:
            self.nemesis.end()
            unsettled = self.loop.run_until_complete(self.scenario.settle())
            breaches = [*unsettled, *judge(self.world)]
        finally:
            for name in ("loop", "world", "scenario", "nemesis"):
                delattr(self, name)
            self._ends.close()
        assert not breaches, "\n".join(breaches)


TestProduct: Any = Product.TestCase
TestProduct.settings = settings(
    max_examples=EXAMPLES if settings().derandomize else LONG_EXAMPLES,
    stateful_step_count=40,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
