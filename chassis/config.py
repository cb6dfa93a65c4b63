"""Settings of a process: environment variables `POLYCHAT_*`, typed, without defaults for secrets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

MIN_SECRET_BYTES = 16
"""An empty or cut secret file would open every internal method, or let anyone seal page tokens."""


def _holds_secret(path: Path) -> Path:
    try:
        size = len(path.read_bytes().strip())
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from error
    if size < MIN_SECRET_BYTES:
        raise ValueError(f"{path} holds {size} bytes; a secret has at least {MIN_SECRET_BYTES}")
    return path


SecretFile = Annotated[Path, AfterValidator(_holds_secret)]
"""A file with one secret in it, looked at when the process starts."""


class ProcessSettings(BaseSettings):
    """What every process is told when it starts; a service adds its own fields."""

    model_config = SettingsConfigDict(env_prefix="POLYCHAT_", extra="ignore")

    instance: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$", description="unique name, such as chat-1")
    grpc_host: str = Field("127.0.0.1", description="address that the gRPC port listens on")
    grpc_port: int = Field(ge=0, le=65535)
    advertise_host: str = Field("127.0.0.1", description="address that other processes reach this one at")
    advertise_port: int = Field(0, ge=0, le=65535, description="and its port there; 0: grpc_port")
    metrics_port: int = Field(0, ge=0, le=65535, description="/metrics /livez /readyz; 0: none")
    metrics_host: str = "127.0.0.1"
    consul_addr: str = Field(description="http://host:port of the Consul agent")
    internal_credential_file: SecretFile = Field(description="holds the secret that internal callers show")
    page_token_key_file: SecretFile | None = Field(None, description="holds the key that seals page tokens")
    drain_seconds: float = Field(10.0, ge=0, description="grace for what is in flight at SIGTERM")
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["json", "console"] = "json"

    @property
    def internal_credential(self) -> str:
        """The shared secret of internal callers, read from its file."""
        return self.internal_credential_file.read_text().strip()

    @property
    def page_token_key(self) -> bytes:
        """The key of page tokens; ValueError when no file is configured."""
        if self.page_token_key_file is None:
            raise ValueError("POLYCHAT_PAGE_TOKEN_KEY_FILE is not set")
        return self.page_token_key_file.read_bytes().strip()


class DatabaseSettings(BaseSettings):
    """For processes with a PostgreSQL schema of their own."""

    model_config = SettingsConfigDict(env_prefix="POLYCHAT_", extra="ignore")

    postgres_dsn: SecretStr = Field(description="postgresql://role:password@host:port/database")
    postgres_pool: int = Field(10, ge=1, le=200, description="connections at the most")


class KafkaSettings(BaseSettings):
    """For processes that write or read the room log."""

    model_config = SettingsConfigDict(env_prefix="POLYCHAT_", extra="ignore")

    kafka_bootstrap: str = Field(description="host:port[,host:port…]")


class RedisSettings(BaseSettings):
    """For processes that publish or receive hints."""

    model_config = SettingsConfigDict(env_prefix="POLYCHAT_", extra="ignore")

    redis_url: SecretStr = Field(description="redis://:password@host:port/0")
