"""Settings that change while a process runs: Consul KV `polychat/{service}/{key}`, one key a field.

A value is text, or JSON where the field needs it. Each key is validated by itself: a bad one keeps
the last good value, is counted and logged. An absent key, or Consul away from the start, means the
model's default; Consul away later changes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Generic, NoReturn, TypeVar

from prometheus_client import Counter
from pydantic import BaseModel, ValidationError

from chassis import logs
from discovery.agent import Agent, ConsulAway, KeyValue
from discovery.blocking import WAIT_SECONDS, follow

M = TypeVar("M", bound=BaseModel)
"""A model whose fields all have defaults."""

log = logs.get("discovery")


class LiveSettings(Generic[M]):
    """The settings of one model. Made by `Discovery.live_settings`."""

    def __init__(self, model: type[M], rejected: Counter) -> None:
        self.value: M = model()
        """The last good settings; replaced as a whole, never changed in place."""
        self._model = model
        self._rejected = rejected
        self._good: dict[str, object] = {}
        self._refused: dict[str, bytes] = {}
        self._subscribers: list[Callable[[M], None]] = []

    def subscribe(self, apply: Callable[[M], None]) -> None:
        """Calls `apply` with the new settings after every change, on the loop; it must not raise."""
        self._subscribers.append(apply)

    @property
    def fields(self) -> frozenset[str]:
        """The keys that this model knows."""
        return frozenset(self._model.model_fields)

    def take(self, raw: Mapping[str, bytes]) -> None:
        """Applies what the KV store holds now: `raw` by key, without the prefix."""
        good: dict[str, object] = {}
        for key in sorted(self.fields & raw.keys()):
            good |= self._validated(key, raw[key], good)
        self._refused = {key: value for key, value in self._refused.items() if raw.get(key) == value}
        old, self._good = self.value, good
        self.value = self._model.model_validate(good)
        if self.value != old:
            self._tell(old)

    def _validated(self, key: str, value: bytes, good: Mapping[str, object]) -> dict[str, object]:
        problem: ValidationError | None = None
        for candidate in _readings(value):
            try:
                self._model.model_validate({**good, key: candidate})
            except ValidationError as error:
                problem = error
            else:
                return {key: candidate}
        if self._refused.get(key) != value:
            self._refused[key] = value
            self._rejected.labels(key).inc()
            log.error("setting_rejected", key=key, kept=self._shown(self.value, key), why=_why(problem))
        return {key: self._good[key]} if key in self._good else {}

    def _tell(self, old: M) -> None:
        for key in sorted(self.fields):
            before, after = self._shown(old, key), self._shown(self.value, key)
            if before != after:
                log.info("setting_changed", key=key, old=before, new=after)
        for apply in self._subscribers:
            apply(self.value)

    def _shown(self, value: M, key: str) -> str:
        return repr(getattr(value, key))


class SettingsWatcher:
    """Follows the prefix of one service and hands its keys to every LiveSettings of the process."""

    def __init__(self, agent: Agent, service: str) -> None:
        self._agent = agent
        self._prefix = f"polychat/{service}/"
        self._boards: list[LiveSettings[Any]] = []
        self._last: dict[str, bytes] | None = None
        self._unknown: frozenset[str] = frozenset()
        self._wiped = False

    def add(self, settings: LiveSettings[Any]) -> None:
        """Brings these up to date from now on."""
        self._boards.append(settings)
        if self._last is not None:
            settings.take(self._last)

    async def run(self) -> NoReturn:
        """Watches until cancelled."""

        async def ask(index: int, wait: float) -> tuple[int, list[KeyValue]]:
            return await self._agent.keys(self._prefix, index, wait)

        await follow(ask, self)

    def answered(self, value: Iterable[KeyValue], *, after_break: bool) -> None:
        """Takes an answer of Consul in. Empty after a break it is a wiped store, in which nobody unset
        anything: until something is written there, what was known counts.
        """
        raw = {item.key.removeprefix(self._prefix): item.value for item in value}
        raw.pop("", None)
        self._wiped = not raw and (self._wiped or (after_break and bool(self._last)))
        if self._wiped:
            return
        self._last = raw
        for settings in self._boards:
            settings.take(raw)
        unknown = raw.keys() - frozenset[str]().union(*(settings.fields for settings in self._boards))
        if unknown - self._unknown:
            log.warning("settings_unknown", keys=sorted(unknown - self._unknown))
        self._unknown = frozenset(unknown)

    def away(self, error: ConsulAway) -> None:
        """Keeps what is known."""
        log.debug("settings_not_read", why=str(error))

    def wait_seconds(self) -> float:
        """How long a query may block."""
        return WAIT_SECONDS


def problem_of(model: type[BaseModel], key: str, value: bytes) -> str | None:
    """Why a process would refuse this value of a key, None when it would take it."""
    problem: ValidationError | None = None
    for candidate in _readings(value):
        try:
            model.model_validate({key: candidate})
        except ValidationError as error:
            problem = error
        else:
            return None
    return _why(problem)


def _readings(value: bytes) -> Iterable[object]:
    """What a stored value may mean: its text, and what the text says as JSON."""
    text = value.decode("utf-8", errors="replace").strip()
    yield text
    try:
        yield json.loads(text)
    except (ValueError, RecursionError):
        return


def _why(problem: ValidationError | None) -> str:
    errors = problem.errors(include_input=False, include_url=False) if problem else []
    return "; ".join(error["msg"] for error in errors)
