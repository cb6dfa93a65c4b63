"""The state machine of one connection: one table says what each frame means in each phase."""

from __future__ import annotations

import enum

from edge.protocol.limits import IN_FLIGHT


class Kind(enum.StrEnum):
    """The bodies of a client frame, by their field names in `ClientFrame`."""

    HELLO = "hello"
    SEND = "send"
    CALL = "call"
    RECEIPT = "receipt"
    TYPING = "typing"
    WATCH_PRESENCE = "watch_presence"
    REFRESH = "refresh"
    PING = "ping"
    PONG = "pong"


REQUESTS = frozenset({Kind.HELLO, Kind.SEND, Kind.CALL, Kind.RECEIPT, Kind.WATCH_PRESENCE, Kind.REFRESH})
"""Kinds that get exactly one reply; the others carry no id."""


class Phase(enum.IntEnum):
    """How far a connection is."""

    AWAITING_HELLO = 0
    OPENING = 1
    """`hello` is being checked, by us and by chat; what comes meanwhile waits unread."""
    OPEN = 2
    CLOSING = 3


class Step(enum.Enum):
    """What to do with a frame."""

    OPEN = enum.auto()
    """Check the token and open the connection with chat."""
    HANDLE = enum.auto()
    HOLD = enum.auto()
    """Keep it unread until the phase changes."""
    REFUSE_UNGREETED = enum.auto()
    """HELLO_REQUIRED, then close 4200."""
    REFUSE_REPEATED = enum.auto()
    """HELLO_REPEATED; the connection lives."""
    IGNORE = enum.auto()


TRANSITIONS: dict[Phase, dict[Kind, Step]] = {
    Phase.AWAITING_HELLO: {kind: Step.OPEN if kind is Kind.HELLO else Step.REFUSE_UNGREETED for kind in Kind},
    Phase.OPENING: dict.fromkeys(Kind, Step.HOLD),
    Phase.OPEN: {kind: Step.REFUSE_REPEATED if kind is Kind.HELLO else Step.HANDLE for kind in Kind},
    Phase.CLOSING: dict.fromkeys(Kind, Step.IGNORE),
}


class Connection:
    """What one connection has said and is owed. Its owner acts on the steps and reports what happened.

    `in_flight` counts requests that were handled and not answered; at the limit, while opening, and
    while it is clogged, `readable` is false and the owner stops reading.
    """

    __slots__ = (
        "clogged",
        "connection_id",
        "expire_time",
        "in_flight",
        "missed",
        "phase",
        "session_id",
        "token",
        "user_id",
        "warned",
    )

    def __init__(self, connection_id: int) -> None:
        self.connection_id = connection_id
        self.phase = Phase.AWAITING_HELLO
        self.user_id = 0
        self.session_id = 0
        self.token = ""
        self.expire_time = 0.0
        """Seconds since 1970, from the token."""
        self.in_flight = 0
        self.clogged = False
        """Too much waits to be taken by the peer, its own replies among it."""
        self.missed = 0
        """Heartbeats since the peer was last heard."""
        self.warned = False
        """`tokenExpiring` was sent for the present token."""

    @property
    def readable(self) -> bool:
        """Whether the next frame may be handled now."""
        return self.phase is not Phase.OPENING and self.in_flight < IN_FLIGHT and not self.clogged

    def receive(self, kind: Kind) -> Step:
        """What to do with a frame that was just read; counts a request that is to be handled."""
        step = TRANSITIONS[self.phase][kind]
        if step is Step.OPEN:
            self.phase = Phase.OPENING
        if kind in REQUESTS and (step is Step.HANDLE or step is Step.OPEN):
            self.in_flight += 1
        return step

    def identify(self, user_id: int, session_id: int, token: str, expire_time: float) -> None:
        """Takes over who the token says it is, at `hello` and again at `refresh`."""
        self.user_id = user_id
        self.session_id = session_id
        self.token = token
        self.expire_time = expire_time
        self.warned = False

    def opened(self) -> None:
        """Chat knows the connection: `welcome` is due. No effect on a connection that is closing."""
        if self.phase is Phase.OPENING:
            self.phase = Phase.OPEN

    def answered(self) -> None:
        """One request has its reply."""
        if self.in_flight <= 0:
            raise AssertionError("a reply without a request")
        self.in_flight -= 1

    def close(self) -> bool:
        """Begins to close. False when it was closing already: the first reason stands."""
        if self.phase is Phase.CLOSING:
            return False
        self.phase = Phase.CLOSING
        return True
