"""Which releases run is seen by their connections; some acts wait for the old ones."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest

from ops.asking import Asker
from ops.bootstrap import Hub
from ops.parking.mending import mend
from ops.pausing.changes import LABORATORY, STREAM, list_paused, pause
from ops.releases import Running, refuse_beside_older, running
from ops.runtime.postgres import lent
from ops.runtime.schema_version import schema_version
from schemas.errors import PermanentError
from tests.integration.test_parked import park, right
from tests.support.hub import Road, scratch_hub
from tests.support.postgres import Database

ASKER = Asker(actor="tester", reason="a test")


@asynccontextmanager
async def process(database: Database, name: str) -> AsyncIterator[None]:
    """A process of another release, as the database sees it."""
    connection = await asyncpg.connect(
        **database.connect_kwargs, server_settings={"application_name": name}
    )
    try:
        yield
    finally:
        await connection.close()


async def seen(hub: Hub, role: str) -> list[Running]:
    async with lent(hub.pool) as connection:
        return [each for each in await running(connection) if each.role == role]


async def test_each_process_says_which_schema_it_knows(database: Database, tmp_path: Path) -> None:
    async with scratch_hub(database, tmp_path) as hub:
        assert {each.schema for each in await seen(hub, "dispatch")} == {schema_version()}
        async with process(database, "labdispatch relay"), process(database, "psql"):
            assert await seen(hub, "relay") == [Running(role="relay", schema=None, connections=1)]
            assert await seen(hub, "psql") == []


@pytest.mark.parametrize("old", ["labdispatch dispatch", "labdispatch relay 0020"])
async def test_no_pause_begins_while_a_process_runs_that_would_not_heed_it(
    database: Database, tmp_path: Path, old: str
) -> None:
    async with scratch_hub(database, tmp_path) as hub, lent(hub.pool) as connection:
        now = hub.clock.now()
        async with process(database, old):
            for what, name in ((STREAM, "dossier"), (LABORATORY, "LAB1")):
                with pytest.raises(PermanentError, match="old_release_runs"):
                    await pause(connection, what, name, ASKER, now)
            assert await list_paused(connection) == []
        await gone(connection)
        await pause(connection, STREAM, "dossier", ASKER, now)
        assert [each.name for each in await list_paused(connection)] == ["dossier"]


async def gone(connection: asyncpg.Connection) -> None:
    """Wait until the server has noticed that a connection was closed."""
    while any(each.schema != schema_version() for each in await running(connection)):
        await asyncio.sleep(0.02)


async def test_a_newer_process_is_no_older_one(database: Database, tmp_path: Path) -> None:
    newer = f"labdispatch dispatch {schema_version() + 1:04d}"
    async with (
        scratch_hub(database, tmp_path) as hub,
        lent(hub.pool) as connection,
        process(database, newer),
    ):
        await refuse_beside_older(connection, schema_version(), "it")


async def test_no_message_is_mended_while_an_older_process_would_read_its_own_bytes(
    database: Database, tmp_path: Path
) -> None:
    async with scratch_hub(database, tmp_path) as hub:
        (message_id,) = await park(Road(hub))
        async with process(database, "labdispatch dispatch"):
            tried = await mend(hub, message_id, right(), ASKER, dry_run=True)
            assert tried.dry_run
            with pytest.raises(PermanentError, match="old_release_runs"):
                await mend(hub, message_id, right(), ASKER, dry_run=False)
        async with lent(hub.pool) as connection:
            assert await connection.fetchval("SELECT count(*) FROM mended") == 0
