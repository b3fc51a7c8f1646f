"""Which instance a process belongs to, and where its database and brokers are."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, Field, SecretStr

from schemas.decision import Realm

from .kafka_security import KafkaProtocol, SaslMechanism
from .settings_kinds import Engine, Seconds


class InstanceSettings(BaseModel):
    """Which instance a process belongs to, and where its database and brokers are."""

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
        " `master.key`; a purge destroys the copies too. It is marked at its first use: a disk that"
        " is not mounted is no folder of the disk below. Unset: no copy is made.",
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
    embedded_buffers_megabytes: int = Field(
        512,
        ge=64,
        le=65_536,
        description="Embedded: what PostgreSQL keeps of its tables in memory (`shared_buffers`)."
        " Above some hundred messages a second an eighth to a quarter of the machine.",
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
