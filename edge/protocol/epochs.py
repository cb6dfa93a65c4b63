"""Which cursors a restored backup has made void. Pure rules.

Every restore gives the log an epoch. Up to where a room stood in the backup, the log is the one that
clients have seen before; past it, the same numbers came to mean other events. So a cursor is void when a
restore that came after it went back to before it. A cursor that does not say its epoch may be of any
time: it is taken for the oldest, which costs a reset too many and never leaves one out.
"""

from __future__ import annotations

from collections.abc import Sequence

from polychat.internal.log.v1.log_read_service_pb2 import RoomEpoch

VOID = 2**63
"""A cursor past the head of every room, which is answered with a reset, and past all a client can say."""


def current(log_epochs: Sequence[int]) -> int:
    """The epoch of a log with these restores behind it; 0 when there was none."""
    return log_epochs[-1] if log_epochs else 0


def judged(cursor: int, epoch: int, room: Sequence[RoomEpoch], log_epochs: Sequence[int]) -> int:
    """The cursor that a client took at an epoch, or VOID.

    `room` holds the room's head in the backup of each restore; a restore that is not there was before the
    room was made. An epoch that the log never had is that of a log which a restore has undone as a whole:
    nothing is known of it.
    """
    if epoch == current(log_epochs) or cursor == 0:
        return cursor
    if epoch and epoch not in log_epochs:
        return VOID
    undone = any(one.epoch > epoch and one.head_sequence < cursor for one in room)
    return VOID if undone else cursor
