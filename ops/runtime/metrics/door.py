"""Doors: connections, frames, verdicts, certificates, and making durable."""

from __future__ import annotations

from .declaring import FAST, SIZES, counter, counters, gauge, gauges, histogram, seconds
from .labels import (
    ANSWERS,
    CERTIFICATE_ENDS,
    CLOSED_BECAUSE,
    DOORS,
    FINDING_CODES,
    FRAMES,
    HANDSHAKE_REFUSALS,
    LEVELS,
    RELOADS,
)


class DoorMetrics:
    """Doors: connections, frames, verdicts, certificates, and making durable."""

    def __init__(self) -> None:
        super().__init__()
        self.connections = gauge("connections", "MLLP connections open now", mode="livesum")
        self.received_bytes = counter("received_bytes", "Bytes read from laboratories")
        self.frames = counters(
            "frames",
            "MLLP frames by what became of them: whole, cut, empty, garbage, oversize",
            what=FRAMES,
        )
        self.answers = counters(
            "answers", "Messages by verdict at the door (AA, AE, AR)", code=ANSWERS
        )
        self.findings = counters(
            "findings", "Findings at the door by code and level", code=FINDING_CODES, level=LEVELS
        )
        self.closed = counters(
            "connections_closed", "Connections the hub closed, by reason", reason=CLOSED_BECAUSE
        )
        self.tls_refused = counters(
            "tls_handshakes_refused",
            "TLS handshakes that failed, by door and reason; the peer is told nothing",
            door=DOORS,
            reason=HANDSHAKE_REFUSALS,
        )
        self.tls_handshaking = gauge(
            "tls_handshakes_open",
            "TLS handshakes under way or waiting for their turn",
            mode="livesum",
        )
        self.tls_handshake_seconds = histogram(
            "tls_handshake_seconds",
            "From a connection to the end of its TLS handshake",
            buckets=FAST,
        )
        self.tls_certificate_ends = gauges(
            "tls_certificate_ends_timestamp_seconds",
            "When our own certificate at a door ends",
            mode="livemin",
            door=DOORS,
        )
        self.tls_reloads = counters(
            "tls_reloads",
            "TLS files read again after a change, by door and whether they fitted",
            door=DOORS,
            result=RELOADS,
        )
        self.not_taken = counter(
            "not_taken",
            "Messages answered AR 207 because the hub could take nothing: no fault of their sender",
        )
        self.foreign_facilities = counter(
            "foreign_facilities",
            "Messages refused because their sender may not speak for their facility",
        )
        self.ack_seconds = seconds("ack_seconds", "From a whole frame to its answer", buckets=FAST)
        self.append_batch = histogram(
            "append_batch_records", "Records of one append", buckets=SIZES
        )
        self.append_seconds = histogram("append_seconds", "One append, until durable", buckets=FAST)
        self.door_closed = gauge(
            "door_closed",
            "1 while every message is answered AR 207 (disk low, log away, backlog old)",
            mode="livemax",
        )
        self.oldest_unread_seconds = gauge(
            "oldest_unread_seconds",
            "Age of the oldest record in the intake log that dispatch has not handled",
            mode="livemax",
        )
        self.log_retention_seconds = gauge(
            "log_retention_seconds",
            "How long the intake log keeps a record: the setting, or what the topic has, if less",
            mode="livemin",
        )
        # Of all processes the least counts, and most of them know nothing of it.
        self.log_retention_seconds.set(float("inf"))
        self.held_connections = gauge(
            "held_connections",
            "Connections not read for a while because their laboratory was over a limit",
            mode="livesum",
        )
        self.over_quota = gauge(
            "laboratories_over_quota",
            "Laboratories that have used up their quota of the day",
            mode="livemax",
        )
        self.register_age = gauge(
            "register_age_seconds",
            "Since the register was last read from the database; the oldest copy of all doors",
            mode="livemax",
        )
        self.register_snapshot_age = gauge(
            "register_snapshot_age_seconds",
            "Since the register was last written to disk (cluster); the oldest of all doors",
            mode="livemax",
        )
        self.certificate_days = gauge(
            "certificate_soonest_days",
            "Days until the first laboratory has no certificate that holds; +Inf: none has one",
            mode="livemostrecent",
        )
        self.certificates = gauges(
            "certificate_laboratories",
            "Laboratories by when their last certificate ends",
            mode="livemostrecent",
            ends=CERTIFICATE_ENDS,
        )
