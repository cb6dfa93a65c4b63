"""What chat counts and measures about itself."""

from __future__ import annotations

from chassis.redis import Subscriber
from chassis.telemetry import Metrics
from services.chat.hub import Hub
from services.chat.use_cases.pending import Pending
from services.chat.use_cases.sending import Sent, Settled


class Measures:
    """The metrics of the process, polychat_chat_…"""

    def __init__(self, metrics: Metrics) -> None:
        self.sends = metrics.counter("sends", "messages that were asked to be sent", ["outcome"])
        self.send_seconds = metrics.histogram("send_seconds", "from the request to its outcome")
        self.pending = metrics.gauge("pending", "log entries whose outcome is waited for")
        self.edges = metrics.gauge("hub_edges", "edges that are attached")
        self.edges_lost = metrics.counter("hub_edges_lost", "edges that went with connections open")
        self.connections = metrics.gauge("hub_connections", "connections of attached edges")
        self.rooms = metrics.gauge("hub_rooms", "rooms with a connected member")
        self.hints = metrics.gauge("hints_connected", "1 while the subscription to Redis stands")
        self.behind = metrics.counter("hub_rooms_behind", "rooms that a lost hint had left behind")
        self.compares = metrics.counter("hub_compares", "rounds in which heads were compared after a loss")
        self.replaced = metrics.counter("producers_replaced", "Kafka producers that were given up")
        self.lost = metrics.counter("outbox_rows_lost", "events that a broker lost and that went again")
        self.outbox = metrics.gauge("outbox_rows", "events that wait for their way into the log")

    def watch(self, hub: Hub, pending: Pending, subscriber: Subscriber) -> None:
        """Reads gauges when they are scraped."""
        self.pending.set_function(lambda: len(pending))
        self.edges.set_function(lambda: len(hub.edges))
        self.connections.set_function(lambda: sum(len(edge.connections) for edge in hub.edges))
        self.rooms.set_function(lambda: len(hub.rooms))
        self.hints.set_function(lambda: float(subscriber.connected))

    def compared(self, behind: int) -> None:
        """A round of comparing ended."""
        self.compares.inc()
        self.behind.inc(behind)

    def settled(self, result: Settled, seconds: float) -> None:
        """A send ended."""
        outcome = ("duplicate" if result.duplicate else "sent") if isinstance(result, Sent) else result.reason
        self.sends.labels(outcome).inc()
        self.send_seconds.observe(seconds)
