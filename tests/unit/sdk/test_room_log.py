"""The rule of contiguity: whatever arrives, in whatever order, each event is applied once and in order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from polychat_sdk.backoff import Backoff
from polychat_sdk.room_log import HELLO_ROOMS, RoomLog, Verdict

ROOM = 7


def test_the_next_event_is_applied_and_a_lower_one_ignored() -> None:
    """The plain case, and a repeat."""
    log = RoomLog()
    log.begin(ROOM, 3)
    assert log.judge(ROOM, 4) is Verdict.APPLY
    assert log.judge(ROOM, 4) is Verdict.IGNORE
    assert log.cursors() == {ROOM: 4}


def test_a_room_joined_later_begins_with_its_first_event() -> None:
    """Nobody told the room's head: the first event says where it is."""
    log = RoomLog()
    assert log.judge(ROOM, 90) is Verdict.APPLY


def test_a_room_joined_while_away_begins_with_the_joining() -> None:
    """A later welcome names a room that was not known: everything since the joining is to be fetched."""
    log = RoomLog()
    assert log.begin(ROOM, 9, joined_sequence=5) is Verdict.FETCH
    log.named()
    assert log.begin(ROOM, 9, joined_sequence=5) is Verdict.IGNORE
    assert log.paged(ROOM, range(5, 10)) == [5, 6, 7, 8, 9]
    assert log.filled(ROOM, last_page=True, asked=9)
    assert log.judge(ROOM, 10) is Verdict.APPLY


def test_a_hole_is_fetched_and_live_events_wait_for_it() -> None:
    """Nothing after the hole is applied before the hole is filled."""
    log = RoomLog()
    log.begin(ROOM, 3)
    assert log.judge(ROOM, 6) is Verdict.FETCH
    assert log.judge(ROOM, 7) is Verdict.FETCH
    assert log.paged(ROOM, [4, 5, 6]) == [4, 5, 6]
    assert not log.filled(ROOM, last_page=False, asked=7)
    assert log.paged(ROOM, [7]) == [7]
    assert log.filled(ROOM, last_page=True, asked=7)
    assert log.judge(ROOM, 8) is Verdict.APPLY


def test_events_that_may_not_be_seen_do_not_stop_the_view() -> None:
    """Pages leave them out; after the last page the cursor stands past them."""
    log = RoomLog()
    log.begin(ROOM, 0)
    assert log.gap(ROOM, 9, reset=False) == 0
    assert log.paged(ROOM, [1, 4]) == [1, 4]
    assert log.filled(ROOM, last_page=True, asked=log.wanted(ROOM))
    assert log.cursors() == {ROOM: 9}


def test_a_reset_forgets_the_copy() -> None:
    """A restored log is shorter than the copy: page from its beginning."""
    log = RoomLog()
    log.begin(ROOM, 500)
    assert log.gap(ROOM, 40, reset=True) == 0
    assert log.paged(ROOM, range(1, 41)) == list(range(1, 41))
    assert log.filled(ROOM, last_page=True, asked=40)
    assert log.judge(ROOM, 41) is Verdict.APPLY


def test_a_skip_moves_on_and_never_back() -> None:
    """A late skip of what is behind changes nothing."""
    log = RoomLog()
    log.begin(ROOM, 5)
    assert log.skip(ROOM, 6, 8) is Verdict.APPLY
    assert log.skip(ROOM, 1, 2) is Verdict.IGNORE
    assert log.judge(ROOM, 9) is Verdict.APPLY


def test_a_skip_does_not_jump_over_what_is_being_fetched() -> None:
    """The hole before it is still to be filled."""
    log = RoomLog()
    log.begin(ROOM, 3)
    assert log.judge(ROOM, 6) is Verdict.FETCH
    assert log.skip(ROOM, 7, 8) is Verdict.FETCH
    assert log.paged(ROOM, [4, 5, 6]) == [4, 5, 6]
    assert log.filled(ROOM, last_page=True, asked=8)
    assert log.cursors() == {ROOM: 8}


def test_an_event_that_came_while_a_page_was_read_takes_another_page() -> None:
    """It may have been committed after the page was read, so the page does not say that it is hidden."""
    log = RoomLog()
    log.begin(ROOM, 0)
    log.gap(ROOM, 2, reset=False)
    asked = log.wanted(ROOM)
    assert log.judge(ROOM, 3) is Verdict.FETCH
    assert log.paged(ROOM, [1, 2]) == [1, 2]
    assert not log.filled(ROOM, last_page=True, asked=asked)
    assert log.paged(ROOM, [3]) == [3]
    assert log.filled(ROOM, last_page=True, asked=log.wanted(ROOM))


def test_a_restore_voids_what_it_names_at_once() -> None:
    """The cursor is 0 from the welcome on, so a connection lost before its `gap` leaves nothing wrong."""
    log = RoomLog()
    log.begin(ROOM, 50)
    log.begin(ROOM + 1, 7)
    log.judge(ROOM, 52)
    assert log.named() == {ROOM: 50, ROOM + 1: 7}
    assert log.restored(100, [ROOM, ROOM + 1], [ROOM, 4711]) == [ROOM]
    assert (log.epoch, log.cursors(), log.wanted(ROOM)) == (100, {ROOM: 0, ROOM + 1: 7}, 0)
    assert log.gap(ROOM, 60, reset=True) == 0
    assert log.paged(ROOM, [1, 2]) == [1, 2]


def _many() -> RoomLog:
    """One room more than a hello can name, each with 10 events."""
    log = RoomLog()
    for room in range(HELLO_ROOMS + 1):
        log.begin(room, 10)
    assert len(log.named()) == HELLO_ROOMS
    return log


def test_what_hello_could_not_name_is_fetched() -> None:
    """Nobody replays what was missed there, so the head says whether something was."""
    log = _many()
    assert log.begin(HELLO_ROOMS - 1, 20, joined_sequence=1) is Verdict.IGNORE
    assert log.begin(HELLO_ROOMS, 10, joined_sequence=1) is Verdict.IGNORE
    assert log.begin(HELLO_ROOMS, 20, joined_sequence=1) is Verdict.FETCH
    assert log.judge(HELLO_ROOMS, 21) is Verdict.FETCH
    assert log.paged(HELLO_ROOMS, range(11, 22)) == list(range(11, 22))
    assert log.filled(HELLO_ROOMS, last_page=True, asked=21)


def test_a_room_that_began_after_the_hello_was_not_named_by_it() -> None:
    """What counts is what the hello said, and not what the next one would say."""
    log = RoomLog()
    log.named()
    log.begin(ROOM, 3)
    assert log.begin(ROOM, 5) is Verdict.FETCH


def test_a_restore_voids_what_hello_could_not_name() -> None:
    """Nothing of it holds, and it comes again from its first event on, not from the middle."""
    log = _many()
    assert log.restored(0, range(HELLO_ROOMS + 1), []) == []
    assert log.restored(100, range(HELLO_ROOMS + 1), []) == [HELLO_ROOMS]
    assert log.cursors()[HELLO_ROOMS] == 0
    assert log.begin(HELLO_ROOMS, 9, joined_sequence=5) is Verdict.FETCH
    assert log.paged(HELLO_ROOMS, [2, 5]) == [2, 5]
    assert log.filled(HELLO_ROOMS, last_page=True, asked=9)


def test_a_restore_voids_what_its_welcome_does_not_tell() -> None:
    """As of a room that the user is in no more, or that a truncated welcome had no place for: nobody has
    judged its cursor. What comes of it later has numbers that meant other events."""
    log = RoomLog()
    log.begin(ROOM, 50)
    log.begin(ROOM + 1, 7)
    log.named()
    assert log.restored(0, [ROOM + 1], []) == []
    assert log.restored(100, [ROOM + 1], []) == [ROOM]
    assert log.cursors() == {ROOM: 0, ROOM + 1: 7}
    assert log.judge(ROOM, 30) is Verdict.FETCH


def test_such_a_room_begins_again_when_a_list_has_it() -> None:
    """It was in the hello, but not as what it is now: nobody replays it."""
    log = RoomLog()
    log.begin(ROOM, 50)
    log.named()
    log.restored(100, [], [])
    assert log.begin(ROOM, 30, joined_sequence=1) is Verdict.FETCH
    assert log.paged(ROOM, range(1, 31)) == list(range(1, 31))


def test_a_restore_voids_what_was_being_fetched() -> None:
    """What was wanted was of the log before: events up to there may never have been, or be others."""
    log = RoomLog()
    log.begin(ROOM, 40)
    assert log.judge(ROOM, 60) is Verdict.FETCH
    log.named()
    assert log.restored(100, [ROOM], []) == [ROOM]
    assert log.begin(ROOM, 50) is Verdict.FETCH
    assert log.paged(ROOM, range(1, 51)) == list(range(1, 51))
    assert log.filled(ROOM, last_page=True, asked=log.wanted(ROOM))
    assert log.judge(ROOM, 51) is Verdict.APPLY


@given(st.lists(st.integers(1, 30), max_size=120))
def test_any_delivery_ends_in_the_whole_log_once(arrivals: list[int]) -> None:
    """Lost, repeated and reordered deliveries: with paging on FETCH the view is 1..n, each once."""
    log = RoomLog()
    log.begin(ROOM, 0)
    applied: list[int] = []
    head = 0
    for sequence in arrivals:
        head = max(head, sequence)
        verdict = log.judge(ROOM, sequence)
        if verdict is Verdict.APPLY:
            applied.append(sequence)
        if verdict is Verdict.FETCH:
            applied += log.paged(ROOM, range(log.cursors()[ROOM] + 1, head + 1))
            assert log.filled(ROOM, last_page=True, asked=log.wanted(ROOM))
    assert applied == list(range(1, head + 1))


def test_waiting_grows_is_bounded_and_is_forgotten() -> None:
    """Full jitter between nothing and a limit that doubles up to 30 s; a healthy minute resets it."""
    backoff = Backoff(jitter=lambda limit: limit)
    assert [backoff.next() for _ in range(8)] == [0.5, 1, 2, 4, 8, 16, 30, 30]
    assert backoff.next(told=2.5) == 2.5
    backoff.lasted(59)
    assert {backoff.next() for _ in range(2000)} == {30}
    backoff.lasted(61)
    assert backoff.next() == 0.5
