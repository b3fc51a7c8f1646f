"""Streams: the relay, readers over HTTP, their tokens."""

from __future__ import annotations

from .declaring import SIZES, counters, gauge, gauges, histogram, seconds
from .labels import ADMISSIONS, READ_ENDS, ROUTES, STATUSES, STREAM_NAMES


class StreamMetrics:
    """Streams: the relay, readers over HTTP, their tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.relay_events = counters(
            "relay_events", "Events published to Kafka by stream", stream=STREAM_NAMES
        )
        self.relay_batch_events = histogram(
            "relay_batch_events", "Events of one Kafka transaction", buckets=(*SIZES, 2_000, 5_000)
        )
        self.in_to_kafka_seconds = seconds(
            "in_to_kafka_seconds",
            "From the message received to the first event of a report in its Kafka topic",
        )
        self.relay_again = counters(
            "relay_again_events",
            "Events that a topic had lost and gets again, by stream",
            stream=STREAM_NAMES,
        )
        self.relay_lag = gauges(
            "relay_lag_events",
            "Events of the outbox not yet in Kafka, by stream",
            mode="livemostrecent",
            stream=STREAM_NAMES,
        )
        self.api_requests = counters(
            "api_requests", "HTTP requests by route and status", route=ROUTES, status=STATUSES
        )
        self.stream_events_served = counters(
            "stream_events_served", "Events read over HTTP by stream", stream=STREAM_NAMES
        )
        self.stream_admissions = counters(
            "stream_admissions",
            "Reads of streams over HTTP by what became of them: admitted, or why not",
            stream=STREAM_NAMES,
            what=ADMISSIONS,
        )
        self.stream_readers = gauges(
            "stream_readers",
            "Reads of streams under way, by stream",
            mode="livesum",
            stream=STREAM_NAMES,
        )
        self.stream_tokens = gauge(
            "stream_tokens", "Tokens of readers that are not revoked", mode="livemostrecent"
        )
        self.stream_token_days = gauge(
            "stream_token_soonest_days",
            "Days until the first token of a reader ends; +Inf: none will",
            mode="livemostrecent",
        )
        self.stream_audit_waiting = gauge(
            "stream_audit_waiting_entries",
            "Ends of reads of names that are not in the audit chain yet",
            mode="livesum",
        )
        self.stream_followers = gauges(
            "stream_followers",
            "Readers that follow a stream over HTTP now, by stream",
            mode="livesum",
            stream=STREAM_NAMES,
        )
        self.stream_tail_bytes = gauges(
            "stream_tail_bytes",
            "Bytes of the newest events kept in memory for those who follow, by stream",
            mode="livesum",
            stream=STREAM_NAMES,
        )
        self.stream_fell_behind = counters(
            "stream_fell_behind",
            "How often a follower was slower than what the tail keeps, by stream",
            stream=STREAM_NAMES,
        )
        self.stream_reads_ended = counters(
            "stream_reads_ended",
            "Reads of a stream over HTTP by stream and why they ended: whole, gone, unread,"
            " stopping, or the reason of an error",
            stream=STREAM_NAMES,
            reason=READ_ENDS,
        )
