"""Whatever the batches, the repeats and the crashes are: the log ends the same, without a gap."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st
from polychat.internal.log.v1.record_pb2 import LogRecord

from chassis.errors import BackendUnavailable
from services.message.domain import Disposition, Outcome, Plan, Raw, RequestKey
from services.message.memory import MemoryLog
from services.message.use_cases.sequencing import Sequencer
from tests.support.room_log import Tape, archived, joined, left, rooms_of, sent

PARTITION = 5
ROOMS = rooms_of(PARTITION, 3)
USERS = (1, 2, 3)

room, user = st.sampled_from(ROOMS), st.sampled_from(USERS)
number = st.integers(0, 9)
"""Few request ids, so that repeats and reuses are common."""
records = st.one_of(
    st.builds(joined, room, user, number),
    st.builds(left, room, user, number),
    st.builds(archived, st.just(ROOMS[-1]), number),
    st.builds(sent, room, user, number, text=st.sampled_from(["hi", "hello"])),
    st.builds(lambda r, u, n: sent(r, u, n + 100), room, user, st.integers(0, 999)),
    st.just(None),
)


@dataclass
class Model:
    """The rules of the log, one record after the other, as plainly as possible."""

    events: dict[int, list[LogRecord]] = field(default_factory=dict)
    first: dict[RequestKey, tuple[bytes, int]] = field(default_factory=dict)
    inside: dict[tuple[int, int], int] = field(default_factory=dict)
    archived: set[int] = field(default_factory=set)
    ends: list[tuple[Disposition, int, str]] = field(default_factory=list)
    dead: int = 0

    def take(self, record: LogRecord | None) -> None:
        if record is None:
            self.dead += 1
            return
        self.ends.append(self._end(record))

    def _end(self, record: LogRecord) -> tuple[Disposition, int, str]:
        key = RequestKey(record.room_id, record.sender_user_id, record.request_id)
        if key in self.first:
            body_hash, sequence = self.first[key]
            if body_hash != record.body_hash:
                return Disposition.REJECTED, 0, "REQUEST_ID_REUSED"
            return Disposition.DUPLICATE, sequence, ""
        command = Tape(PARTITION, [_raw(record)]).command(0)
        subject = (record.room_id, command.subject_user_id or record.sender_user_id)
        if command.kind == 17 and subject in self.inside:
            return self._without_effect(key, record, self.inside[subject])
        if command.kind == 18 and subject not in self.inside:
            return self._without_effect(key, record, len(self.events.get(record.room_id, [])))
        if command.kind == 10 and subject not in self.inside:
            return Disposition.REJECTED, 0, "NOT_A_MEMBER"
        if command.kind == 10 and record.room_id in self.archived:
            return Disposition.REJECTED, 0, "ROOM_ARCHIVED"
        log = self.events.setdefault(record.room_id, [])
        log.append(record)
        self.first[key] = (record.body_hash, len(log))
        self._apply(command.kind, subject, len(log))
        return Disposition.COMMITTED, len(log), ""

    def _without_effect(
        self, key: RequestKey, record: LogRecord, sequence: int
    ) -> tuple[Disposition, int, str]:
        self.first[key] = (record.body_hash, sequence)
        return Disposition.DUPLICATE, sequence, ""

    def _apply(self, kind: int, subject: tuple[int, int], sequence: int) -> None:
        if kind == 17:
            self.inside[subject] = sequence
        elif kind == 18:
            del self.inside[subject]
        elif kind == 21:
            self.archived.add(subject[0])


class FailingLog(MemoryLog):
    """Loses the connection before or after a commit, as it is told."""

    def __init__(self, accidents: Sequence[str]) -> None:
        super().__init__()
        self._accidents = list(accidents)

    async def commit(self, plans: Sequence[Plan]) -> frozenset[int]:
        accident = self._accidents.pop() if self._accidents else "none"
        if accident == "before":
            raise BackendUnavailable("postgres")
        held = await super().commit(plans)
        if accident == "after":
            raise BackendUnavailable("postgres")
        return held


async def run(log: MemoryLog, tape: Tape, sizes: Sequence[int], owners: Sequence[bool]) -> list[Outcome]:
    """Consumes a tape to its end; `owners` says before which batches another instance takes over."""
    clock = iter(range(1_000, 1_000_000))
    sequencer = Sequencer(log, lambda: next(clock))
    await sequencer.claim([PARTITION])
    outcomes: list[Outcome] = []
    steps = 0
    while (at := sequencer.positions[PARTITION].next_offset) < len(tape.records):
        size = sizes[steps % len(sizes)]
        batch = tape.batch(at, min(len(tape.records), at + size))
        if owners[steps % len(owners)]:
            zombie, sequencer = sequencer, Sequencer(log, lambda: next(clock))
            await sequencer.claim([PARTITION])
            fenced = await zombie.process({PARTITION: batch})
            assert fenced.fenced | fenced.unknown == {PARTITION}
            assert fenced.committed == []
        result = await sequencer.process({PARTITION: batch})
        outcomes += [outcome for plan in result.committed for outcome in plan.outcomes]
        if result.unknown:
            assert await sequencer.resume([PARTITION]) == {PARTITION}
        steps += 1
    return outcomes


@settings(max_examples=200, deadline=None)
@given(
    st.lists(records, max_size=30),
    st.lists(st.integers(0, 29), max_size=12),
    st.lists(st.integers(1, 9), min_size=1, max_size=5),
    st.lists(st.booleans(), min_size=1, max_size=5).filter(lambda flags: not all(flags)),
    st.lists(st.sampled_from(["none", "none", "before", "after"]), max_size=30),
)
def test_any_split_and_any_crash_give_what_one_record_at_a_time_gives(
    first: list[LogRecord | None],
    again: list[int],
    sizes: list[int],
    owners: list[bool],
    accidents: list[str],
) -> None:
    """Replay from the position after any crash neither loses nor repeats nor reorders anything."""
    tape, model = Tape(PARTITION), Model()
    for record in [*first, *(first[index] for index in again if index < len(first))]:
        tape.put_raw(Raw(b"?", b"\xff") if record is None else _raw(record))
        model.take(record)
    log = FailingLog(accidents)
    outcomes = asyncio.run(run(log, tape, sizes, owners))
    _same_log(log, model)
    _unread_is_a_recount(log)
    if "after" not in accidents:
        assert [(o.disposition, o.sequence, o.reason) for o in outcomes] == model.ends


def _same_log(log: MemoryLog, model: Model) -> None:
    assert len(log.dead_letter) == model.dead
    assert log.room_event.keys() == model.events.keys()
    for room_id, events in log.room_event.items():
        assert [event.sequence for event, _ in events] == list(range(1, len(events) + 1))
        assert log.room_head[room_id].head_sequence == len(model.events[room_id])
    assert {key: (f.body_hash, f.sequence) for key, f in log.request.items()} == model.first
    current = {(r, u): joined for (r, u, joined), gone in log.membership.items() if gone is None}
    assert current == model.inside


def _unread_is_a_recount(log: MemoryLog) -> None:
    for (room_id, user_id, _), gone in log.membership.items():
        if gone is not None:
            continue
        mark = log.receipt[(room_id, user_id)]
        later = [m for (r, _), m in log.message_rows.items() if r == room_id and m.sequence > mark.sequence]
        assert log.room_head[room_id].message_count - mark.message_number == len(later)


def _raw(record: LogRecord) -> Raw:
    tape = Tape(PARTITION)
    tape.put(record)
    return tape.records[0]
