"""What comes in over MLLP and HTTP: addresses, TLS, and every bound of the doors."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, Field

from .settings_kinds import Count, Port, Seconds


class DoorsSettings(BaseModel):
    """What comes in over MLLP and HTTP: addresses, TLS, and every bound of the doors."""

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
