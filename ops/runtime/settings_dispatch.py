"""From the log to the outbox and the topics: batches, persons, stewards, holds."""

from __future__ import annotations

from pydantic import BaseModel, Field

from schemas.days import Reading

from .settings_kinds import Count, Seconds
from .topic import Compression


class DispatchSettings(BaseModel):
    """From the log to the outbox and the topics: batches, persons, stewards, holds."""

    # -- dispatch, relay
    dispatch_linger_seconds: Seconds = Field(
        0.02,
        description="How long a worker waits for more when a batch was small; up to six times as"
        " long where it held more than 8 messages and was not half full.",
    )
    dispatch_batch_messages: Count = Field(200, description="The most messages of one batch.")
    dispatch_workers: int = Field(
        2,
        ge=1,
        le=16,
        description="How many batches a dispatch process has in hand at a time, each of partitions"
        " of its own: while one waits for the database, another is computed. On the embedded"
        " engine; on the cluster a process has one, and more processes are started.",
    )
    dispatch_batch_keys: Count = Field(2_000, description="The most blocking keys of one batch.")
    dispatch_case_reports: Count = Field(
        500,
        description="The newest reports of one person among which cases are looked for; of the"
        " cases before them, as many leading reports again.",
    )
    case_window_days: int | None = Field(
        None,
        ge=1,
        le=3650,
        description="A positive within so many days of another is no new case. Fixed at first"
        " start; unset: 60 for a new instance, else what it has.",
    )
    case_window_reading: Reading | None = Field(
        None,
        description="From when these days run: the last positive, or the last one that was a new"
        " case. Fixed at first start; unset: last_positive for a new instance, else what it has.",
    )
    relay_poll_seconds: Seconds = Field(
        0.02, description="How often the relay looks for new events."
    )
    relay_batch_events: Count = Field(
        5_000, description="The most events of one Kafka transaction."
    )
    relay_batch_bytes: int = Field(
        4 * 1024 * 1024, ge=1024, description="The most bytes of one Kafka transaction."
    )
    relay_compression: Compression = Field(
        Compression.ZSTD,
        description="How batches in the streams' topics are compressed: `none`, `lz4`, `zstd`.",
    )
    relay_note_seconds: Seconds = Field(
        30.0, description="How often the relay notes what it published, for emptied topics."
    )
    topic_names_seconds: int = Field(
        7 * 86_400,
        ge=3_600,
        le=30 * 86_400,
        description="How long the topics that hold names (dossier, contact tracing) keep an event;"
        " an existing topic that keeps longer stops the relay.",
    )
    topic_public_health_seconds: int = Field(
        30 * 86_400,
        ge=3_600,
        le=366 * 86_400,
        description="How long the topic of public health keeps an event, at least.",
    )

    # -- stewards
    steward_reports: Count = Field(
        2_000,
        description="The most reports of one transaction of a merge or opposition; dispatch"
        " goes on with the rest. An unmerge decides at most so many again.",
    )
    steward_page: Count = Field(
        200, description="Reports that are read back and held against the streams at a time."
    )
    steward_persons: Count = Field(
        100, description="The most persons that may be merged together into one."
    )
    reemission_persons: Count = Field(
        32, description="The most persons whose reports dispatch emits again in one transaction."
    )
    reemission_seconds: Seconds = Field(
        0.5, description="How often dispatch looks for reports that are to be emitted again."
    )
    review_share: float = Field(
        0.02,
        gt=0,
        le=1,
        description="The share of records that may open a review item; beyond it those of lowest"
        " priority stay on their link events alone, and are counted.",
    )
    review_burst: Count = Field(
        100, description="Review items that a quiet hour lets come at once, beyond the share."
    )
    review_four_eyes: bool = Field(
        False, description="Whether `same` needs a second steward before two persons are merged."
    )
    opposition_lines: Count = Field(100_000, description="The most lines of a file of oppositions.")
    opposition_records: Count = Field(
        100_000,
        description="Records of a laboratory's line that are read back, the newest first, to find"
        " persons by its own patient numbers.",
    )

    # -- holds
    hold_doubt_seconds: float = Field(
        86_400,
        ge=60,
        le=366 * 86_400,
        description="How long a report may wait for a person (a doubt) before it alerts.",
    )
    hold_first_line_seconds: float = Field(
        7 * 86_400.0,
        ge=60,
        le=366 * 86_400,
        description="How long a second line may wait for its first before it alerts.",
    )
    hold_counted: Count = Field(
        100_000, description="Up to how many holds of a stream and reason the metric counts."
    )
    hold_retry_page: Count = Field(
        50, description="Waiting reports that a new mapping asks again at a time."
    )
    hold_retry_seconds: Seconds = Field(
        1.0, description="How often it is looked whether a new mapping asks reports again."
    )

    # -- persons
    identity_key_persons: Count = Field(
        300, description="Persons a key may lead to; one of more is replaced by narrower keys."
    )
    identity_narrowed_persons: Count = Field(
        3_000, description="The most persons given narrower keys when their key has become hot."
    )
    identity_hot_keys: Count = Field(
        10_000, description="The most hot keys that a dispatch process keeps in mind."
    )
    identity_aliases: Count = Field(
        20, description="The most sets of traits a person is compared by: those seen last."
    )
    identity_rekey_persons: Count = Field(
        500, description="Persons of one step when keys are made anew."
    )
    identity_rekey_keys: Count = Field(
        20_000, description="Keys looked at in one step when old keys are dropped."
    )
    identity_rekey_rest: float = Field(
        1.0,
        ge=0,
        le=100,
        description="How long the making of new keys rests, as a multiple of its last step.",
    )
