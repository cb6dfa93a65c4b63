"""Whatever a record holds, reading it ends in a command or a reason, never in an error."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.message.domain import Command, Effect, Raw, Unreadable
from services.message.events import read_record
from tests.support.room_log import Tape, archived, joined, left, rooms_of, sent

PARTITION = 5
(ROOM,) = rooms_of(PARTITION, 1)
headers = st.lists(
    st.tuples(st.sampled_from(["reply_to", "correlation", "x"]), st.binary(max_size=9)), max_size=4
)


@given(st.none() | st.binary(max_size=12), st.none() | st.binary(max_size=200), headers)
def test_any_bytes(key: bytes | None, value: bytes | None, head: list[tuple[str, bytes]]) -> None:
    """Random bytes are unreadable, and are kept as they came."""
    found = read_record(PARTITION, 3, Raw(key, value, head))
    assert isinstance(found, Unreadable)
    assert found.raw == Raw(key, value, head)


@given(st.integers(0, 120), st.integers(0, 255))
def test_a_good_record_with_one_wrong_byte(place: int, byte: int) -> None:
    """Sealing what is still readable works too."""
    tape = Tape(PARTITION)
    tape.put(sent(ROOM, 1, 2, "hello"))
    raw = tape.records[0]
    value = bytearray(raw.value or b"")
    value[place % len(value)] = byte
    found = read_record(PARTITION, 0, raw._replace(value=bytes(value)))
    if isinstance(found, Command):
        assert found.draft.seal(1, 1, 1).event


def test_each_kind_has_its_effect() -> None:
    """The number is the payload's field in RoomEvent."""
    tape = Tape(PARTITION)
    tape.put_all(sent(ROOM, 4, 1), joined(ROOM, 5, 2), left(ROOM, 6, 3), archived(ROOM, 4))
    commands = [tape.command(offset) for offset in range(4)]
    assert [(c.kind, c.effect, c.subject_user_id) for c in commands] == [
        (10, Effect.MESSAGE, 0),
        (17, Effect.JOIN, 5),
        (18, Effect.LEAVE, 6),
        (21, Effect.ARCHIVE, 0),
    ]


def test_sealing_twice_gives_the_second_place_only() -> None:
    """A batch that goes again gets new numbers, and nothing of the old ones stays."""
    tape = Tape(PARTITION)
    tape.put(sent(ROOM, 4, 1))
    draft = tape.command(0).draft
    draft.seal(9, 9_000, 9)
    again = draft.seal(3, 3_000, 2)
    assert again == tape.command(0).draft.seal(3, 3_000, 2)
