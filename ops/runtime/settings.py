"""Every setting, in one place: `LABDISPATCH_<NAME>` in the environment, checked at start.

docs/settings.md is generated from this module (`python -m ops.settings_page`).
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final, Self

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from schemas.days import Reading
from schemas.decision import Realm
from schemas.errors import FatalError

from .kafka_security import KafkaProtocol, KafkaSecurity, SaslMechanism
from .secret_file import read_secret
from .settings_fit import is_loopback, problems
from .topic import Compression

PREFIX: Final = "LABDISPATCH_"
METRICS_FOLDER_VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"

__all__ = [
    "METRICS_FOLDER_VARIABLE",
    "PREFIX",
    "Engine",
    "Settings",
    "is_loopback",
    "load_settings",
]

Port = Annotated[int, Field(ge=0, le=65535)]
Seconds = Annotated[float, Field(gt=0, le=86_400)]
Count = Annotated[int, Field(ge=1, le=1_000_000)]
Days = Annotated[int, Field(ge=2, le=3_650)]


class Engine(StrEnum):
    """What lies below the intake log and the streams."""

    EMBEDDED = "embedded"
    CLUSTER = "cluster"


class Settings(BaseSettings):
    """The settings of every process."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        frozen=True,
        extra="forbid",
        # A compose file can only hand on a variable, not leave it out.
        env_ignore_empty=True,
    )

    # -- the instance
    data_dir: Path = Field(
        Path("var/hub"), description="Folder of keys, tokens, logs and (embedded) the database."
    )
    state_dir: Path | None = Field(
        None, description="As root, embedded: where the cluster lies; default /var/lib/labdispatch."
    )
    engine: Engine = Field(
        Engine.EMBEDDED,
        description="`embedded` (PostgreSQL out of a wheel) or `cluster` (with Apache Kafka).",
    )
    realm: Realm = Field(
        Realm.TEST,
        description="`test` (loopback only) or `production`; fixed at the first start.",
    )
    partitions: int | None = Field(
        None,
        ge=1,
        le=1024,
        description="Partitions of the log, fixed at first start; default 16, or 64 on cluster.",
    )
    keys_dir: Path | None = Field(
        None, description="Folder of the sealing keys; default `keys` in the data folder."
    )
    keys_copy_dir: Path | None = Field(
        None,
        description="Folder, best on another disk, that gets a copy of every wrapped key but"
        " `master.key`; a purge destroys the copies too. Unset: none is made.",
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

    # -- PostgreSQL and Apache Kafka
    postgres_dsn: SecretStr | None = Field(
        None,
        description="Cluster: postgresql://user:password@host/database. Its role needs"
        " `pg_monitor` (`GRANT pg_monitor TO labdispatch`): without it alerts on standbys and old"
        " transactions see nothing.",
    )
    postgres_dsn_file: Path | None = Field(
        None,
        description="Cluster: file with that address instead, one line, closed to others; so it"
        " stands in no environment.",
    )
    require_standby: bool = Field(
        True, description="Cluster: refuse to start while `synchronous_standby_names` is empty."
    )
    kafka_bootstrap: str = Field(
        "127.0.0.1:9092", description="Cluster: host:port of some brokers, separated by commas."
    )
    kafka_protocol: KafkaProtocol = Field(
        KafkaProtocol.PLAINTEXT,
        description="Cluster: `plaintext`, `ssl` (TLS), or `sasl_ssl` (TLS, with a name and a"
        " password).",
    )
    kafka_ca: Path | None = Field(
        None,
        description="Cluster, TLS: authorities of the brokers' certificates (PEM); default: those"
        " of this machine.",
    )
    kafka_cert: Path | None = Field(
        None, description="Cluster, TLS: our certificate and its chain (PEM), if brokers want one."
    )
    kafka_key: Path | None = Field(
        None, description="Cluster, TLS: the key of kafka_cert (PEM, without a password)."
    )
    kafka_sasl_mechanism: SaslMechanism = Field(
        SaslMechanism.SCRAM_512,
        description="Cluster, `sasl_ssl`: `SCRAM-SHA-512`, `SCRAM-SHA-256` or `PLAIN`.",
    )
    kafka_sasl_user: str = Field(
        "", max_length=200, description="Cluster, `sasl_ssl`: our name at the brokers."
    )
    kafka_sasl_password_file: Path | None = Field(
        None,
        description="Cluster, `sasl_ssl`: file with our password, one line, closed to others.",
    )
    kafka_topic_prefix: str = Field(
        "",
        max_length=60,
        pattern=r"^[A-Za-z0-9._-]*$",
        description="Before the name of every topic.",
    )
    kafka_deadline_seconds: Seconds = Field(
        10.0, description="The longest any call to Kafka may take before it counts as in doubt."
    )
    replication_factor: int = Field(3, ge=1, le=9, description="Of topics made by the hub.")
    min_insync_replicas: int = Field(2, ge=1, le=9, description="Of topics made by the hub.")
    pool_connections: int = Field(
        8,
        ge=2,
        le=200,
        description="Database connections of a process: twice `dispatch_workers` plus 4, or more.",
    )

    # -- doors
    mllp_host: str = Field("127.0.0.1", description="Address laboratories connect to.")
    mllp_port: Port = Field(2575, description="Port laboratories connect to; 0 = any free one.")
    mllp_share_port: bool = Field(
        False,
        description="Let several ingest processes of this machine listen on the same port.",
    )
    ingest_processes: int = Field(
        0,
        ge=0,
        le=64,
        description="How many ingest processes `run` starts, on one port; 0 = one for each two"
        " cores, at least one.",
    )
    http_host: str = Field("127.0.0.1", description="Address of HTTP.")
    http_port: Port = Field(8575, description="Port of HTTP; 0 = any free one.")
    mllp_tls_cert: Path | None = Field(
        None,
        description="MLLP over mutual TLS: our certificate and its chain (PEM); needed beyond"
        " loopback.",
    )
    mllp_tls_key: Path | None = Field(None, description="MLLP: the key of mllp_tls_cert (PEM).")
    mllp_tls_client_ca: Path | None = Field(
        None, description="MLLP: authorities whose client certificates are taken (PEM)."
    )
    mllp_tls_crl: Path | None = Field(
        None,
        description="MLLP: revocation lists (PEM), one of every authority in mllp_tls_client_ca.",
    )
    http_tls_cert: Path | None = Field(
        None,
        description="HTTPS: our certificate and its chain (PEM); needed beyond loopback.",
    )
    http_tls_key: Path | None = Field(None, description="HTTPS: the key of http_tls_cert (PEM).")
    http_tls_client_ca: Path | None = Field(
        None,
        description="HTTPS: authorities whose client certificates are taken (PEM); without it"
        " laboratories use their token.",
    )
    http_tls_crl: Path | None = Field(
        None,
        description="HTTPS: revocation lists (PEM), one of every authority in http_tls_client_ca.",
    )
    tls_handshake_seconds: Seconds = Field(
        10.0, description="The longest a TLS handshake may take."
    )
    tls_shutdown_seconds: Seconds = Field(
        5.0, description="The longest the end of a TLS connection may take."
    )
    tls_handshakes_per_turn: int = Field(
        2,
        ge=1,
        le=1_024,
        description="TLS handshakes begun in one turn of the loop: what a storm of them may delay"
        " everybody else by. The others wait in line, one address after the other.",
    )
    tls_handshakes_at_once: int = Field(
        16,
        ge=1,
        le=1_024,
        description="TLS handshakes under way at one door. One that takes longer than 500 ms makes"
        " room for another; beyond 16 times as many slow ones the oldest is cut.",
    )
    tls_recheck_seconds: Seconds = Field(
        300.0,
        description="How often the certificates of open connections are looked at again: expiry,"
        " revocation, the laboratory.",
    )
    tls_reload_seconds: Seconds = Field(
        10.0, description="How often the TLS files are looked at for a change."
    )
    http_connections: Count = Field(
        2_000, description="HTTPS connections of the api process, handshakes included."
    )
    http_request_seconds: Seconds = Field(
        30.0, description="HTTPS: how long a connection may stay without a whole first request."
    )
    http_idempotency_keys: Count = Field(
        100_000, description="How many Idempotency-Keys the api process remembers."
    )
    metrics_port: Port = Field(
        0, description="Port of this process's own /metrics on the HTTP address; 0 = none."
    )
    last_words_seconds: float = Field(
        12.0,
        ge=0,
        le=60,
        description="How long a process that ends for a reason no restart mends shows it on its"
        " /metrics first: longer than two scrapes. Only where it has a metrics port, or under"
        " `run`, where api gives the figures of all.",
    )
    register_unknown_labs: bool | None = Field(
        None,
        description="Register facilities at first sight; default: on loopback in realm test.",
    )
    max_labs_at_first_sight: Count = Field(
        10_000,
        description="From so many laboratories on nobody is registered at first sight: AR 207"
        " `first_sight_full`.",
    )
    registrations_at_once: Count = Field(
        1_000,
        description="Registrations at first sight under way in one process; beyond: AR 207.",
    )
    register_refresh_seconds: Seconds = Field(
        5.0, description="How often a door reads the register of laboratories again."
    )
    register_snapshot_seconds: float = Field(
        7 * 86_400.0,
        gt=0,
        le=90 * 86_400,
        description="Cluster: the oldest copy of the register that a door starts from while"
        " PostgreSQL is away.",
    )
    max_frame_bytes: int = Field(
        8 * 1024 * 1024, ge=1_024, le=9 * 1024 * 1024, description="The largest message taken."
    )
    partial_frame_seconds: Seconds = Field(
        30.0, description="The longest a frame may take from its first byte."
    )
    min_bytes_per_second: Count = Field(100, description="The slowest a frame may come.")
    max_connections: Count = Field(6_000, description="Connections of one ingest process.")
    max_connections_per_address: Count = Field(6_000, description="Connections from one address.")
    spare_connections: int = Field(
        64,
        ge=0,
        le=10_000,
        description="Connections beyond max_connections or those of an address that are let in, to"
        " answer their first message with AR 207 and end; beyond these they are closed.",
    )
    large_frame_bytes: int = Field(
        64 * 1024,
        ge=1_024,
        description="A frame that has grown beyond this takes one of the places for large frames.",
    )
    large_frames: int = Field(
        16,
        ge=1,
        le=10_000,
        description="Places for large frames in one ingest process, a quarter at most for one"
        " laboratory; who has none is not read meanwhile.",
    )
    large_frame_bytes_per_second: int = Field(
        32 * 1024 * 1024,
        ge=1_024,
        description="What one ingest process reads a second of frames that have grown large, all of"
        " them together.",
    )
    turn_bytes: int = Field(
        64 * 1024,
        ge=1_024,
        description="What is read of one connection before all others have had their turn.",
    )
    max_connections_per_laboratory: Count = Field(
        1_000,
        description="Connections of one laboratory, to all ingest processes of one machine that"
        " share a port, where the register sets none; beyond: AR 207, and the connection ends.",
    )
    accepts_per_second: Count = Field(
        1_000,
        description="New connections that one ingest process takes a second; beyond, they wait in"
        " the backlog.",
    )
    turn_frames: Count = Field(
        8, description="Messages judged before other laboratories' sockets are looked at."
    )
    laboratory_turn_frames: Count = Field(
        2,
        description="Messages of one laboratory judged before other laboratories' sockets are"
        " looked at.",
    )
    laboratory_window_frames: Count = Field(
        32,
        description="Messages of one laboratory without an answer in one process before its"
        " connections are not read (HTTP: 429).",
    )
    limit_pause_seconds: Seconds = Field(
        1.0,
        description="How long, about, a connection is not read after it was over its laboratory's"
        " rate or quota, or looped.",
    )
    loop_repeats: Count = Field(
        10,
        description="Equal messages of one connection that are appended before the next is"
        " answered without.",
    )
    loop_seconds: Seconds = Field(
        60.0, description="For how long equal messages are counted together."
    )
    loop_keys: Count = Field(
        8, description="Different messages of one connection kept in mind to see a loop."
    )
    window_frames: Count = Field(
        32, description="Frames of one connection in flight before it is not read."
    )
    window_bytes: int = Field(
        8 * 1024 * 1024,
        ge=1_024,
        description="Bytes of one connection in flight before it is not read.",
    )
    unread_answer_seconds: Seconds = Field(
        30.0, description="How long a peer may leave its answers unread."
    )

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

    # -- dispatch, relay
    dispatch_linger_seconds: Seconds = Field(
        0.02,
        description="How long a worker waits for more when a batch was small; up to four times as"
        " long where it held more than 8 messages and was not half full.",
    )
    dispatch_batch_messages: Count = Field(100, description="The most messages of one batch.")
    dispatch_workers: int = Field(
        2,
        ge=1,
        le=16,
        description="How many batches a dispatch process has in hand at a time, each of partitions"
        " of its own: while one waits for the database, another is computed. On the embedded"
        " engine; on the cluster a process has one, and more processes are started.",
    )
    dispatch_batch_keys: Count = Field(1_500, description="The most blocking keys of one batch.")
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

    # -- indicators
    population_file: Path | None = Field(
        None,
        description="Inhabitants by department, age class and sex (docs/disclosure.md); without it"
        " the structure of ages is synthetic, and every rate says so.",
    )
    disclosure_threshold: int = Field(
        5, ge=0, le=1_000, description="Counts from 1 to this less 1 are withheld; 0: none is."
    )
    disclosure_settle_days: int = Field(
        2,
        ge=0,
        le=60,
        description="Days younger than this wait; without revisions the total of France does not.",
    )
    disclosure_daily_from: int = Field(
        10,
        ge=0,
        le=100_000,
        description="Areas that had fewer in the week before are told by weeks, not by days.",
    )
    disclosure_class_below: int = Field(
        0,
        ge=0,
        le=100_000_000,
        description="Areas with fewer inhabitants get classes of rates, no counts; 0: none.",
    )
    disclosure_rounding: int = Field(
        1, ge=1, le=1_000, description="Counts are rounded to multiples of this; 1: exact."
    )
    disclosure_revision_days: str | None = Field(
        None,
        pattern=r"^(\d{1,3}(,\d{1,3}){0,5})?$",
        description="Ages, after its last day, at which a week or month is told anew; between them"
        " its figures stay. Empty: with every extraction, and what came is not protected. Default:"
        " `8,22`; in realm test, where nobody is real, empty.",
    )
    indicators_batch_events: int = Field(
        50_000,
        ge=1,
        le=200_000,
        description="The most events that are counted in one transaction.",
    )
    indicators_poll_seconds: Seconds = Field(
        1.0, description="How long indicators wait for more events when all are counted."
    )
    indicators_extraction_seconds: int = Field(
        21_600,
        ge=60,
        le=7 * 86_400,
        description="How often what is counted is published; rarer ones tell less of one result.",
    )
    indicators_extractions: int = Field(
        3_650,
        ge=2,
        le=100_000,
        description="How many extractions can be asked for again; eldest ones go.",
    )
    indicators_portion_seconds: int = Field(
        20,
        ge=1,
        le=600,
        description="For how long at once old weeks are published anew, before some is counted.",
    )
    indicators_delay_weeks: int = Field(
        200,
        ge=1,
        le=10_000,
        description="Of how many weeks and conditions an extraction tells delays; others follow.",
    )
    indicators_lag_events: int = Field(
        10_000,
        ge=0,
        description="With more events to be counted than these an extraction is made four times"
        " more rarely, and none while the stream is counted from zero.",
    )
    indicators_behind_times: int = Field(
        4,
        ge=1,
        le=100,
        description="So many times more rarely is published while that many events wait.",
    )
    indicators_close_rows: int = Field(
        10_000,
        ge=1,
        le=1_000_000,
        description="The most rows of closed days that go in one transaction: counting waits.",
    )
    indicators_verify_rows: int = Field(
        20_000,
        ge=1,
        le=1_000_000,
        description="The most rows that `labdispatch indicators verify` counts at once.",
    )
    indicators_rows_days: int = Field(
        800,
        ge=90,
        le=36_600,
        description="For how many days indicators keep the row of each result: days that are older"
        " change no more. Not shorter than the stream public-health is kept.",
    )
    indicators_answer_figures: int = Field(
        10_000, ge=100, le=200_000, description="The most figures of one answer; more go in pages."
    )
    indicators_answer_unpacked: int = Field(
        200_000,
        ge=4_000,
        le=2_000_000,
        description="The most figures that are unpacked for one answer (a day of all departments:"
        " 3,597, 15 ms of a processor); more go in pages.",
    )
    indicators_answers_at_once: int = Field(
        2,
        ge=1,
        le=4,
        description="Connections that answers about indicators have at an api process, and how many"
        " unpack at the same time; others wait.",
    )

    indicators_answers_each: int = Field(
        4,
        ge=1,
        le=100,
        description="Answers that may be under way for each that unpacks; others wait.",
    )
    indicators_answer_wait_seconds: Seconds = Field(
        10.0, description="How long an answer waits for its turn before 503 is said."
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

    # -- running
    station_name: str = Field(
        "",
        max_length=40,
        pattern="^[a-z0-9-]*$",
        description="Name of this process among those of a run; default: its role.",
    )
    behind_the_door_nice: int = Field(
        10,
        ge=0,
        le=19,
        description="How far inbound, dispatch, relay, push and indicators stand back (nice)"
        " where processors are short.",
    )
    shutdown_seconds: Seconds = Field(
        4.0, description="How long a process takes at most to stop in order."
    )
    drain_seconds: float = Field(
        0.0,
        ge=0,
        le=3_600,
        description="How long `api` still serves, and says `draining` on /readyz, once it is told"
        " to stop: for a load balancer to look elsewhere.",
    )
    log_level: str = Field(
        "info",
        pattern="^(debug|info|warning|error)$",
        description="The least level that is logged.",
    )
    log_format: str = Field(
        "json", pattern="^(json|text)$", description="`json` or `text` (for a terminal)."
    )
    failpoints: str = Field(
        "", description="Tests only: name=kill|stop|raise|transient[@N], separated by commas."
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        found = list(problems(self))
        if found:
            raise ValueError("\n".join(found))
        return self

    @property
    def counts_together(self) -> bool:
        """Whether processes of this data folder count connections together, as those of `run`."""
        return self.mllp_share_port or bool(self.station_name)

    @property
    def partition_count(self) -> int:
        """How many partitions a new instance gets."""
        return self.partitions or (16 if self.engine is Engine.EMBEDDED else 64)

    @property
    def inbound_topic_names(self) -> tuple[str, ...]:
        """The inbound topics, each once."""
        return tuple(dict.fromkeys(name for name in self.inbound_topics.split(",") if name))

    @property
    def figures_places(self) -> tuple[str, ...]:
        """Where the processes' figures are, each once."""
        return tuple(dict.fromkeys(each for each in self.figures_addresses.split(",") if each))

    @property
    def database_address(self) -> str:
        """Cluster: where the database is, with our name and password.

        Raises:
            FatalError: The file that should say it cannot be used (`settings_invalid`).
        """
        if self.postgres_dsn is not None:
            return self.postgres_dsn.get_secret_value()
        assert self.postgres_dsn_file is not None, "settings check it"
        return read_secret(self.postgres_dsn_file, "postgres_dsn_file")

    @property
    def keys_folder(self) -> Path:
        """Where the sealing keys lie."""
        return self.keys_dir or self.data_dir / "keys"

    @property
    def accounts_folder(self) -> Path:
        """Where laboratories' daily reports are written."""
        return self.account_folder or self.data_dir / "accounts"

    @property
    def kafka_security(self) -> KafkaSecurity:
        """How the brokers are spoken to."""
        return KafkaSecurity(
            protocol=self.kafka_protocol,
            ca=self.kafka_ca,
            cert=self.kafka_cert,
            key=self.kafka_key,
            mechanism=self.kafka_sasl_mechanism,
            user=self.kafka_sasl_user,
            password_file=self.kafka_sasl_password_file,
        )

    @property
    def needs_standby(self) -> bool:
        """Whether the database must name a standby that waits for every commit."""
        return self.engine is Engine.CLUSTER and self.require_standby

    @property
    def registers_unknown(self) -> bool:
        """Whether a facility seen for the first time is registered; never beyond loopback."""
        loopback = is_loopback(self.mllp_host) and is_loopback(self.http_host)
        allowed = loopback and self.realm is Realm.TEST
        return allowed and self.register_unknown_labs is not False

    def as_environment(self, metrics_folder: Path | None = None) -> dict[str, str]:
        """Return the environment of a child process that is to have these settings."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(PREFIX)}
        for name, value in self.model_dump(mode="json", exclude_none=True).items():
            kept[PREFIX + name.upper()] = str(value)
        if self.postgres_dsn is not None:
            kept[PREFIX + "POSTGRES_DSN"] = self.postgres_dsn.get_secret_value()
        if metrics_folder is not None:
            kept[METRICS_FOLDER_VARIABLE] = str(metrics_folder)
        return kept


def load_settings(**overrides: object) -> Settings:
    """Return the settings of the environment, with what the command line said on top.

    Raises:
        FatalError: Settings that do not exist or do not fit (`settings_invalid`): all of them at
            once, each by its name, never by its value.
    """
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    unknown = sorted(name for name in os.environ if name.startswith(PREFIX) and name not in known)
    said = [f"no such setting: {', '.join(unknown)}"] if unknown else []
    try:
        made = Settings(**overrides)  # type: ignore[arg-type]
    except ValidationError as error:
        said += _said_of(error, overrides)
    else:
        if not said:
            return made
    raise FatalError("settings_invalid", f"{'; '.join(said)} (see docs/settings.md)")


def _said_of(error: ValidationError, overrides: Mapping[str, object]) -> list[str]:
    """Return what is wrong, one by one; never a value.

    What does not fit together is asked of the others where some do not fit alone: these stand at
    their defaults meanwhile, and what is said of them then is left out.
    """
    alone, together = _told(error)
    fields = Settings.model_fields
    bad = [name for name in alone if name in fields]
    if bad:
        defaults = {name: fields[name].get_default() for name in bad}
        try:
            Settings(**{**overrides, **defaults})
        except ValidationError as more:
            named = [re.compile(rf"\b{name}\b") for name in bad]
            together += [each for each in _told(more)[1] if not any(n.search(each) for n in named)]
    return [f"{PREFIX}{name.upper()}: {what}" for name, what in alone.items()] + together


def _told(error: ValidationError) -> tuple[dict[str, str], list[str]]:
    """Return what is wrong with settings alone, by name, and what does not fit together."""
    alone: dict[str, str] = {}
    together: list[str] = []
    for item in error.errors(include_input=False, include_context=False, include_url=False):
        if item["loc"]:
            alone["_".join(str(part) for part in item["loc"])] = item["msg"]
        else:
            together += item["msg"].removeprefix("Value error, ").splitlines()
    return alone, together


def metrics_folder() -> Path | None:
    """Return where the figures of several processes come together, or None for one alone."""
    folder = os.environ.get(METRICS_FOLDER_VARIABLE)
    return Path(folder) if folder else None


def leave_memory_to_the_system() -> None:
    """Let Arrow, where it is loaded after this, take the system's allocator.

    Its own keeps what many threads have freed, and grows by it: a seventh more after three times
    the events. An operator who has chosen one keeps it.
    """
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
