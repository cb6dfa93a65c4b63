"""Settings of the chat service: those a process starts with, and those that change while it runs."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from chassis.config import DatabaseSettings, KafkaSettings, ProcessSettings, RedisSettings
from chassis.kafka import ROOM_LOG


class ChatSettings(ProcessSettings, DatabaseSettings, KafkaSettings, RedisSettings):
    """What the chat service is told when it starts."""

    room_log_topic: str = Field(ROOM_LOG, description="the topic that records go to; it has 24 partitions")
    produce_pace_ms: int = Field(
        0, ge=0, le=1000, description="gather this long across edges before each request to Kafka"
    )


class ChatLiveSettings(BaseModel):
    """Consul KV `polychat/chat/…`, applied without a restart."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    send_rate: float = Field(50.0, gt=0, le=10_000, description="messages a second of one user in one room")
    send_burst: int = Field(200, ge=1, le=100_000, description="messages of one user in one room at once")
