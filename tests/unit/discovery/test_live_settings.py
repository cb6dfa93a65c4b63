"""What a LiveSettings makes of the keys it is given."""

from __future__ import annotations

import pytest
from prometheus_client import Counter
from pydantic import BaseModel, Field

from discovery.agent import KeyValue
from discovery.live_settings import LiveSettings, SettingsWatcher
from tests.unit.discovery.fakes import FakeAgent


class Sending(BaseModel):
    """Every kind of value."""

    rate: int = Field(5, gt=0)
    name: str = "plain"
    share: float = 0.5
    on: bool = False
    limits: list[int] = Field(default_factory=lambda: [1])


def make() -> tuple[LiveSettings[Sending], Counter, list[Sending]]:
    rejected = Counter("rejected", "test", ["key"], registry=None)
    settings = LiveSettings(Sending, rejected)
    applied: list[Sending] = []
    settings.subscribe(applied.append)
    return settings, rejected, applied


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("rate", b"7", 7),
        ("rate", b" 7\n", 7),
        ("name", b"7", "7"),
        ("name", b"null", "null"),
        ("share", b"0.25", 0.25),
        ("on", b"true", True),
        ("limits", b"[1, 2]", [1, 2]),
    ],
)
def test_a_value_is_text_or_json_as_its_field_needs(key: str, value: bytes, expected: object) -> None:
    settings, _rejected, applied = make()
    settings.take({key: value})
    assert getattr(settings.value, key) == expected
    assert applied == [settings.value]


@pytest.mark.parametrize("junk", [b"", b"0", b"many", b"\xff\xfe", b"[" * 100_000, b"1e999", b"9" * 9000])
def test_a_bad_value_keeps_the_last_good_one_and_the_others_go_on(junk: bytes) -> None:
    settings, rejected, _applied = make()
    settings.take({"rate": b"7"})
    settings.take({"rate": junk, "name": b"new"})
    assert (settings.value.rate, settings.value.name) == (7, "new")
    assert rejected.labels("rate")._value.get() == 1


def test_a_bad_value_is_counted_once_however_often_it_is_read() -> None:
    settings, rejected, applied = make()
    for _ in range(3):
        settings.take({"rate": b"junk"})
    assert rejected.labels("rate")._value.get() == 1
    assert applied == []
    settings.take({"rate": b"7"})
    settings.take({"rate": b"junk"})
    assert rejected.labels("rate")._value.get() == 2


def test_a_key_that_is_removed_is_the_default_again() -> None:
    settings, _rejected, applied = make()
    settings.take({"rate": b"7"})
    settings.take({})
    assert settings.value == Sending()
    assert [value.rate for value in applied] == [7, 5]


def test_nobody_is_told_when_nothing_changed() -> None:
    settings, _rejected, applied = make()
    settings.take({"rate": b"7"})
    settings.take({"rate": b"7", "other": b"1"})
    assert len(applied) == 1


def test_a_wiped_store_unsets_nothing_until_something_is_written_into_it() -> None:
    settings, _rejected, _applied = make()
    watcher = SettingsWatcher(FakeAgent(), "chat")
    watcher.add(settings)
    watcher.answered([KeyValue("polychat/chat/rate", b"7", "", 1)], after_break=False)
    watcher.answered([], after_break=True)
    watcher.answered([], after_break=False)
    assert settings.value.rate == 7
    watcher.answered([KeyValue("polychat/chat/name", b"new", "", 1)], after_break=False)
    assert settings.value == Sending(name="new")


def test_the_last_key_removed_is_the_default_again() -> None:
    settings, _rejected, _applied = make()
    watcher = SettingsWatcher(FakeAgent(), "chat")
    watcher.add(settings)
    watcher.answered([KeyValue("polychat/chat/rate", b"7", "", 1)], after_break=False)
    watcher.answered([], after_break=False)
    assert settings.value.rate == 5


def test_settings_that_join_later_get_what_is_known() -> None:
    settings, _rejected, _applied = make()
    watcher = SettingsWatcher(FakeAgent(), "chat")
    watcher.answered([KeyValue("polychat/chat/rate", b"7", "", 1)], after_break=False)
    watcher.add(settings)
    assert settings.value.rate == 7
