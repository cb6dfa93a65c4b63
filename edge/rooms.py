"""What a connection gets of its rooms: `welcome`, replays, events, signals; kept right over a new link."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from polychat.edge.v1.client_frame_pb2 import Hello
from polychat.edge.v1.server_frame_pb2 import ServerFrame, Welcome
from polychat.edge.v1.signal_pb2 import TypingSignal
from polychat.internal.link.v1.link_service_pb2 import AttachResponse, ConnectionOpened
from polychat.internal.log.v1.log_read_service_pb2 import UserRoom
from polychat.internal.log.v1.record_pb2 import RoomSignal
from polychat.message.v1.receipt_pb2 import Receipt

from edge.config import EdgeSettings
from edge.fanout import Fanout
from edge.holes import Mender, event_of
from edge.lagging import Lagging
from edge.listed import corrected, judged_cursor, state_of, unlisted
from edge.peer import Outbox, Peer
from edge.protocol.epochs import VOID, current
from edge.protocol.events import Event, Wire
from edge.protocol.framing import binary_frame, text_frame
from edge.protocol.limits import FRAME_BYTES, HELLO_ROOMS, IN_FLIGHT, TEXT_BYTES
from edge.protocol.receipts import Receipts
from edge.protocol.server_frames import receipt_json, typing_json
from edge.resume import Resumer
from edge.room import Room, User


class Rooms:
    """Between what the link says and what peers get."""

    def __init__(
        self,
        settings: EdgeSettings,
        fanout: Fanout,
        mender: Mender,
        resumer: Resumer,
        lagging: Lagging,
        outbox: Outbox,
        clock: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._fanout = fanout
        self._mender = mender
        self._resumer = resumer
        self._outbox = outbox
        self._clock = clock
        self._epoch: int | None = None
        """Of the log that everything here is of; None until chat has said it."""
        self.expect = fanout.comings.expect
        self.recall = fanout.comings.recall
        fanout.on_read = self._show_due
        self.ask_anew = fanout.comings.forget
        self.leave = lagging.leave
        self.drained = lagging.end
        self.flush = outbox.flush

    def deliver(self, response: AttachResponse) -> None:
        """Events, then heads to compare with, then signals."""
        for record in response.events:
            self._fanout.take(event_of(record))
        for head in response.heads:
            room = self._fanout.rooms.get(head.room_id)
            if room is None:
                self._fanout.comings.passed_by(head.room_id, head.head_sequence, unseen=head.head_sequence)
            elif room.log.observe(head.head_sequence):
                self._mender.want(room)
        self._fanout.finish()
        for signal in response.signals:
            self._signal(signal)

    def follow(self, opened: ConnectionOpened, close: Callable[[Peer], None]) -> None:
        """Goes over to the log that chat has now. When that was set back (a restored database), all that is
        known here of rooms is void: it goes with the connections, which come back with their cursors."""
        epoch = current(opened.log_epochs)
        if opened.HasField("failure") or epoch == self._epoch:
            return
        if self._epoch is not None:
            for peer in [peer for user in self._fanout.users.values() for peer in user.peers]:
                close(peer)
            self._fanout.comings.forget_ended()
            for room in self._fanout.rooms.values():
                room.receipts = Receipts()
        self._epoch = epoch

    # ---- opening --------------------------------------------------------------------------------

    def is_old(self, opened: ConnectionOpened) -> bool:
        """Whether a room of this list began here after the list was read, for somebody else: the user may
        have left in between, and nobody here would have heard. Chat is to be asked once more."""
        user = self._fanout.users.get(opened.user_id)
        old = [entry for entry in opened.rooms if self._begun_since(user, entry)]
        for entry in old:
            self._mender.check(self._fanout.rooms[entry.room_id])  # or it is from a restored database
        return bool(old)

    def _begun_since(self, user: User | None, entry: UserRoom) -> bool:
        room = self._fanout.rooms.get(entry.room_id)
        known = user is not None and entry.room_id in user.rooms
        return room is not None and not known and entry.head_sequence < room.begun

    def welcome(
        self, peer: Peer, request_id: int, hello: Hello, opened: ConnectionOpened, passed: Sequence[Event]
    ) -> None:
        """Makes a peer a member of its rooms, says `welcome`, and begins what it missed."""
        user = self._fanout.enter(opened.user_id, peer)
        self._show_ended(user, user.peers - {peer}, opened)
        rooms = corrected(user, opened, passed)
        cursors = {cursor.room_id: cursor.sequence for cursor in hello.rooms}
        welcome = self._welcome(peer, opened)
        begun = []
        for entry in rooms:
            room = self._enter(user, entry.room_id, entry.head_sequence, entry.joined_sequence)
            room.receipts.note(user.user_id, entry.read_sequence)
            cursor = judged_cursor(cursors.pop(entry.room_id, None), hello, entry, opened)
            if cursor == VOID:
                welcome.reset_room_ids.append(entry.room_id)
            begun.append((room, entry.head_sequence, cursor))
            if len(welcome.rooms) < HELLO_ROOMS:
                welcome.rooms.append(state_of(entry))
            else:
                welcome.rooms_truncated = True
        if hello.log_epoch == welcome.log_epoch:
            peer.said = cursors
        peer.send(ServerFrame(id=request_id, welcome=welcome))
        self._resumer.resume(peer, begun)
        for entry in rooms:
            self._bring_missing(user, self._fanout.rooms[entry.room_id], max(0, entry.joined_sequence - 1))
        for event in passed:
            self._begin_joined(user, event)
        for room_id in unlisted(user, rooms):
            room, left = self._fanout.rooms[room_id], user.left.get(room_id, 0)
            if opened.rooms_truncated:
                self._bring_missing(user, room, room.log.head)
            elif left >= user.rooms[room_id]:
                self._bring_missing(user, room, left)  # it is yet to come by, and what is after it
                self._mender.check(room)
            elif not room.has(peer):
                self._fanout.comings.on_late(user)  # the user came, or left, and only one of us has heard

    def _enter(self, user: User, room_id: int, head: int, joined_sequence: int) -> Room:
        """Notes a membership. Between a leaving and a return that are to come by yet, nobody is live (I5);
        nor does anybody wait for the head to come to its cursor."""
        known = self._fanout.rooms.get(room_id)
        held: list[Peer] = []
        if known is not None and room_id in user.rooms and joined_sequence > known.log.head + 1:
            self._fanout.settle(known)
            waiting = known.waits_before(user, joined_sequence)
            held = [peer for peer in waiting if not self._resumer.is_behind(peer, known)]
            held += known.hold_back(user)
        room = self._fanout.enter_room(user, room_id, head, joined_sequence)
        for peer in held:
            self._resumer.catch_up(peer, (room,))
        return room

    def _begin_joined(self, user: User, event: Event) -> None:
        """A room that was joined while chat was reading begins with its `memberJoined`, unless it is an old
        hint of that, or a membership before it was missed here."""
        room_id, sequence = event.room_id, event.sequence
        if user.user_id not in event.joined or user.left.get(room_id, 0) >= sequence:
            return
        known = self._fanout.rooms.get(room_id)
        begun = sequence - 1 if known is None else known.begun
        if self._fanout.comings.doubts(user, room_id, sequence, begun):
            return
        room = self._enter(user, room_id, sequence, sequence)
        self._bring_missing(user, room, sequence - 1)

    def _bring_missing(self, user: User, room: Room, cursor: int) -> None:
        """Begins a room for those of the user's peers that do not have it yet."""
        for peer in user.peers:
            said = peer.cursor(room.room_id, cursor)
            if not room.has(peer) and said > max(room.log.head, cursor) and said >= room.joined(peer):
                room.hold(peer, said)
                self._mender.want(room)
            elif not room.has(peer):
                self._resumer.bring(peer, room, said)

    def _welcome(self, peer: Peer, opened: ConnectionOpened) -> Welcome:
        welcome = Welcome(
            connection_id=str(peer.connection.connection_id),
            user_id=opened.user_id,
            rooms_truncated=opened.rooms_truncated,
            log_epoch=current(opened.log_epochs),
        )
        welcome.server_time.FromMilliseconds(int(self._clock() * 1000))
        welcome.heartbeat.FromMilliseconds(int(self._settings.heartbeat_seconds * 1000))
        welcome.limits.frame_bytes = FRAME_BYTES
        welcome.limits.text_bytes = TEXT_BYTES
        welcome.limits.in_flight = IN_FLIGHT
        return welcome

    # ---- a new link -----------------------------------------------------------------------------

    def compare(self, peer: Peer, opened: ConnectionOpened) -> None:
        """An open connection is known to a new chat instance: its rooms may have moved meanwhile."""
        user = peer.user
        if user is None:
            return
        again = user.answered(peer)
        rooms = corrected(user, opened)
        self._show_ended(user, user.peers, opened)
        for entry in rooms:
            self._compare_room(user, entry)
        if not opened.rooms_truncated:
            for room_id in unlisted(user, rooms):
                self._mender.check(self._fanout.rooms[room_id])
        if again and not user.asks:
            self._fanout.comings.on_late(user)

    def _show_ended(self, user: User, peers: Iterable[Peer], opened: ConnectionOpened) -> None:
        """Memberships that are over: those that are held for present end, and those that began and ended
        unseen are shown to the peers of the user that were here."""
        for one in opened.ended:
            room_id, last = one.room_id, one.left_sequence
            if room_id in user.rooms:
                self._fanout.end(self._fanout.rooms[room_id], user, last)
            elif not user.knows(room_id, last):
                user.note_shown(room_id, last)
                for peer in peers:
                    cursor = peer.cursor(room_id, one.joined_sequence - 1)
                    if cursor < last:
                        self._resumer.finish(peer, self._fanout.room(room_id, last), cursor, last)
                        peer.leave(room_id, last)

    def _compare_room(self, user: User, entry: UserRoom) -> None:
        before = max(0, entry.joined_sequence - 1)
        room = self._fanout.rooms.get(entry.room_id)
        if room is not None and self._begun_since(user, entry):
            self._mender.check(room)
            self._fanout.comings.on_late(user)
            return
        if room is None or (entry.room_id not in user.rooms and room.log.head > before):
            room = self._fanout.enter_room(user, entry.room_id, before, entry.joined_sequence)
        if entry.room_id in user.rooms:
            self._bring_missing(user, room, before)
        if room.log.observe(entry.head_sequence):
            self._mender.want(room)
        elif entry.head_sequence < room.log.head:
            self._mender.check(room)  # read before our last event, or from a restored database

    # ---- signals --------------------------------------------------------------------------------

    def _signal(self, signal: RoomSignal) -> None:
        room = self._fanout.rooms.get(signal.room_id)
        if room is None:
            return
        typing = signal.WhichOneof("body") == "typing"
        if typing:
            body = TypingSignal(room_id=signal.room_id, user_id=signal.user_id)
            frames = (text_frame(typing_json(body)), ServerFrame(typing=body).SerializeToString())
        elif signal.read_sequence > room.log.head:
            room.receipts.hold(signal.user_id, signal.read_sequence)
            return  # who would be shown it may have left before that
        elif not room.receipts.advance(signal.user_id, signal.read_sequence):
            return  # a later one overtook it
        else:
            read = Receipt(room_id=signal.room_id, user_id=signal.user_id, read_sequence=signal.read_sequence)
            frames = (text_frame(receipt_json(read)), ServerFrame(receipt=read).SerializeToString())
        by_wire = {Wire.JSON: frames[0], Wire.BINARY: binary_frame(frames[1]), Wire.STREAM: frames[1]}
        for peer in room.live:
            own = peer.connection.user_id == signal.user_id
            if peer.slow or (own and (typing or peer.knows_receipt(signal.room_id, signal.read_sequence))):
                continue
            self._outbox.put(peer, by_wire[peer.wire])

    def _show_due(self, room: Room) -> None:
        """Shows the receipts that waited for what was read, after it."""
        due = room.receipts.due(room.log.head)
        if due:
            self._fanout.settle(room)
        for user_id, sequence in due:
            self._signal(RoomSignal(room_id=room.room_id, user_id=user_id, read_sequence=sequence))
