"""Who reads a stream, over HTTP or because it is pushed to."""

from __future__ import annotations

from pydantic import BaseModel, Field

from .settings_kinds import Count, Seconds


class StreamsSettings(BaseModel):
    """Who reads a stream, over HTTP or because it is pushed to."""

    # -- reading the streams over HTTP
    stream_heartbeat_seconds: Seconds = Field(
        15.0, description="How often one who follows a stream hears something while nothing comes."
    )
    stream_unread_seconds: Seconds = Field(
        60.0,
        description="How long a reader of a stream may leave unread what was sent; then its"
        " connection is cut. Its cursor stays good.",
    )
    stream_tail_seconds: Seconds = Field(
        0.05, description="How often it is looked for new events for those who follow a stream."
    )
    stream_tail_bytes: int = Field(
        16 * 1024 * 1024,
        ge=64 * 1024,
        description="Newest events of a stream kept in memory for those who follow; who is further"
        " behind reads from the database by itself.",
    )
    stream_scan_events: Count = Field(
        1_000_000,
        description="Events that one request passes over, for a filter or a newer version: then its"
        " page ends, with a cursor to go on from.",
    )
    stream_database_reads: int = Field(
        2, ge=1, le=50, description="Database connections that readers of streams share, at most."
    )

    # -- push receivers
    push_receivers: int = Field(
        50, ge=1, le=500, description="The most receivers: each name is a label of figures."
    )
    push_poll_seconds: Seconds = Field(
        0.1, description="How often push looks for new events of the streams it carries."
    )
    push_waiting: Count = Field(
        1_000, description="The most deliveries of a receiver that wait; more stay in the outbox."
    )
    push_in_flight: int = Field(
        8, ge=1, le=256, description="The most events under way to one receiver at a time."
    )
    push_in_flight_bytes: int = Field(
        16 * 1024 * 1024,
        ge=1024,
        description="The most sealed bytes of these, unless one event alone has more.",
    )
    push_timeout_seconds: Seconds = Field(
        15.0, description="How long one event may take to be sent and answered."
    )
    push_settle_seconds: int = Field(
        60,
        ge=1,
        le=86_400,
        description="How long a request that got no answer may still arrive at a FHIR server: the"
        " next version of its report waits for so long.",
    )
    push_answer_bytes: int = Field(
        64 * 1024, ge=1024, description="The most bytes that are read of an answer."
    )
    push_failures: int = Field(
        8, ge=1, le=1_000, description="Failures of its own that make an event a dead letter."
    )
    push_retry_seconds: Seconds = Field(
        1.0, description="The first wait before another try; it doubles, with full jitter."
    )
    push_retry_cap_seconds: Seconds = Field(
        3_600.0, description="The longest wait of an event before another try."
    )
    push_rest_cap_seconds: Seconds = Field(
        300.0, description="The longest a receiver that is away is left alone."
    )
    push_retry_after_cap_seconds: Seconds = Field(
        3_600.0, description="The longest Retry-After of a receiver that is honoured."
    )
    push_dead_letters: Count = Field(
        10_000, description="Dead letters at which a receiver is paused by itself."
    )
    push_keep_seconds: int = Field(
        90 * 86_400,
        ge=86_400,
        le=3_660 * 86_400,
        description="How long is kept what became of an event at a receiver.",
    )
    push_secret_overlap_seconds: int = Field(
        86_400, ge=0, le=30 * 86_400, description="How long an old key of a webhook signs too."
    )

    # -- readers of streams
    stream_connections: Count = Field(
        1_000,
        description="The most reads of streams under way at an api process; one token has at most"
        " half of them.",
    )
    trusted_proxies: str = Field(
        "",
        max_length=4_000,
        description="Networks of your own proxies before the api, with commas (10.0.0.0/8): of them"
        " X-Forwarded-For is believed, and its last hop that is none of them is audited as the"
        " reader's address. Of all others the header is ignored.",
    )
    stream_audited_reads_per_second: float = Field(
        10.0,
        gt=0,
        le=1_000,
        description="The most reads of a stream with names by one token, ten seconds' worth at"
        " once: each is two entries of the audit chain. A read that follows is one.",
    )
    stream_token_refresh_seconds: Seconds = Field(
        2.0,
        description="How often an api process reads the readers' tokens again: a revoked one reads"
        " no longer than that.",
    )
    stream_token_stale_seconds: Seconds = Field(
        30.0, description="How old that copy may be before it lets nobody in."
    )
