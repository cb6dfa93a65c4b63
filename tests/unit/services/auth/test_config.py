"""Settings of auth that change while it runs."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from services.auth.config import AuthLiveSettings
from services.auth.ports import Rate


def test_the_limits_that_hold_by_default() -> None:
    """Those of the security reference: sign-ins, registrations and refreshes."""
    limits = AuthLiveSettings().limits()
    assert limits.login_user == Rate(5, 60.0)
    assert limits.login_address == Rate(30, 60.0)
    assert limits.login_all == Rate(300, 60.0)
    assert limits.register_address == Rate(5, 3600.0)
    assert limits.refresh_session == Rate(10, 60.0)


def test_a_limit_of_nothing_is_refused() -> None:
    """A limit cannot be set so that nobody signs in."""
    with pytest.raises(ValidationError):
        AuthLiveSettings(login_per_user_minute=0)
