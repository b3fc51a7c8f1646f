"""The composition root: each station's parts, put together from the settings.

Every process opens its own connections, keys and log; nothing is shared but the data folder, the
database and the broker.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import msgspec

from ingest.accept import Acceptor, DoorCounts
from ingest.fairness import FairLimits, Fairness
from ingest.fairness_store import share_counts
from ingest.lab_share import Places
from ingest.lab_snapshot import FILE_NAME, SECRET, Snapshot, SnapshotKeeper
from ingest.labs import LabRegister, PostgresLabStore
from ops.foreign import ForeignFacilities
from ops.opening import Opened, open_instance
from ops.runtime.clock import SystemClock
from ops.runtime.embedded import read_connection
from ops.runtime.group_append import GroupAppender
from ops.runtime.intake_log import IntakeLog
from ops.runtime.intake_postgres import PostgresIntakeLog
from ops.runtime.key_folder import key_store_of
from ops.runtime.migrate import Instance, init_instance, migrate
from ops.runtime.postgres import Pool, check_durability, connected, translated
from ops.runtime.settings import Engine, Settings
from ops.runtime.vault import Vault
from routing.streams import StreamReader
from schemas.decision import Realm
from schemas.topics import intake_topic

if TYPE_CHECKING:
    from ingest.listener import MllpListener
    from ops.runtime.kafka_client import KafkaSettings


class Hub(msgspec.Struct, frozen=True, kw_only=True):
    """What every station has: the instance, its database, its log, its keys."""

    settings: Settings
    instance: Instance
    pool: Pool
    log: IntakeLog
    vault: Vault
    clock: SystemClock
    held: Snapshot | None = None
    """What it was opened from, where the database was away: `pool` proves it once it is back."""

    @property
    def realm(self) -> Realm:
        """The realm of the instance."""
        return Realm(self.instance.realm)

    @property
    def is_cluster(self) -> bool:
        """Whether Apache Kafka lies below the log and behind the streams."""
        return self.instance.engine == Engine.CLUSTER.value


class Door(msgspec.Struct, frozen=True, kw_only=True):
    """What a process that takes messages has besides."""

    acceptor: Acceptor
    appender: GroupAppender
    register: LabRegister
    counts: DoorCounts
    foreign: ForeignFacilities


def connection_of(settings: Settings) -> Mapping[str, Any]:
    """Return how to reach the instance's database.

    Raises:
        FatalError: No embedded database was ever started in the data folder.
    """
    if settings.engine is Engine.EMBEDDED:
        return read_connection(settings.data_dir)
    return {"dsn": settings.database_address}


async def migrate_instance(settings: Settings) -> int:
    """Bring the database to this release's schema, and fix the instance at its first start.

    Returns:
        How many migrations were applied.

    Raises:
        FatalError: The database is unsafe, newer, or another instance's.
        TransientError: The database is away.
    """
    # A door opens an instance by this module too, and knows no rules.
    from ops.ruling.loading import take_shipped

    connect = connection_of(settings)
    async with connected(connect, "migrate") as connection:
        with translated():
            await check_durability(connection, needs_standby=settings.needs_standby)
    applied = await migrate(connect)
    async with connected(connect, "migrate") as connection:
        with translated():
            await init_instance(connection, settings)
            async with connection.transaction():
                await take_shipped(connection, SystemClock().now())
    key_store_of(settings)  # makes the master key
    return applied


@asynccontextmanager
async def open_hub(
    settings: Settings, role: str, *, connections: int = 4, appends: bool = False
) -> AsyncIterator[Hub]:
    """Open an instance for one station, and close it again.

    Args:
        settings: Where it is.
        role: ingest, dispatch, relay, api or looking: its time limits in the database.
        connections: The most database connections.
        appends: Whether this process writes to the intake log.

    Raises:
        FatalError: Not migrated, another realm, engine or number of partitions, unsafe database.
        TransientError: The database or the broker cannot be reached.
    """
    clock = SystemClock()
    opened = await open_instance(
        connection_of(settings), settings, role, connections=connections, clock=clock
    )
    try:
        log = await _open_log(settings, opened, appends=appends)
        try:
            yield Hub(
                settings=settings,
                instance=opened.instance,
                pool=opened.pool,
                log=log,
                vault=Vault(
                    key_store_of(settings),
                    clock,
                    opened.instance.sealed_apart_from,
                ),
                clock=clock,
                held=opened.held,
            )
        finally:
            await log.close()
    finally:
        await opened.pool.close()


async def open_door(hub: Hub, places: Places | None = None) -> Door:
    """Return the parts of a process that takes messages; `appender.start` is the caller's.

    On the cluster what is read of the register is kept on disk, so that the next start needs no
    database.

    Args:
        hub: The instance.
        places: Counts connections together with the doors beside this one.

    Raises:
        TransientError: The register cannot be read.
    """
    settings = hub.settings
    register = LabRegister(
        PostgresLabStore(hub.pool, max_labs=settings.max_labs_at_first_sight),
        register_unknown=settings.registers_unknown,
        max_pending=settings.registrations_at_once,
        clock=hub.clock,
        keeper=_keeper(hub) if hub.is_cluster else None,
    )
    if hub.held is None:
        await register.refresh()
    else:
        register.take(hub.held.labs, hub.held.taken_at)
    appender = GroupAppender(
        hub.log,
        lanes=settings.append_lanes,
        max_batch=settings.append_batch,
        max_queued=settings.append_queue,
        max_queued_bytes=settings.append_queue_bytes,
        deadline_seconds=settings.append_deadline_seconds,
        gather_seconds=settings.append_gather_seconds,
    )
    counts = DoorCounts()
    foreign = ForeignFacilities(lambda name: register.get(name) is not None, hub.clock)
    acceptor = Acceptor(
        register=register,
        appender=appender,
        vault=hub.vault,
        clock=hub.clock,
        realm=hub.realm,
        partitions=hub.instance.partitions,
        inbox_secret=hub.vault.secret("inbox"),
        counts=counts,
        note_foreign=foreign.note,
        fairness=Fairness(
            FairLimits(
                max_connections=settings.max_connections_per_laboratory,
                window_frames=settings.laboratory_window_frames,
                pause_seconds=settings.limit_pause_seconds,
                loop_repeats=settings.loop_repeats,
                loop_seconds=settings.loop_seconds,
                loop_keys=settings.loop_keys,
            ),
            places,
        ),
    )
    if hub.held is None:
        await share_counts(acceptor.fairness, hub.pool, hub.clock)
    return Door(
        acceptor=acceptor,
        appender=appender,
        register=register,
        counts=counts,
        foreign=foreign,
    )


def listener_of(settings: Settings, acceptor: Acceptor) -> MllpListener:
    """Return the MLLP listener with its bounds."""
    from ingest.listener import ListenerLimits, MllpListener

    limits = ListenerLimits(
        max_frame_bytes=settings.max_frame_bytes,
        partial_frame_seconds=settings.partial_frame_seconds,
        min_bytes_per_second=settings.min_bytes_per_second,
        max_connections=settings.max_connections,
        max_connections_per_address=settings.max_connections_per_address,
        spare_connections=settings.spare_connections,
        large_frame_bytes=settings.large_frame_bytes,
        large_frames=settings.large_frames,
        large_frame_bytes_per_second=settings.large_frame_bytes_per_second,
        turn_bytes=settings.turn_bytes,
        window_frames=settings.window_frames,
        window_bytes=settings.window_bytes,
        accepts_per_second=settings.accepts_per_second,
        turn_frames=settings.turn_frames,
        laboratory_turn_frames=settings.laboratory_turn_frames,
        unread_answer_seconds=settings.unread_answer_seconds,
    )
    return MllpListener(acceptor, limits, acceptor.fairness)


def reader_of(hub: Hub) -> StreamReader:
    """Return the reader of the streams."""
    return StreamReader(hub.pool, hub.vault)


def kafka_settings(settings: Settings, client_id: str) -> KafkaSettings:
    """Return where the brokers are."""
    from ops.runtime.kafka_client import KafkaSettings

    return KafkaSettings(
        bootstrap=settings.kafka_bootstrap,
        client_id=f"labdispatch-{client_id}",
        deadline_seconds=settings.kafka_deadline_seconds,
        security=settings.kafka_security,
    )


def _keeper(hub: Hub) -> SnapshotKeeper:
    settings = hub.settings
    return SnapshotKeeper(
        settings.data_dir / FILE_NAME,
        hub.vault.secret(SECRET),
        instance=hub.instance,
        topic_prefix=settings.kafka_topic_prefix,
        clock=hub.clock,
        max_age_seconds=settings.register_snapshot_seconds,
        taken_at=hub.held.taken_at if hub.held is not None else None,
    )


async def _open_log(settings: Settings, opened: Opened, *, appends: bool) -> IntakeLog:
    instance = opened.instance
    if instance.engine == Engine.EMBEDDED.value:
        return PostgresIntakeLog(opened.pool, deadline_seconds=settings.append_deadline_seconds)
    from ops.runtime.intake_kafka import open_kafka_log  # a hub without brokers needs no client

    return await open_kafka_log(
        kafka_settings(settings, "intake"),
        topic=intake_topic(settings.kafka_topic_prefix),
        partitions=instance.partitions,
        replication_factor=settings.replication_factor,
        min_insync_replicas=settings.min_insync_replicas,
        retention_seconds=settings.log_retention_seconds,
        appends=appends,
    )
