"""Ended sessions told over Redis, as well as can be."""

from __future__ import annotations

from collections.abc import Sequence

from polychat.internal.log.v1.record_pb2 import SessionHint
from prometheus_client import Counter

from chassis import logs
from chassis.errors import BackendUnavailable
from chassis.redis import SESSIONS, Publisher

log = logs.get("session_hints")


class RedisSessionHints:
    """SessionHints on the channel that chat listens to; `lost` counts those Redis did not take."""

    def __init__(self, publisher: Publisher, lost: Counter) -> None:
        self._publisher = publisher
        self._lost = lost

    async def ended(self, session_ids: Sequence[int]) -> None:
        hint = SessionHint(revoked_session_ids=session_ids)
        try:
            await self._publisher.publish([(SESSIONS, hint.SerializeToString())])
        except BackendUnavailable:
            self._lost.inc()
            log.warning("session_hint_lost", sessions=len(session_ids))
