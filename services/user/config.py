"""Settings of the user service: those a process starts with, and those that change while it runs."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel

from chassis.config import DatabaseSettings, ProcessSettings


class UserSettings(ProcessSettings, DatabaseSettings):
    """What the user service is told when it starts."""


class UserLiveSettings(BaseModel):
    """Consul KV `polychat/user/…`, applied without a restart."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
