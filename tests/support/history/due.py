"""I4 for who was shown too little to have a view at all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from tests.support.history.records import Kind, Logs, Memberships, Record, Violation

VIEWING = (Kind.RESUME, Kind.RESET, Kind.STATE, Kind.RECEIVE, Kind.SKIP)
"""What makes a view: from there on `check_views` tells what is missing in it."""


def check_due(
    history: Sequence[Record], logs: Logs, memberships: Memberships, present: Mapping[str, int]
) -> Iterable[Violation]:
    """`present`: the clients that are connected at the end of the history, and their users.

    A member has a view of the room. Who left has one too, up to the leave, if the connection on which
    the client was when it came in lasted to the end.
    """
    views: dict[tuple[str, int], Record] = {}
    came: dict[tuple[str, int], Record] = {}
    lost: dict[str, Record] = {}
    for record in history:
        if record.kind in VIEWING:
            views[record.client, record.room] = record
        if record.kind is Kind.JOINED:
            came[record.client, record.room] = record
        if record.kind is Kind.LOST:
            lost[record.client] = record
    for client, user in present.items():
        for (room, member), stretches in memberships.items():
            if member != user or room not in logs:
                continue
            first, left = stretches[-1]
            view, coming, end = views.get((client, room)), came.get((client, room)), lost.get(client)
            if left is None:
                due = view is None
            else:
                stayed = coming is not None and (end is None or end.time < coming.time)
                due = stayed and (view is None or max(view.sequence, view.to_sequence) < first)
            if due:
                event = logs[room][first - 1]
                text = f"{client} was shown nothing of room {room}, which it came into at {first}"
                yield Violation("I4", text, (event,) if coming is None else (event, coming))
