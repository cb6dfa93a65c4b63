"""Settings come from the environment; secrets from files, and never by default."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from chassis.config import DatabaseSettings, KafkaSettings, ProcessSettings, RedisSettings

SECRET = "a secret that is long enough"


class Everything(DatabaseSettings, KafkaSettings, RedisSettings, ProcessSettings):
    """A process with all backing parts."""


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Exactly what a process needs, set."""
    (tmp_path / "credential").write_text(SECRET + "\n")
    (tmp_path / "page").write_text("another long secret\n")
    values = {
        "POLYCHAT_INSTANCE": "chat-1",
        "POLYCHAT_GRPC_PORT": "50053",
        "POLYCHAT_CONSUL_ADDR": "http://127.0.0.1:8500",
        "POLYCHAT_INTERNAL_CREDENTIAL_FILE": str(tmp_path / "credential"),
        "POLYCHAT_PAGE_TOKEN_KEY_FILE": str(tmp_path / "page"),
        "POLYCHAT_POSTGRES_DSN": "postgresql://role:canary@127.0.0.1:5432/polychat",
        "POLYCHAT_KAFKA_BOOTSTRAP": "127.0.0.1:9092",
        "POLYCHAT_REDIS_URL": "redis://:canary@127.0.0.1:6379/0",
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    return values


def wrong(error: ValidationError) -> set[str]:
    return {str(item["loc"][0]) for item in error.errors()}


def test_the_environment_is_enough(environment: dict[str, str]) -> None:
    """And secrets are what the files hold, without the last line's end."""
    settings = Everything()
    assert (settings.instance, settings.grpc_port) == ("chat-1", 50053)
    assert settings.internal_credential == SECRET
    assert settings.page_token_key == b"another long secret"


@pytest.mark.parametrize(
    "name",
    [
        "INSTANCE",
        "GRPC_PORT",
        "CONSUL_ADDR",
        "INTERNAL_CREDENTIAL_FILE",
        "POSTGRES_DSN",
        "KAFKA_BOOTSTRAP",
        "REDIS_URL",
    ],
)
def test_what_is_missing_is_named(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """No address and no secret has a default that would be right by chance."""
    monkeypatch.delenv(f"POLYCHAT_{name}")
    with pytest.raises(ValidationError) as caught:
        Everything()
    assert wrong(caught.value) == {name.lower()}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("INSTANCE", "Chat 1"),
        ("INSTANCE", ""),
        ("INSTANCE", "x" * 64),
        ("GRPC_PORT", "70000"),
        ("GRPC_PORT", "many"),
        ("METRICS_PORT", "-1"),
        ("DRAIN_SECONDS", "-1"),
        ("LOG_LEVEL", "loud"),
        ("LOG_FORMAT", "xml"),
        ("POSTGRES_POOL", "0"),
    ],
)
def test_what_cannot_be_is_refused(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    """At the start, not at the first use."""
    monkeypatch.setenv(f"POLYCHAT_{name}", value)
    with pytest.raises(ValidationError) as caught:
        Everything()
    assert wrong(caught.value) == {name.lower()}


@pytest.mark.parametrize("content", ["", "\n", "short\n", None])
@pytest.mark.parametrize("name", ["INTERNAL_CREDENTIAL_FILE", "PAGE_TOKEN_KEY_FILE"])
def test_a_secret_file_without_a_secret_is_refused(
    environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    name: str,
    content: str | None,
) -> None:
    """An empty credential would be shown by every caller that shows none."""
    file = tmp_path / "bad"
    if content is not None:
        file.write_text(content)
    monkeypatch.setenv(f"POLYCHAT_{name}", str(file))
    with pytest.raises(ValidationError, match="bad") as caught:
        Everything()
    assert wrong(caught.value) == {name.lower()}


def test_no_key_for_page_tokens_is_an_error_where_one_is_used(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process without lists needs none; another must not seal with an empty key."""
    monkeypatch.delenv("POLYCHAT_PAGE_TOKEN_KEY_FILE")
    with pytest.raises(ValueError, match="POLYCHAT_PAGE_TOKEN_KEY_FILE"):
        _ = Everything().page_token_key


def test_settings_print_no_secret(environment: dict[str, str]) -> None:
    """Neither passwords in addresses nor what is in the files."""
    shown = repr(Everything()) + str(Everything().model_dump())
    assert "canary" not in shown
    assert SECRET not in shown
    assert isinstance(Everything().postgres_dsn, SecretStr)
