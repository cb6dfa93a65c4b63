"""A room that has a member here, a user with a connection here, and who is how far in what."""

from __future__ import annotations

from edge.peer import Peer, note_latest
from edge.protocol.catch_up import RoomLog
from edge.protocol.events import Event
from edge.protocol.receipts import Receipts
from edge.protocol.rings import Rings

MAX_LEFT = 256
"""Rooms that a connected user left last, by which lists are judged that were read before."""
READS_TO_DOUBT = 2
"""Until a cursor past the head is void. The first may have begun before it was said, for somebody else."""


class Replay:
    """How far one peer is brought in a room that it is not live in yet."""

    __slots__ = ("cursor", "unsure", "until")

    def __init__(self, cursor: int, unsure: int = 0) -> None:
        self.cursor = cursor
        self.unsure = unsure
        """So many reads more have to say that the log ends before the cursor, until that is believed."""
        self.until: int | None = None
        """Its user left at this sequence: nothing follows it."""


class Room:
    """A room that has a member here. A peer of a member is live, or resting, or waiting."""

    __slots__ = ("begun", "live", "log", "receipts", "resting", "room_id", "run", "users", "waiting")

    def __init__(self, room_id: int, head: int, rings: Rings | None = None) -> None:
        self.room_id = room_id
        self.begun = head
        """All that follows this has come by here or will."""
        self.log = RoomLog(head, rings)
        self.receipts = Receipts()
        self.live: set[Peer] = set()
        """Peers that are given what happens."""
        self.resting: set[Peer] = set()
        """Lagging peers that have everything: they wait as soon as something happens."""
        self.waiting: dict[Peer, Replay] = {}
        """Peers whose cursor is not at the head."""
        self.run: list[Event] = []
        """Events that are let out and not yet put into the live peers' outbox."""
        self.users = 0

    def has(self, peer: Peer) -> bool:
        """Whether the peer gets this room, now or later."""
        return peer in self.live or peer in self.resting or peer in self.waiting

    def goal(self, peer: Peer) -> int:
        """After this, what happens is for the peer: the head, or where its user will have come back."""
        return max(self.log.head, self.joined(peer) - 1)

    def joined(self, peer: Peer) -> int:
        """The first sequence of its user's membership; 0: none."""
        return peer.user.rooms.get(self.room_id, 0) if peer.user is not None else 0

    def hold_back(self, user: User) -> list[Peer]:
        """The user left and came back, and neither came by yet: who was live waits now. Gives these."""
        held = [peer for peer in user.peers if peer in self.live or peer in self.resting]
        for peer in held:
            self.drop(peer)
            self.waiting[peer] = Replay(self.log.head)
        return held

    def waits_before(self, user: User, sequence: int) -> list[Peer]:
        """The user's peers that wait for something before this sequence."""
        waiting = user.peers & self.waiting.keys()
        return [peer for peer in waiting if self.waiting[peer].cursor + 1 < sequence]

    def arrived(self, sequence: int) -> list[Peer]:
        """The peers whose cursor the room has come to, and for whom what follows is."""
        waiting = self.waiting.items()
        return [
            peer
            for peer, at in waiting
            if at.cursor == sequence and at.until is None and self.joined(peer) <= sequence + 1
        ]

    def go_on(self, user: User) -> None:
        """The user came back: what follows the leaving up to which peers are brought is theirs as well."""
        for peer in user.peers & self.waiting.keys():
            self.waiting[peer].until = None

    def set_back(self, head: int) -> None:
        """The log ends here after all (a restored database), and the receipts went back with it."""
        self.begun = min(self.begun, head)
        self.log.set_back(head)
        self.receipts = Receipts()

    def hold(self, peer: Peer, cursor: int) -> None:
        """What happens up to the cursor is known to a peer that is new here, or so its client says."""
        self.waiting[peer] = Replay(cursor, READS_TO_DOUBT)

    def doubt(self, head: int) -> list[Peer]:
        """The log was read up to its head: gives the peers that said a cursor past it."""
        doubted = []
        for peer, replay in self.waiting.items():
            if replay.unsure:
                replay.unsure = replay.unsure - 1 if replay.cursor > head else 0
                if replay.cursor > head and not replay.unsure:
                    doubted.append(peer)
        return doubted

    @property
    def unsure(self) -> bool:
        """Whether a cursor that somebody waits at is still to be compared with the log."""
        return any(replay.unsure for replay in self.waiting.values())

    def begin(self, peer: Peer, cursor: int) -> None:
        """What is after the cursor happens for a peer that is neither live nor waiting."""
        if peer.moved is None:
            self.live.add(peer)
        else:
            self.waiting[peer] = Replay(cursor)
            peer.moved[self.room_id] = self

    def come(self, peer: Peer, sequence: int) -> bool:
        """A peer's user comes at this sequence. Whether it waits for what lies before that: its client has
        the room up to somewhere, and is told that the rest is not for it."""
        cursor = sequence - 1 if self.has(peer) else peer.cursor(self.room_id, sequence - 1)
        if cursor >= sequence:
            self.hold(peer, cursor)
        elif cursor == sequence - 1 or peer.moved is not None:
            self.begin(peer, cursor)
        else:
            self.waiting[peer] = Replay(cursor)
            return True
        return False

    def part(self, peer: Peer, sequence: int) -> None:
        """A peer's user leaves at this sequence: it is brought up to there."""
        if not self.has(peer):
            return
        replay = self.waiting.get(peer, Replay(sequence))
        peer.leave(self.room_id, max(sequence, replay.cursor))
        if replay.cursor < sequence:
            replay.until = sequence
        else:
            self.drop(peer)

    def arrive(self, peer: Peer) -> None:
        """A peer has everything up to the head."""
        replay = self.waiting.pop(peer, None)
        if replay is None or replay.until is None:
            (self.live if peer.moved is None else self.resting).add(peer)

    def rest(self, peer: Peer) -> None:
        """A peer began to lag."""
        if peer in self.live:
            self.live.discard(peer)
            self.resting.add(peer)

    def wake(self, peer: Peer) -> None:
        """A peer lags no more; nothing happened here meanwhile if it rested to the end."""
        if peer in self.resting:
            self.resting.discard(peer)
            self.live.add(peer)

    def move(self, cursor: int) -> None:
        """Something is about to happen after the cursor: nobody rests on."""
        for peer in self.resting:
            self.begin(peer, cursor)
        self.resting.clear()

    def drop(self, peer: Peer) -> None:
        """A peer is not here any more, in no way."""
        self.live.discard(peer)
        self.resting.discard(peer)
        self.waiting.pop(peer, None)


class User:
    """A user with a connection here, and the first sequence of each membership."""

    __slots__ = ("asked", "asker", "asks", "left", "peers", "rooms", "shown", "user_id")

    def __init__(self, user_id: int) -> None:
        self.user_id = user_id
        self.peers: set[Peer] = set()
        self.rooms: dict[int, int] = {}
        self.left: dict[int, int] = {}
        """The last leaving that was heard of, by room: a membership from before it is over."""
        self.shown: dict[int, int] = {}
        """The last leaving that is known of, by room, up to which all was shown that is to be."""
        self.asked: dict[int, int] = {}
        """By room, the last coming or going that showed one before it missed: a list is to tell both."""
        self.asker: Peer | None = None
        """By whom chat was asked for the user's rooms last."""
        self.asks = 0
        """1: chat is being asked, 2: and is to be asked once more after that."""

    def ask(self) -> Peer | None:
        """By whom chat is to be asked for the rooms. One question is out at a time: chat would begin anew
        with each, and never answer."""
        self.asks = min(self.asks + 1, 2)
        if self.asks == 2:
            return None
        self.asker = min(self.peers, key=lambda peer: peer.connection.connection_id)
        return self.asker

    def answered(self, peer: Peer) -> bool:
        """Chat has told the rooms of a peer; whether it is to be asked once more."""
        if peer is not self.asker:
            return False
        asks, self.asks = self.asks, 0
        return asks == 2

    def lost(self, peer: Peer) -> bool:
        """A peer is gone; whether an answer may have gone with it that the user's others need."""
        if peer is not self.asker:
            return False
        self.asker, self.asks = None, 0
        return bool(self.peers)

    def note_left(self, room_id: int, sequence: int) -> None:
        """A leaving of theirs was heard of, in its turn or not."""
        note_latest(self.left, room_id, sequence, MAX_LEFT)

    def note_shown(self, room_id: int, sequence: int) -> None:
        """Their memberships up to this leaving were shown, or are being, or ended before they came here."""
        note_latest(self.shown, room_id, sequence, MAX_LEFT)

    def note_asked(self, room_id: int, sequence: int) -> None:
        """A list is asked for, as they have come or gone unseen before this coming or going."""
        note_latest(self.asked, room_id, sequence, MAX_LEFT)

    def knows(self, room_id: int, sequence: int) -> bool:
        """Whether it is nothing new that they came or went at the sequence."""
        return max(self.rooms.get(room_id, 0), self.shown.get(room_id, 0)) >= sequence

    def missed(self, room_id: int, begun: int) -> bool:
        """Whether they may have come and gone unseen: after a leaving that was known here, and before the
        room began here, or before what a list was asked for."""
        shown = self.shown.get(room_id, 0)
        return 0 < shown < begun or shown < self.asked.get(room_id, 0)

    def set_back(self, room_id: int, head: int) -> None:
        """The room's log ends here after all: a leaving past it never was."""
        if self.left.get(room_id, 0) > head:
            del self.left[room_id]
        if self.asked.get(room_id, 0) > head:
            del self.asked[room_id]
        if self.shown.get(room_id, 0) > head:
            self.shown[room_id] = head
