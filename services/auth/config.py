"""Settings of auth: those a process starts with, and those that change while it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field

from chassis.config import DatabaseSettings, ProcessSettings, RedisSettings
from services.auth.ports import Limits, Rate

_MINUTE = 60.0
_HOUR = 3600.0


class AuthSettings(ProcessSettings, DatabaseSettings, RedisSettings):
    """What auth is told when it starts."""

    signing_key_secret_file: Path = Field(
        description="holds the secret that seals signing keys and derives refresh tokens; at least 32 bytes"
    )
    key_rotation_days: int = Field(30, ge=2, le=365, description="how long a signing key signs")

    @property
    def signing_key_secret(self) -> bytes:
        """The secret, read from its file."""
        return self.signing_key_secret_file.read_bytes().strip()


class AuthLiveSettings(BaseModel):
    """Consul KV `polychat/auth/…`, applied without a restart."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    login_per_user_minute: int = Field(5, ge=1, description="tries at one account from one address")
    login_per_address_minute: int = Field(30, ge=1, description="tries from one address")
    login_minute: int = Field(300, ge=1, description="tries to sign in, whoever it is and from wherever")
    register_per_address_hour: int = Field(5, ge=1, description="registrations from one address")
    refresh_per_session_minute: int = Field(10, ge=1, description="refreshes of one session")

    def limits(self) -> Limits:
        """The limits in the words of the domain."""
        return Limits(
            login_user=Rate(self.login_per_user_minute, _MINUTE),
            login_address=Rate(self.login_per_address_minute, _MINUTE),
            login_all=Rate(self.login_minute, _MINUTE),
            register_address=Rate(self.register_per_address_hour, _HOUR),
            refresh_session=Rate(self.refresh_per_session_minute, _MINUTE),
        )
