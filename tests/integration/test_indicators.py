"""Indicators on a real PostgreSQL: counted once, whatever dies; published whole, or not at all."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ops.indicators.counting import Counter
from ops.indicators.extracting import TableExtractor
from ops.indicators.keeper import Keeper, Pace
from ops.indicators.packing import cells_of, delays_of, unpack, Place
from ops.indicators.protection import Protection
from ops.indicators.reading import EventReader
from ops.runtime import failpoints
from ops.runtime.postgres import Pool, open_pool
from routing.disclosure import Block, Policy, Shown
from routing.indicator_cells import CellKey, DelayKey
from routing.indicators import Book
from routing.indicator_rows import hear
from schemas.areas.population import synthetic_population
from schemas.errors import Fenced, TransientError
from schemas.events import PseudonymReplaced
from schemas.figures import Figure
from tests.support.postgres import Database
from tests.support.telling import Telling, pseudonym_of, row, some_rows

PARTITIONS = 3
TODAY = date(2026, 3, 20)
NOW = datetime(2026, 3, 20, 12, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.at = NOW

    def now(self) -> datetime:
        return self.at


class Open(Protection, frozen=True, kw_only=True):
    """Lets everything be told: what is compared here is counting."""

    def decide(
        self, figures: Sequence[Figure], on: date, before: Shown | None, last_week: Sequence[Figure]
    ) -> Shown:
        return Shown(condition="", block="", nodes={})

    def protect(self, figures: Sequence[Figure], shown: dict[Block, Shown]) -> list[Figure]:  # type: ignore[override]
        return list(figures)


class World:
    def __init__(self, pool: Pool, telling: Telling) -> None:
        self.pool = pool
        self.telling = telling
        self.clock = Clock()

    def keeper(self, most: int = 40) -> Keeper:
        protection = Open(policy=Policy(), population=synthetic_population())
        return Keeper(
            self.pool,
            EventReader(self.pool, self.telling.vault, most),
            Counter(self.pool),
            extractor=TableExtractor(self.pool, protection, keep=3),
            clock=self.clock,
            pace=Pace(extraction_seconds=3600, lag_events=0),
        )

    async def count(self, keeper: Keeper | None = None) -> None:
        keeper = keeper or self.keeper()
        while await keeper.turn():
            pass

    async def fetch(self, query: str, *args: object) -> list[Any]:
        async with self.pool.acquire() as connection:
            return await connection.fetch(query, *args)

    async def cells(self) -> dict[CellKey | DelayKey, Any]:
        found: dict[CellKey | DelayKey, Any] = {}
        for each in await self.fetch(
            "SELECT condition, period, day, department, packed FROM indicator_cell"
        ):
            place = Place(*each[:4])
            packed = unpack(each[4])
            found.update(cells_of(place, packed))
            delays = delays_of(packed)
            if any(delays.tests):
                found[DelayKey(place.condition, place.day, place.department)] = delays
        return found

    async def from_zero(self) -> dict[CellKey | DelayKey, Any]:
        """Return the cells of all events of the stream, told at once to an empty book."""
        rows = await self.fetch(
            "SELECT event_id, report_id, part, event_version, payload FROM stream_event"
        )
        heard = [
            hear(
                each["report_id"],
                each["part"],
                each["event_version"],
                None
                if each["payload"] is None
                else self.telling.vault.open(each["payload"], each["event_id"].bytes),
            )
            for each in rows
        ]
        deltas = Book().apply(heard).deltas
        return {**deltas.cells, **deltas.delays}


@pytest.fixture
async def world(database: Database, tmp_path: Path) -> AsyncIterator[World]:
    async with database_of(database) as pool:
        yield World(pool, Telling(pool, tmp_path / "keys", PARTITIONS))
    failpoints.arm("")


class database_of:  # noqa: N801
    def __init__(self, database: Database) -> None:
        self._database = database

    async def __aenter__(self) -> Pool:
        connection = await self._database.connect()
        await connection.execute(
            "SELECT instance_init(gen_random_uuid(), 'test', 'embedded', $1)", PARTITIONS
        )
        await connection.close()
        self._pool = await open_pool(self._database.connect_kwargs, "indicators", max_size=4)
        return self._pool

    async def __aexit__(self, *_: object) -> None:
        await self._pool.close()


async def corrected(world: World, seed: int) -> None:
    """Tell rows, corrections, withdrawals, merges and their undoing, with counting in between."""
    source = random.Random(seed)
    reports = []
    for turn in range(4):
        rows = some_rows(seed * 10 + turn, 60, TODAY)
        reports += await world.telling.tell(rows)
        again = [
            world.telling.event(
                report, None if source.random() < 0.3 else some_rows(source.random(), 1, TODAY)[0]
            )
            for report in source.sample(reports, 15)
        ]
        await world.telling.write(again)
        one, other = source.sample(range(20), 2)
        alias = PseudonymReplaced(
            old=pseudonym_of(one, "2026-H1"), new=pseudonym_of(other, "2026-H1"), period="2026-H1"
        )
        merge = world.telling.event(reports[turn * 60].__class__(int=source.getrandbits(128)), alias, "")
        await world.telling.write([merge])
        if turn == 2:
            await world.telling.write([world.telling.event(merge.report_id, None, "")])
        await world.count()


async def test_counted_as_they_come_is_counted_from_zero(world: World) -> None:
    for seed in (1, 2):
        await corrected(world, seed)
        assert await world.cells() == await world.from_zero()
