"""Single processes sent ways of their own by the file that POLYCHAT_LINKS names."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scripts.stack.errors import StackError
from scripts.stack.links import LINKS, kafka_listeners, read_links, rerouted


def test_without_a_file_everybody_goes_straight(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the broker listens once."""
    monkeypatch.delenv(LINKS, raising=False)
    assert read_links() == {}
    assert kafka_listeners({}) == {}


def test_a_process_goes_its_own_way_with_its_own_login() -> None:
    """Only to what the file names, and nothing is added that the process has no use for."""
    env = {
        "POLYCHAT_POSTGRES_DSN": "postgresql://role:p%40ss@127.0.0.1:15400/polychat",
        "POLYCHAT_CONSUL_ADDR": "127.0.0.1:15404",
    }
    changed = rerouted(env, {"postgres": 22130, "redis": 22131, "advertise": 22132})
    assert changed == {
        "POLYCHAT_POSTGRES_DSN": "postgresql://role:p%40ss@127.0.0.1:22130/polychat",
        "POLYCHAT_CONSUL_ADDR": "127.0.0.1:15404",
        "POLYCHAT_ADVERTISE_PORT": "22132",
    }


def test_the_broker_listens_once_more_for_who_needs_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its clients would otherwise be sent past the proxy with their second request."""
    file = tmp_path / "links.json"
    file.write_text(json.dumps({"chat": {"kafka": 22133, "kafkaListens": 22170}, "edge": {"consul": 22134}}))
    monkeypatch.setenv(LINKS, str(file))
    assert kafka_listeners(read_links()) == {"CHAT": (22170, 22133)}


@pytest.mark.parametrize("text", ["", "[]", '{"chat": 1}', '{"chat": {"redis": "here"}}'])
def test_a_file_that_cannot_be_used_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str
) -> None:
    """Before anything starts."""
    file = tmp_path / "links.json"
    file.write_text(text)
    monkeypatch.setenv(LINKS, str(file))
    with pytest.raises(StackError, match=str(file)):
        read_links()
