"""What the edge counts."""

from __future__ import annotations

from prometheus_client import Counter

from chassis.telemetry import Metrics


class EdgeMetrics:
    """The metrics of one edge process, by what happened."""

    def __init__(self, metrics: Metrics) -> None:
        self._connections = metrics.gauge("connections", "connections now, by wire", ["wire"])
        self._closes = metrics.counter("closes", "connections closed by the edge or the client", ["code"])
        self._frames_in = metrics.counter("frames_in", "frames received, by kind", ["kind"])
        self._refused = metrics.counter("refused_handshakes", "upgrades that were refused", ["reason"])
        self._delivered = metrics.counter("events_delivered", "events put into a connection's outbox")
        self._resumes = metrics.counter("resumes", "rooms resumed with a cursor", ["result"])
        self._holes = metrics.counter("holes_fetched", "rooms whose missing events were fetched")
        self._link_up = metrics.gauge("link_attached", "1 while the link to a chat instance stands")
        link_frames = metrics.counter("link_frames", "messages on the link", ["direction"])
        self._link_frames = {direction: link_frames.labels(direction) for direction in ("up", "down")}
        self._replies = metrics.counter(
            "replies", "requests answered, by kind and result", ["kind", "result"]
        )
        self.unsent = metrics.gauge("unsent_bytes", "bytes that slow peers have not taken")
        self.unsent_peak = metrics.gauge("unsent_bytes_peak", "the most that one peer ever had not taken")
        self._lagging = metrics.gauge(
            "lagging_connections", "connections that get no events until they drain"
        )
        self._lags = metrics.counter("lags", "times that a connection fell behind")
        self.lag = metrics.histogram("loop_lag_seconds", "how late the event loop wakes up")
        self._by_kind: dict[str, Counter] = {}
        self._delivered_inc = self._delivered.inc

    def delivered(self, count: int) -> None:
        """Events times receivers."""
        self._delivered_inc(count)

    def opened(self, wire: str) -> None:
        """A wire is up."""
        self._connections.labels(wire).inc()

    def closed(self, wire: str, code: int) -> None:
        """A wire is down, with this close code (1006: without one)."""
        self._connections.labels(wire).dec()
        self._closes.labels(str(code)).inc()

    def frame(self, kind: str) -> None:
        """A frame was read."""
        counter = self._by_kind.get(kind)
        if counter is None:
            counter = self._by_kind[kind] = self._frames_in.labels(kind)
        counter.inc()

    def refused(self, reason: str) -> None:
        """A handshake was refused."""
        self._refused.labels(reason).inc()

    def resumed(self, result: str) -> None:
        """A cursor was dealt with: full, replayed, gap or reset."""
        self._resumes.labels(result).inc()

    def lags(self, change: int) -> None:
        """A connection fell behind (1), or does so no more (-1)."""
        self._lagging.inc(change)
        if change > 0:
            self._lags.inc()

    def hole(self) -> None:
        """A hole was mended."""
        self._holes.inc()

    def link(self, attached: bool) -> None:
        """The link stands or not."""
        self._link_up.set(attached)

    def link_frame(self, direction: str) -> None:
        """One message up or down."""
        self._link_frames[direction].inc()

    def reply(self, kind: str, result: str) -> None:
        """A request was answered: `ok` or a reason."""
        self._replies.labels(kind, result).inc()
