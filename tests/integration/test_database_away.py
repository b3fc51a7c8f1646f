"""A door opened from the copy on disk: the database that comes back must be the right one."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from ingest.lab_snapshot import FILE_NAME, SECRET, SnapshotKeeper
from ingest.labs import LabRegister, PostgresLabStore
from ops.opening import Opened, open_instance, watch_proof
from ops.runtime.clock import SystemClock
from ops.runtime.migrate import Instance
from ops.runtime.settings import Settings, load_settings
from ops.runtime.vault import FolderKeyStore, Vault
from schemas.errors import FatalError, TransientError
from tests.support.postgres import Database

CLOCK = SystemClock()


class Relay:
    """Stands before a database and lets through only when it is told to."""

    def __init__(self, database: Database) -> None:
        self._socket = Path(database.connect_kwargs["host"]) / (
            f".s.PGSQL.{database.connect_kwargs['port']}"
        )
        self._server: asyncio.Server | None = None
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.connect = {**database.connect_kwargs, "host": "127.0.0.1", "port": self.port}

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._join, "127.0.0.1", self.port)

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_unix_connection(str(self._socket))
        await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while content := await reader.read(65_536):
            writer.write(content)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


@pytest.fixture
async def relay(database: Database) -> AsyncIterator[Relay]:
    made = Relay(database)
    try:
        yield made
    finally:
        await made.close()


@pytest.fixture
async def instance(database: Database) -> Instance:
    connection = await database.connect()
    try:
        made = Instance(instance_id=uuid4(), realm="test", engine="cluster", partitions=4)
        await connection.execute("SELECT instance_init($1, 'test', 'cluster', 4)", made.instance_id)
        await connection.execute("INSERT INTO lab (registry_id) VALUES ('LAB1')")
    finally:
        await connection.close()
    return made


def settings_at(folder: Path, **more: Any) -> Settings:
    return load_settings(
        data_dir=folder, engine="cluster", postgres_dsn="postgresql://nobody@127.0.0.1/none",
        require_standby=False, **more,
    )  # fmt: skip


async def keep(relay: Relay, instance: Instance, settings: Settings) -> None:
    """Read the register from the database, and leave the copy on disk."""
    await relay.open()
    opened = await open_instance(relay.connect, settings, "ingest", connections=2, clock=CLOCK)
    vault = Vault(FolderKeyStore(settings.keys_folder), CLOCK)
    keeper = SnapshotKeeper(
        settings.data_dir / FILE_NAME, vault.secret(SECRET), instance=instance, topic_prefix="",
        clock=CLOCK, max_age_seconds=settings.register_snapshot_seconds,
    )  # fmt: skip
    register = LabRegister(PostgresLabStore(opened.pool), register_unknown=False, keeper=keeper)
    await register.refresh()
    await opened.pool.close()
    await relay.close()


async def open_(relay: Relay, settings: Settings, role: str = "ingest") -> Opened:
    return await open_instance(relay.connect, settings, role, connections=2, clock=CLOCK)


async def test_a_door_opens_from_disk_and_goes_on_with_its_own_database(
    relay: Relay, instance: Instance, tmp_path: Path
) -> None:
    settings = settings_at(tmp_path)
    with pytest.raises(TransientError, match="database_away"):
        await open_(relay, settings)
    await keep(relay, instance, settings)
    for role in ("dispatch", "relay", "looking"):
        with pytest.raises(TransientError, match="database_away"):
            await open_(relay, settings, role)
    opened = await open_(relay, settings)
    assert opened.instance == instance
    assert opened.held is not None
    register = LabRegister(PostgresLabStore(opened.pool), register_unknown=False)
    register.take(opened.held.labs, opened.held.taken_at)
    with pytest.raises(TransientError, match="database_away"):
        await register.refresh()
    assert register.get("LAB1") is not None
    watching = asyncio.ensure_future(watch_proof(opened.pool, 0.05))
    await relay.open()
    async with asyncio.timeout(30):
        while True:
            try:
                await register.refresh()
                break
            except TransientError:
                await asyncio.sleep(0.05)
    assert not watching.done()
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    await opened.pool.close()


async def test_another_database_that_comes_back_gets_nothing(
    relay: Relay, instance: Instance, database: Database, tmp_path: Path
) -> None:
    settings = settings_at(tmp_path)
    await keep(relay, instance, settings)
    opened = await open_(relay, settings)
    connection = await database.connect()
    await connection.execute("UPDATE instance SET instance_id = gen_random_uuid()")
    await connection.close()
    await relay.open()
    with pytest.raises(FatalError, match="instance_differs"):
        async with asyncio.timeout(30):
            await watch_proof(opened.pool, 0.05)
    for _ in range(2):
        with pytest.raises(FatalError, match="instance_differs"):
            async with opened.pool.acquire():
                raise AssertionError("nobody gets a connection")
    await opened.pool.close()


async def test_a_copy_of_another_instance_or_of_long_ago_starts_nobody(
    relay: Relay, instance: Instance, tmp_path: Path
) -> None:
    await keep(relay, instance, settings_at(tmp_path))
    cases: tuple[tuple[dict[str, Any], str], ...] = (
        ({"partitions": 8}, "snapshot_of_other_instance"),
        ({"kafka_topic_prefix": "x-"}, "snapshot_of_other_instance"),
        ({"register_snapshot_seconds": 1e-9}, "snapshot_too_old"),
        ({"keys_dir": tmp_path / "others"}, "snapshot_signature_wrong"),
    )
    for more, says in cases:
        with pytest.raises(TransientError, match=f"{says}: .*start PostgreSQL"):
            await open_(relay, settings_at(tmp_path, **more))
