"""What is kept for how long, counted by day and laboratory, mended and watched."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, Field

from .settings_kinds import Count, Days, Seconds


class KeepingSettings(BaseModel):
    """What is kept for how long, counted by day and laboratory, mended and watched."""

    # -- retention
    retention_intake_days: Days = Field(
        90, description="How long messages as they came can be read: replays and late corrections."
    )
    retention_names_days: Days = Field(
        90, description="How long events with names (dossier, contact tracing) can be read."
    )
    retention_public_health_days: Days = Field(
        800, description="How long events of public health can be read."
    )
    retention_identity_days: Days = Field(
        90, description="How long the traits and INS of a person who is not seen again are kept."
    )
    retention_codes_days: Days = Field(
        400, description="How long a laboratory's local code that no table knows is kept unseen."
    )
    retention_inbox_days: int = Field(
        35, ge=7, le=3_650, description="How long a message that comes again is known as such."
    )
    retention_seconds: int = Field(
        3_600, ge=60, le=86_400, description="How often it is looked whether something is of age."
    )
    retention_days_at_once: int = Field(
        8,
        ge=1,
        le=3_650,
        description="Of more days of a class than these nothing is purged unless a person asks:"
        " a clock or a setting may be wrong.",
    )
    retention_lock_seconds: float = Field(
        0.02,
        ge=0.001,
        le=1,
        description="How long a purge waits for a table's lock, and others behind it.",
    )
    retention_tries: int = Field(
        40, ge=1, le=10_000, description="How often one purge asks for such a lock."
    )
    retention_kept_rows: int = Field(
        50_000,
        ge=0,
        le=1_000_000,
        description="Rows not of age that may be copied out of a partition of a table, so that the"
        " others go at once.",
    )
    retention_least_rows: int = Field(
        10_000,
        ge=1,
        le=100_000_000,
        description="Rows of age for which that is done; fewer wait until all are.",
    )
    retention_rows: Count = Field(
        200_000, description="Rows of old traits that one purge looks at; the next goes on there."
    )

    # -- figures of laboratories
    figures_write_seconds: Seconds = Field(
        120.0,
        description="How often doors and dispatch write what each laboratory sent, a row for each"
        " active one; a kill takes as much of these figures, and nothing of the account.",
    )
    figures_keep_days: int = Field(
        70,
        ge=2,
        le=3_650,
        description="How long the figures of an hour of a laboratory are kept.",
    )
    figures_top: int = Field(
        10,
        ge=0,
        le=50,
        description="The most laboratories that one metric names; 0: none is named in metrics.",
    )

    # -- the account by day, and what is mended by hand
    account_seconds: Seconds = Field(
        30.0, description="How often it is counted what came and how it ended."
    )
    account_batch_records: Count = Field(
        50_000, description="The most records of one count; a backlog takes several."
    )
    account_in_flight_records: Count = Field(
        500_000, description="Up to how many records in flight are told apart by laboratory."
    )
    account_close_seconds: float = Field(
        900.0,
        ge=60,
        le=86_400,
        description="How long after midnight (Europe/Paris) a day stays open for late records.",
    )
    account_keep_days: int = Field(
        400, ge=1, le=3_660, description="For how many days the account is kept by laboratory."
    )
    account_item_days: int = Field(
        40, ge=1, le=3_660, description="For how many days refused and parked ones are listed."
    )
    account_report_items: Count = Field(
        10_000, description="The most messages that a laboratory's daily report lists."
    )
    account_reports_at_once: Count = Field(
        200, description="Daily reports that are written between two counts."
    )
    account_folder: Path | None = Field(
        None, description="Where daily reports are written; default `accounts` in the data folder."
    )
    parked_at_once: Count = Field(
        1_000, description="The most parked messages that one command or request changes."
    )
    replay_per_second: float = Field(
        200.0,
        gt=0,
        le=100_000,
        description="How many messages of a range are looked at, or done again, each second.",
    )
    replay_batch_messages: Count = Field(
        20, description="How many messages of a range are held against today at a time."
    )
    pause_refresh_seconds: Seconds = Field(
        1.0, description="How often it is looked what is paused."
    )
    pause_forgotten_seconds: float = Field(
        4 * 3_600.0,
        ge=60,
        le=366 * 86_400,
        description="How long something may be paused before it alerts.",
    )

    # -- backups of the embedded engine
    backup_dir: Path | None = Field(
        None,
        description="Embedded: folder, on another disk, that `run` archives the write-ahead log"
        " into and takes backups into. Unset: neither.",
    )
    backup_every_seconds: int = Field(
        86_400, ge=60, le=31 * 86_400, description="How often a base backup is taken."
    )
    backup_keep: int = Field(
        7, ge=1, le=1_000, description="So many base backups stay, with the log since the oldest."
    )
    backup_megabytes_per_second: int = Field(
        32, ge=1, le=1_023, description="How fast a base backup reads the database."
    )
    backup_synchronous: bool = Field(
        False,
        description="An acknowledgement waits for the archive too: nothing acknowledged is lost"
        " with the machine; while the archive is away nothing is acknowledged.",
    )
    backup_wal_keep_megabytes: int = Field(
        8_192,
        ge=64,
        le=1_048_576,
        description="So much log waits on the database's disk for an archive that is away; beyond"
        " it the archive begins anew, with a new base backup.",
    )

    # -- silent laboratories
    silence_score: float = Field(
        4.0,
        ge=1,
        le=50,
        description="From which score on a laboratory is called silent: 4 is a silence of one in"
        " 10,000 by its own past. docs/silence.md says what each costs in false alarms.",
    )
    silence_doubt_score: float = Field(
        2.5,
        ge=0.5,
        le=50,
        description="From which score on it is doubtful: many at once are a fault of the network"
        " or of this hub.",
    )
    silence_short_score: float = Field(
        4.0,
        ge=1,
        le=50,
        description="From which score on a laboratory is called short: what came in 24 hours or in"
        " seven days is that unlikely little.",
    )
    silence_least_seconds: Seconds = Field(
        1_800.0,
        description="No shorter silence is judged: lines are down for minutes at times.",
    )
    silence_days: int = Field(
        21,
        ge=14,
        le=60,
        description="Days since a laboratory's first message from which on it is judged.",
    )
    silence_learn_laboratories: Count = Field(
        300,
        description="Of how many laboratories the past is learned in a minute; each once a day.",
    )

    # -- looking at it
    doctor_seconds: Seconds = Field(
        10.0, description="The longest `labdispatch doctor` waits for any one thing."
    )
    look_seconds: Seconds = Field(
        5.0, description="The longest `status` and `top` wait for figures of the hub."
    )
    top_seconds: Seconds = Field(2.0, description="How often `labdispatch top` looks again.")
    figures_addresses: str = Field(
        ",".join(f"127.0.0.1:{port}" for port in (*range(9581, 9587), 9601, 9602, 9603, 9604)),
        max_length=4_000,
        pattern=r"^([^\s,:/]+:\d{1,5}(,[^\s,:/]+:\d{1,5})*)?$",
        description="Cluster: where `status`, `top` and `doctor` read the figures of the processes"
        " (each one's `metrics_port`), HOST:PORT with commas between; the default is where our"
        " units have them. Those that do not answer are left out.",
    )

    # -- spans for OpenTelemetry
    traces_endpoint: str = Field(
        "",
        max_length=500,
        pattern="^(https?://.+)?$",
        description="Where spans go: OTLP over HTTP, as http://127.0.0.1:4318/v1/traces; empty:"
        " none is made. Needs the extra `traces`.",
    )
    traces_ratio: float = Field(
        1.0, ge=0, le=1, description="Of which share of the messages spans are made."
    )
    traces_queue: Count = Field(
        10_000, description="Spans of a process that wait; what does not fit is dropped."
    )
    traces_seconds: Seconds = Field(2.0, description="How often spans are sent.")
    traces_timeout_seconds: Seconds = Field(
        5.0, description="The longest one sending of spans may take."
    )
