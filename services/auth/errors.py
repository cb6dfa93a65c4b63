"""The failures that auth answers, one class per reason."""

from __future__ import annotations

from chassis.errors import Code, Failure


class InvalidCredentials(Failure):
    """Login: nobody has this name, or the password is wrong; which of the two is not told."""

    code = Code.UNAUTHENTICATED
    reason = "INVALID_CREDENTIALS"
    text = "the username or the password is wrong"


class UsernameTaken(Failure):
    """Register: another user has the name, in this or another case."""

    code = Code.ALREADY_EXISTS
    reason = "USERNAME_TAKEN"
    text = "the username {username} is taken"

    def __init__(self, username: str) -> None:
        super().__init__(username=username)


class EmailTaken(Failure):
    """Register: another user has the email address."""

    code = Code.ALREADY_EXISTS
    reason = "EMAIL_TAKEN"
    text = "the email address is taken"


class RefreshTokenInvalid(Failure):
    """RefreshSession: the token is none of ours, or too old."""

    code = Code.UNAUTHENTICATED
    reason = "REFRESH_TOKEN_INVALID"
    text = "the refresh token is not valid; sign in again"


class RefreshTokenReused(Failure):
    """RefreshSession: the token was spent before; its session is revoked now."""

    code = Code.UNAUTHENTICATED
    reason = "REFRESH_TOKEN_REUSED"
    text = "the refresh token was spent before; the session is ended, sign in again"
