"""The failures that the user service answers, one class per reason."""

from __future__ import annotations

from chassis.errors import Code, Failure


class UserNotFound(Failure):
    """There is no such user, or their registration was given up."""

    code = Code.NOT_FOUND
    reason = "USER_NOT_FOUND"
    text = "there is no user {userId}"

    def __init__(self, user_id: int) -> None:
        super().__init__(userId=str(user_id))


class UsernameTaken(Failure):
    """PutProfile: the profile of another user has the name, in this or another case."""

    code = Code.ALREADY_EXISTS
    reason = "USERNAME_TAKEN"
    text = "the username {username} is taken"

    def __init__(self, username: str) -> None:
        super().__init__(username=username)


class EmailTaken(Failure):
    """PutProfile: the profile of another user has the email address."""

    code = Code.ALREADY_EXISTS
    reason = "EMAIL_TAKEN"
    text = "the email address is taken"
