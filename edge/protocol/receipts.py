"""How far the readers of one room were shown to have read. Pure rules.

Each receipt comes as a hint of its own, by whichever instance moved it, and hints overtake each other. The
stored receipt never goes back, so of two the lower one is old, and nobody has to be shown it.
They overtake what was read as well, when its own hint was lost: then they wait for it.
"""

from __future__ import annotations

from edge.protocol.limits import EARLY_READERS, READERS


class Receipts:
    """The highest receipt of each reader, for `READERS` of them; past that, the lower half is forgotten
    and no receipt below it is let by: one that may be old is not shown."""

    __slots__ = ("_floor", "_read", "early")

    def __init__(self) -> None:
        self._read: dict[int, int] = {}
        self._floor = 0
        """Whoever is not in `_read` was shown no more than this."""
        self.early: dict[int, int] = {}
        """By reader, the highest receipt of what the room has not come to here."""

    def __len__(self) -> int:
        """How many readers are remembered one by one."""
        return len(self._read)

    def advance(self, user_id: int, sequence: int) -> bool:
        """Takes a receipt in; whether it may be shown: it is not lower than one before it."""
        if sequence < self._read.get(user_id, self._floor):
            return False
        self.note(user_id, sequence)
        return True

    def note(self, user_id: int, sequence: int) -> None:
        """A reader's receipt was told by other means: nothing lower follows it."""
        if sequence > self._read.get(user_id, self._floor):
            self._read[user_id] = sequence
            if len(self._read) > READERS:
                self._forget_half()

    def hold(self, user_id: int, sequence: int) -> None:
        """What was read is still to come by; the receipt waits for it, or is lost when too many do."""
        if user_id in self.early or len(self.early) < EARLY_READERS:
            self.early[user_id] = max(sequence, self.early.get(user_id, 0))

    def due(self, head: int) -> list[tuple[int, int]]:
        """(reader, sequence) of what waits no more: the room has come to its head."""
        due = [(user_id, sequence) for user_id, sequence in self.early.items() if sequence <= head]
        for user_id, _ in due:
            del self.early[user_id]
        return due

    def _forget_half(self) -> None:
        self._floor = sorted(self._read.values())[len(self._read) // 2]
        self._read = {user_id: read for user_id, read in self._read.items() if read > self._floor}
