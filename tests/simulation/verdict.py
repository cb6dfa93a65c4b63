"""What a run shows: the checker's verdict over the histories, and what only the twins can tell."""

from __future__ import annotations

from collections.abc import Iterable

from tests.simulation.client import Person
from tests.simulation.world import World
from tests.support.history import check


def judge(world: World) -> list[str]:
    """Every breach, in words; an empty list means that all promises were kept."""
    return [
        *_of_histories(world),
        *(f"complaint: {text}" for text in (*world.journal.complaints, *world.loop.complaints)),
        *_of_applications(world),
        *_of_repeats(world),
        *_of_memberships(world),
        *_of_receipts(world),
    ]


def _of_histories(world: World) -> Iterable[str]:
    """A view may end early when its connection did, or when its user was no member at its `welcome`."""
    complete = {(p.view_of(room), room) for p in world.persons for room in p.listed}
    for violation in check(world.journal.records, world.logs(), world.memberships()):
        if violation.text.startswith("the view of"):
            record = violation.records[0]
            if (getattr(record, "client", ""), getattr(record, "room", 0)) not in complete:
                continue
        yield str(violation)


def _of_applications(world: World) -> Iterable[str]:
    """I4 for who uses the SDK: each event of its memberships once, in order, none missing."""
    memberships = world.memberships()
    for person in (*world.persons, *world.gone):
        for room, applied in person.applied.items():
            start = person.starts.get(room, applied[0] - 1)
            expected = [
                sequence
                for first, last in memberships.get((room, person.user_id), ())
                for sequence in range(first, (applied[-1] if last is None else last) + 1)
                if start < sequence <= applied[-1]
            ]
            if applied != expected:
                yield f"I4: the SDK of {person.name} gave {applied} of room {room}, not {expected}"
        yield from _to_the_end(world, person)


def _to_the_end(world: World, person: Person) -> Iterable[str]:
    if person in world.gone:
        return
    for (room, user), intervals in world.memberships().items():
        head = world.log.room_head[room].head_sequence
        applied = person.applied.get(room, [])
        end = applied[-1] if applied else person.starts.get(room, 0)
        if user == person.user_id and intervals[-1][1] is None and end != head:
            yield f"I4: the SDK of {person.name} gave room {room} up to {end}, its head is {head}"


def _of_repeats(world: World) -> Iterable[str]:
    """I2: what was acknowledged is so again, unless its sender left the room since."""
    memberships = world.memberships()
    for person in (*world.persons, *world.gone):
        for room, request_id in person.refused_again:
            log = world.logs()[room]
            place = next((event.sequence for event in log if event.request_id == request_id), 0)
            intervals = memberships[room, person.user_id]
            if not any(left is not None and left > place for _, left in intervals):
                yield f"I2: {person.name} sent {request_id} of room {room} at {place}, and is refused it now"


def _of_memberships(world: World) -> Iterable[str]:
    """The log says of every membership what chat's tables say: no change was lost or shuffled."""
    told = {key for key, intervals in world.memberships().items() if intervals[-1][1] is None}
    stored = {key for key, membership in world.postgres.chat._memberships.items() if membership.joined}
    for room, user in sorted(told ^ stored):
        where = "only in the log" if (room, user) in told else "only in chat's tables"
        yield f"outbox: user {user} is a member of room {room} {where}"


def _of_receipts(world: World) -> Iterable[str]:
    """I6: the two numbers of a receipt belong together."""
    for (room, user), mark in world.log.receipt.items():
        events = world.log.room_event.get(room, [])
        number = events[mark.sequence - 1][1] if mark.sequence else 0
        if mark.sequence > len(events) or number != mark.message_number:
            yield f"I6: the receipt of user {user} in room {room} says {mark}, the log {number}"
