"""What the sequencer counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

from chassis.telemetry import SIZE_BUCKETS, Metrics
from services.message.domain import Disposition
from services.message.use_cases.sequencing import Result


class Measures:
    """The metrics of the message service, beside those of every process."""

    def __init__(self, metrics: Metrics) -> None:
        self.commit_seconds = metrics.histogram("commit_seconds", "From a fetch to its commit")
        self.batch_records = metrics.histogram(
            "batch_records", "Records of one fetch that were committed", buckets=SIZE_BUCKETS
        )
        self.consumer_lag = metrics.gauge("consumer_lag_records", "Records of our partitions not committed")
        self.consumer_restarts = metrics.counter("consumer_restarts", "New consumers after a failure")
        self.fenced = metrics.counter("partitions_fenced", "Partitions found to have another owner")
        self.dead_letter_copies_lost = metrics.counter(
            "dead_letter_copies_lost", "Dead letters that are in the table and not in the topic"
        )
        self._records = metrics.counter("records", "Records of the log by how they ended", ["disposition"])
        self._long_ways = metrics.counter("long_ways", "Batches that were not committed at the first try")
        self.restarted = metrics.counter(
            "logs_restarted", "Partitions gone on in a log that had lost records: data loss of the broker"
        )
        self._set_aside = metrics.counter("partitions_set_aside", "Partitions that had to wait", ["why"])
        self._partitions = metrics.gauge("partitions", "Partitions of ours by state", ["state"])
        for disposition in Disposition:
            self._records.labels(disposition.name.lower())
        self._records.labels("dead_letter")

    def record(self, result: Result) -> None:
        """Counts how a batch ended."""
        self._long_ways.inc(result.long_ways)
        self._set_aside.labels("locked").inc(len(result.locked))
        self._set_aside.labels("store_unavailable").inc(len(result.unknown))
        if result.committed:
            self.batch_records.observe(sum(len(p.outcomes) + len(p.dead) for p in result.committed))
        ends = Counter(outcome.disposition for plan in result.committed for outcome in plan.outcomes)
        for disposition, count in ends.items():
            self._records.labels(disposition.name.lower()).inc(count)
        self._records.labels("dead_letter").inc(sum(len(plan.dead) for plan in result.committed))

    def partitions(self, working: int, assigned: Collection[int], doubted: Collection[int]) -> None:
        """Says how many partitions are in which state."""
        self._partitions.labels("working").set(working)
        self._partitions.labels("waiting").set(len(assigned) - working - len(doubted))
        self._partitions.labels("doubted").set(len(doubted))
