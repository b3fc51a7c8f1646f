"""Indicators beside an outbox that a test fills: what is counted, and what should be."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from ops.indicators.closing import RowCloser
from ops.indicators.counting import Counter
from ops.indicators.extracting import TableExtractor
from ops.indicators.keeper import Keeper, Pace
from ops.indicators.packing import cells_of, delays_of, unpack
from ops.indicators.protection import Protection
from ops.indicators.reading import EventReader
from ops.runtime.postgres import Pool, open_pool
from routing.disclosure import Block, Policy, Shown
from routing.indicator_cells import DelayKey, Place
from routing.indicator_rows import hear
from routing.indicators import Book
from schemas.areas.population import Population, synthetic_population
from schemas.figures import Figure
from tests.support.postgres import Database
from tests.support.telling import Telling

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
        self.rows_days = 800

    def keeper(
        self,
        most: int = 40,
        *,
        protects: bool = False,
        policy: Policy | None = None,
        population: Population | None = None,
    ) -> Keeper:
        kind = Protection if protects else Open
        protection = kind(
            policy=policy or Policy(), population=population or synthetic_population()
        )
        return Keeper(
            self.pool,
            EventReader(self.pool, self.telling.vault, most),
            Counter(self.pool),
            extractor=TableExtractor(self.pool, protection, keep=3),
            closer=RowCloser(self.pool, self.rows_days, page=7, look_seconds=0.0),
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

    async def cells(self) -> dict[Any, Any]:
        found: dict[Any, Any] = {}
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

    async def from_zero(self) -> dict[Any, Any]:
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


@asynccontextmanager
async def world_of(database: Database, folder: Path) -> AsyncIterator[World]:
    """Give a world on a scratch database."""
    connection = await database.connect()
    await connection.execute(
        "SELECT instance_init(gen_random_uuid(), 'test', 'embedded', $1)", PARTITIONS
    )
    await connection.close()
    pool = await open_pool(database.connect_kwargs, "indicators", max_size=4)
    try:
        yield World(pool, Telling(pool, folder / "keys", PARTITIONS))
    finally:
        await pool.close()
