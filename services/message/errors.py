"""Why the message service says no; and the store's refusals, which only the sequencer sees."""

from __future__ import annotations

from chassis.errors import Code, Failure


class NotAMember(Failure):
    """The caller is not in the room now, or there is no such room: both answer the same."""

    code = Code.PERMISSION_DENIED
    reason = "NOT_A_MEMBER"
    text = "you are not a member of this room"


class MessageNotFound(Failure):
    """The room has no such message, or not while the caller was a member."""

    code = Code.NOT_FOUND
    reason = "MESSAGE_NOT_FOUND"
    text = "no such message in this room"


class ReceiptPastHead(Failure):
    """A receipt names a sequence that the room does not have yet."""

    code = Code.FAILED_PRECONDITION
    reason = "RECEIPT_PAST_HEAD"
    text = "the room ends at {headSequence}; a receipt cannot be past it"


class CommitRefused(Exception):  # noqa: N818 — an outcome the sequencer acts on
    """The store wrote nothing of a batch, and a repeat of the same batch would end the same."""


class RequestKnown(CommitRefused):
    """A request id of the batch was committed before."""


class RecordRefused(CommitRefused):
    """Something in the batch breaks a rule of the store; `rule` names it."""

    def __init__(self, rule: str) -> None:
        super().__init__(rule)
        self.rule = rule


class RoomLocked(CommitRefused):
    """Another transaction holds a row that the batch needs, for longer than we wait."""
