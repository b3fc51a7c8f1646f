"""Dispatch: batches, endings, cases, rules."""

from __future__ import annotations

from .declaring import FAST, SIZES, counter, counters, gauge, gauges, histogram, seconds, seconds_by
from .labels import (
    EVENT_KINDS,
    OUTCOME_ENDINGS,
    OUTCOME_REASONS,
    PARTITIONS,
    SECOND_LINES,
    STREAM_NAMES,
)


class DispatchMetrics:
    """Dispatch: batches, endings, cases, rules."""

    def __init__(self) -> None:
        super().__init__()
        self.outcomes = counters(
            "outcomes",
            "Messages by ending and reason",
            ending=OUTCOME_ENDINGS,
            reason=OUTCOME_REASONS,
        )
        self.batch_messages = histogram(
            "dispatch_batch_messages", "Records of one dispatch batch", buckets=SIZES
        )
        self.batch_seconds = histogram(
            "dispatch_batch_seconds", "One dispatch transaction", buckets=FAST
        )
        self.in_to_taken_seconds = seconds(
            "in_to_taken_seconds", "From the message received to dispatch beginning with it"
        )
        self.in_to_readable_seconds = seconds(
            "in_to_readable_seconds",
            "From the message received to its events readable in the streams",
        )
        self.readable_seconds = seconds_by(
            "readable_seconds",
            "From the message received to its event readable in a stream, by stream",
            stream=STREAM_NAMES,
        )
        self.capped_cases = counter(
            "capped_cases", "Persons with more reports than cases are looked for among"
        )
        self.second_lines = counters(
            "second_lines",
            "Second-line reports by what became of them: attached, waits, found, left",
            what=SECOND_LINES,
        )
        self.second_lines_waiting = gauge(
            "second_lines_waiting",
            "Second-line reports whose first line has not come, or was taken back",
            mode="livemostrecent",
        )
        self.unread_companions = counter(
            "unread_companions",
            "Reports whose case changed and that could be read no more: their streams stayed",
        )
        self.rule_changes = counter(
            "rule_changes", "Times a process went over to another set of routing rules"
        )
        self.rules_since = gauge(
            "rules_since_timestamp_seconds",
            "From when the set of routing rules is in effect; 0 where none was ever loaded",
            mode="livemostrecent",
        )
        self.events = counters(
            "stream_events",
            "Events written to the outbox by stream and kind",
            stream=STREAM_NAMES,
            kind=EVENT_KINDS,
        )
        self.fence_losses = counter(
            "fence_losses", "Batches given up because another worker went on"
        )
        self.bisections = counter("bisections", "Batches split to find a culprit")
        self.lag = gauge(
            "lag_records",
            "Records in the intake log that dispatch has not handled",
            mode="livemostrecent",
        )
        self.partition_lag = gauges(
            "partition_lag_records",
            "Records of a partition of the intake log that dispatch has not handled; of a log of"
            " 64 partitions or fewer",
            mode="livemostrecent",
            partition=PARTITIONS,
        )
        self.partition_oldest = gauges(
            "partition_oldest_unread_seconds",
            "Age of the oldest record of a partition that dispatch has not handled",
            mode="livemostrecent",
            partition=PARTITIONS,
        )
        self.parked = gauge(
            "parked_records", "Parked messages that nobody has resolved", mode="livemostrecent"
        )
