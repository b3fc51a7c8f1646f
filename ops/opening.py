"""Opening an instance: from its database, or, for a door of the cluster, from the copy on disk."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from ingest.lab_snapshot import FILE_NAME, SECRET, Snapshot, check_usable, read_file, unseal
from ops.runtime.clock import Clock
from ops.runtime.key_folder import key_store_of
from ops.runtime.logs import get_logger
from ops.runtime.migrate import Instance, check_schema, load_instance
from ops.runtime.postgres import Connection, Pool, check_durability, open_pool, translated
from ops.runtime.settings import Engine, Settings
from ops.runtime.vault import Vault
from schemas.errors import FatalError, TransientError

_log = get_logger(__name__)

DOORS: Final = frozenset({"ingest", "api"})
"""Roles that take messages: they may start while the database is away, if the log is Kafka's."""


class Opened(msgspec.Struct, frozen=True, kw_only=True):
    """An instance and its database; `held` where that was away and the copy on disk stood in."""

    instance: Instance
    pool: Pool
    held: Snapshot | None = None


async def open_instance(
    connect: Mapping[str, Any], settings: Settings, role: str, *, connections: int, clock: Clock
) -> Opened:
    """Open an instance for a role; the pool is the caller's to close.

    Raises:
        FatalError: Not migrated, another realm, engine or number of partitions, unsafe database.
        TransientError: The database is away, and no copy on disk may stand in for it.
    """
    try:
        return await _from_database(connect, settings, role, connections)
    except TransientError:
        if role not in DOORS or settings.engine is not Engine.CLUSTER:
            raise
        held = read_held(settings, clock)
        if held is None:
            raise
    pool = await open_pool(
        connect,
        role,
        max_size=connections,
        min_size=0,
        prove=lambda connection: _prove(connection, settings, held.instance),
    )
    seconds = round((clock.now() - held.taken_at).total_seconds())
    _log.warning("register_from_disk", seconds=seconds, count=len(held.labs))
    return Opened(instance=held.instance, pool=pool, held=held)


def read_held(settings: Settings, clock: Clock) -> Snapshot | None:
    """Return the copy of the register on disk, None where there is none.

    Raises:
        TransientError: There is one that must not be used: it says why, and what to do.
        FatalError: The keys are damaged or open to others.
    """
    sealed = read_file(settings.data_dir / FILE_NAME)
    if sealed is None:
        return None
    vault = Vault(key_store_of(settings), clock)
    held = unseal(sealed, vault.secret(SECRET))
    check_usable(
        held,
        realm=settings.realm.value,
        engine=settings.engine.value,
        partitions=settings.partitions,
        topic_prefix=settings.kafka_topic_prefix,
        now=clock.now(),
        max_age_seconds=settings.register_snapshot_seconds,
    )
    return held


async def watch_proof(pool: Pool, period_seconds: float) -> None:
    """Try the database until it is back and proved to be the right one; then wait for ever.

    Raises:
        FatalError: It is another instance's, unsafe, or of another schema.
    """
    while True:
        try:
            async with pool.acquire():
                break
        except TransientError:
            await asyncio.sleep(period_seconds)
    _log.info("database_back")
    await asyncio.Event().wait()


async def _from_database(
    connect: Mapping[str, Any], settings: Settings, role: str, connections: int
) -> Opened:
    pool = await open_pool(connect, role, max_size=connections)
    try:
        async with pool.acquire() as connection:
            instance = await _look(connection, settings)
    except BaseException:
        await pool.close()
        raise
    return Opened(instance=instance, pool=pool)


async def _look(connection: Connection, settings: Settings) -> Instance:
    with translated():
        await check_durability(connection, needs_standby=settings.needs_standby)
        await check_schema(connection)
        return await load_instance(connection, settings)


async def _prove(connection: Connection, settings: Settings, held: Instance) -> None:
    if await _look(connection, settings) != held:
        raise FatalError(
            "instance_differs",
            "the database that came back is another instance's: set the settings back",
        )
