"""MessageSettings of the message service."""

from typing import Literal

from pydantic import BaseModel, Field

from chassis.config import DatabaseSettings, KafkaSettings, ProcessSettings, RedisSettings
from chassis.kafka import DEAD_LETTER, ROOM_LOG


class MessageSettings(ProcessSettings, DatabaseSettings, KafkaSettings, RedisSettings):
    """Everything the process is told; the names of topics and group change in tests only."""

    grpc_port: int = Field(50054, ge=0, le=65535)
    room_log_topic: str = Field(ROOM_LOG, description="records that wait for their sequence")
    dead_letter_topic: str = Field(DEAD_LETTER, description="copies of records that could not be read")
    consumer_group: str = Field("message", description="the group whose members share the partitions")
    consumer_session_seconds: float = Field(
        10.0, ge=1, le=60, description="silence after which the group gives our partitions to others"
    )
    consumer_poll_seconds: float = Field(
        60.0, ge=5, le=600, description="without a fetch for this long no part is taken in a rebalance"
    )


class MessageLiveSettings(BaseModel):
    """Consul KV `polychat/message/…`, applied without a restart."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
