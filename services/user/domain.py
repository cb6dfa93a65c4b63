"""Profiles and how they are searched; no I/O."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

_FIRST_SURROGATE, _AFTER_SURROGATES = 0xD800, 0xE000
_LAST_CODE_POINT = 0x10FFFF


def search_key(text: str) -> str:
    """What is compared when case does not count (Unicode case folding)."""
    return text.casefold()


@dataclass(frozen=True, slots=True)
class Profile:
    """A person as the others see them, and an email address that they do not see."""

    user_id: int
    username: str
    display_name: str
    bio: str
    email: str
    create_time: datetime


@dataclass(frozen=True, slots=True)
class ProfileChange:
    """What to change of a profile; None leaves it as it is, an empty text removes it."""

    display_name: str | None = None
    bio: str | None = None


def after_prefix(prefix: str) -> str | None:
    """The first text after all those that begin with `prefix`, in the order of code points; None: no end.

    With it a search by prefix is a range of an index, whatever characters the prefix has.
    """
    for end in range(len(prefix), 0, -1):
        successor = ord(prefix[end - 1]) + 1
        if successor == _FIRST_SURROGATE:
            successor = _AFTER_SURROGATES
        if successor <= _LAST_CODE_POINT:
            return prefix[: end - 1] + chr(successor)
    return None
