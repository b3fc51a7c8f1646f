"""What comes in as files and on inbound topics, and how all of it is made durable."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, Field

from .settings_kinds import Count, Seconds


class IntakeSettings(BaseModel):
    """What comes in as files and on inbound topics, and how all of it is made durable."""

    # -- files
    batch_dir: Path | None = Field(
        None,
        description="Watched for files, with a folder for each laboratory; not set = off.",
    )
    batch_poll_seconds: Seconds = Field(
        1.0, description="How often the watched folder is looked at."
    )
    batch_max_bytes: int = Field(
        2 * 1024**3, ge=1_024, le=64 * 1024**3, description="The largest file taken."
    )
    batch_folder_files: Count = Field(
        10_000, description="The most files of one laboratory's folder that are looked at at once."
    )
    batch_at_once: int = Field(
        4, ge=1, le=64, description="Files read at the same time by one process, one a laboratory."
    )
    batch_uploads: int = Field(
        4, ge=1, le=1_000, description="Bodies of `POST /v1/batches` taken in at the same time."
    )
    batch_window: Count = Field(
        64, description="Messages of one file in flight before it is not read further."
    )
    batch_share: float = Field(
        0.25,
        gt=0,
        le=1,
        description="The share of its time that a process gives to files while others send.",
    )
    batch_lag: Count = Field(
        2_000, description="Records dispatch may be behind before files wait, while others send."
    )
    batch_patience_seconds: Seconds = Field(
        600.0,
        description="How long a file waits for the door or for dispatch before its turn ends.",
    )
    batch_answer_seconds: Seconds = Field(
        3.0, description="How long `POST /v1/batches` waits for the whole answer; then it is 202."
    )
    batch_keep_days: int = Field(
        35, ge=1, le=3_650, description="How long answers to files, and that they came, are kept."
    )
    batch_done_days: int = Field(
        7, ge=0, le=3_650, description="How long files that were read stay in `done` and `failed`."
    )

    # -- inbound topics
    inbound_topics: str = Field(
        "",
        max_length=4_000,
        pattern=r"^[A-Za-z0-9._,-]*$",
        description="Cluster: full names of the topics that laboratories write to, separated by"
        " commas; empty = off.",
    )
    inbound_reply_topic: str = Field(
        "",
        max_length=249,
        pattern=r"^[A-Za-z0-9._-]*$",
        description="Full name of the topic that gets the acknowledgements of inbound records;"
        " empty = they are only counted.",
    )
    inbound_window: Count = Field(
        200, description="Inbound records of one topic in flight before it is not read further."
    )
    inbound_turn_seconds: Seconds = Field(
        15.0, description="After how long another process reads the inbound topics, if one hangs."
    )
    inbound_kept: Count = Field(
        10_000,
        description="Parked inbound records whose content is kept; of more only the place is.",
    )
    inbound_keep_days: int = Field(
        35, ge=1, le=3_650, description="How long parked inbound records that were resolved stay."
    )

    # -- making durable
    append_lanes: int = Field(
        1, ge=1, le=64, description="Appends in flight at once in one process."
    )
    append_batch: Count = Field(500, description="The most records of one append.")
    append_gather_seconds: float = Field(
        0.008,
        ge=0,
        le=0.1,
        description="How far apart the appends of a lane begin while several records come at once;"
        " a record that comes alone never waits.",
    )
    append_queue: Count = Field(
        20_000, description="The most records that wait for an append; beyond: AR 207."
    )
    append_queue_bytes: int = Field(
        256 * 1024 * 1024,
        ge=1024 * 1024,
        description="The most bytes that wait for an append; beyond: AR 207.",
    )
    append_deadline_seconds: Seconds = Field(
        5.0, description="The longest an append may take before its result counts as unknown."
    )
    min_free_disk_bytes: int = Field(
        2 * 1024**3,
        ge=0,
        description="With less free disk (or less than a tenth of it) messages get AR 207.",
    )

    log_away_seconds: Seconds = Field(
        5.0, description="How long the intake log may be silent before messages get AR 207."
    )
    log_retention_seconds: float = Field(
        7 * 86_400.0,
        ge=3_600,
        le=366 * 86_400,
        description="How long the intake log keeps a record (cluster: `retention.ms` of the topic,"
        " set when it is made).",
    )
    log_margin_seconds: float = Field(
        86_400.0,
        ge=0,
        le=366 * 86_400,
        description="Messages get AR 207 when an unhandled record is this near its end.",
    )
