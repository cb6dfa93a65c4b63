"""Who is calling: set by the identity interceptor from a verified token, never from a plain header."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass

from chassis.errors import TokenMissing

AUTHORIZATION = "authorization"
INTERNAL_CREDENTIAL = "x-polychat-internal"
CLIENT_ADDRESS = "x-polychat-client-address"
"""Where the edge's client is: for limits, never an identity, and believed only beside the credential."""

Metadata = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Caller:
    """A user, as their access token says: ids, the token itself and when it ends (seconds since 1970)."""

    user_id: int
    session_id: int
    token: str
    expire_time: float


_caller: ContextVar[Caller | None] = ContextVar("caller", default=None)


def current_caller() -> Caller:
    """The user this call is made by. Raises TokenMissing when the method let nobody in particular in."""
    caller = _caller.get()
    if caller is None:
        raise TokenMissing
    return caller


def set_caller(caller: Caller | None) -> None:
    """Says who calls, for the rest of the current task."""
    _caller.set(caller)


def user_metadata(caller: Caller) -> Metadata:
    """Metadata to call another service as this user."""
    return ((AUTHORIZATION, f"Bearer {caller.token}"),)


def internal_metadata(credential: str) -> Metadata:
    """Metadata to call an internal method of another service."""
    return ((INTERNAL_CREDENTIAL, credential),)


def client_metadata(credential: str, address: str) -> Metadata:
    """Metadata to call a method that needs no token for a client at this address."""
    return (*internal_metadata(credential), (CLIENT_ADDRESS, address))
