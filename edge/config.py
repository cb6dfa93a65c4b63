"""Settings of the edge."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field

from chassis.config import ProcessSettings


class EdgeSettings(ProcessSettings):
    """What the edge is told when it starts. Times are seconds."""

    http_host: str = Field("127.0.0.1", description="address of HTTP and the WebSocket")
    http_port: int = Field(8080, ge=0, le=65535)
    http_metrics: bool = Field(True, description="serve /metrics on the HTTP port too; off in production")
    web_root: Path = Field(Path("web/dist"), description="the built web client")
    allowed_origins: tuple[str, ...] = Field(
        (), description="origins besides the page's own, such as https://chat.example.com"
    )
    trusted_addresses: tuple[str, ...] = Field(
        ("127.0.0.1", "::1"), description="proxies and the machine itself: no limit per address"
    )
    hello_seconds: float = Field(5.0, gt=0)
    heartbeat_seconds: float = Field(25.0, gt=0)
    stalled_seconds: float = Field(
        30.0, gt=0, description="a peer that takes no byte for this long is closed"
    )
    close_seconds: float = Field(5.0, gt=0, description="a closing handshake may take this long")
    check_sessions_seconds: float = Field(30.0, gt=0, le=30)
    token_warning_seconds: float = Field(60.0, gt=0)
    tick_seconds: float = Field(0.25, gt=0, le=1, description="how exact all these times are")
    unsent_bytes: int = Field(256 * 1024, ge=4096, description="bound of what a slow peer has not taken")
    unsent_total_bytes: int = Field(
        256 * 1024 * 1024,
        ge=4096,
        description="the same of all peers; past it the slowest are closed with 4104",
    )
    slow_bytes: int = Field(64 * 1024, ge=1024, description="past this, typing and receipts are dropped")


class EdgeLiveSettings(BaseModel):
    """Consul KV `polychat/edge/…`, applied without a restart."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    connections_per_user: int = Field(10, ge=1)
    connections_per_address: int = Field(50, ge=1)
    handshakes_per_address_per_second: float = Field(20.0, gt=0)
    connections: int = Field(20_000, ge=1, description="WebSockets and streams of the process; past it 503")
    http_connections_per_address: int = Field(100, ge=1, description="not upgraded; a reload takes six")
    http_connections: int = Field(2_000, ge=1, description="not upgraded, whole process")
    ungreeted_connections: int = Field(
        200, ge=1, description="upgraded and without hello, whole process, untrusted addresses"
    )
    opening_connections: int = Field(
        250, ge=1, description="hellos that wait for their welcome, whole process; the rest come back"
    )
    frames_per_second: float = Field(20.0, gt=0)
    frames_burst: float = Field(40.0, ge=1)
    frame_gap_millis: int = Field(
        0,
        ge=0,
        le=100,
        description="least time between two frames to chat; 20 gathers messages from 50 a second on, which "
        "costs less, and all wait up to so long; under load frames are gathered anyway",
    )
