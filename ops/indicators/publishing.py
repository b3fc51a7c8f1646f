"""Publishes the tables of one block of time, if anything of them has changed."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import date
from hashlib import blake2b
from typing import Any, Final

import msgspec

from ops.runtime.postgres import Connection
from routing.disclosure import Shown
from routing.indicator_cells import DAY, MONTH_PERIOD
from schemas.figures import Figure, Period

from . import extraction_queries, packing
from .blocks import BlockOfTime
from .protection import Protection
from .stored import pack_table
from .tables import (
    WINDOW,
    OfArea,
    area_sums,
    figures_of,
    label_of,
    level_of,
    over_days,
    with_margins,
)

_CACHED_DAYS: Final = 24


class BlockPublisher:
    """Publishes blocks of one condition, in order of time.

    Args:
        connection: Of the role that counts; nobody counts meanwhile.
        condition: Whose tables.
        number: Of the extraction that is being made.
        today: Of the extraction.
        protection: What may be told.
        name: Its name.
    """

    def __init__(  # noqa: PLR0917
        self,
        connection: Connection,
        condition: str,
        number: int,
        today: date,
        protection: Protection,
        name: str,
    ) -> None:
        self._connection = connection
        self._condition = condition
        self._number = number
        self._today = today
        self._protection = protection
        self._name = name
        self._days: dict[tuple[str, int], dict[str, OfArea]] = {}

    async def publish(self, block: BlockOfTime) -> bool:
        """Decide what may be shown of a block, and write what changed.

        What is written already under this number, and follows from the same, stays: so an
        extraction that was broken off goes on. Return whether anything was written anew.
        """
        today = self._today.toordinal()
        before, source_before = await self._shown(block.name, self._number - 1)
        days = {day: await self._areas(block, day) for day in self._needed(block)}
        earlier, _ = (
            (None, b"") if block.is_month else await self._shown(block.before.name, self._number)
        )
        source = self._source(block, days, earlier)
        row = await self._row(block.name, self._number)
        is_written = row is not None and row["extraction"] == self._number
        if row is not None and row["source"] == source and (is_written or source == source_before):
            return False
        if source == source_before:
            async with self._connection.transaction():
                await self._drop(block)
            return True
        figures, last_week = self._figures(block, days, today)
        shown, protected = await asyncio.to_thread(
            self._decide, block, figures, before, last_week, earlier
        )
        async with self._connection.transaction():
            if is_written:
                await self._drop(block)
            await self._connection.execute(
                extraction_queries.KEEP_SHOWN,
                self._condition,
                block.name,
                self._number,
                source,
                msgspec.msgpack.encode(shown),
            )
            await self._keep(block, protected, today)
        return True

    async def _drop(self, block: BlockOfTime) -> None:
        """Take back what was written of a block under this number."""
        await self._connection.execute(
            extraction_queries.DROP_BLOCK_SHOWN, self._condition, block.name, self._number
        )
        await self._connection.execute(
            extraction_queries.DROP_BLOCK_TABLES,
            self._condition,
            self._number,
            block.is_month,
            block.begins,
            block.last,
        )

    def _decide(
        self,
        block: BlockOfTime,
        figures: Sequence[Figure],
        before: Shown | None,
        last_week: Sequence[Figure],
        earlier: Shown | None,
    ) -> tuple[Shown, list[Figure]]:
        shown = self._protection.decide(figures, self._today, before, last_week)
        told = {(self._condition, block.name): shown}
        if earlier is not None:
            told[self._condition, block.before.name] = earlier
        today = self._today.toordinal()
        published = {
            (period.value, label)
            for period, label in ((p, label_of(p, day)) for p, day in block.times(today))
        }
        asked = [each for each in figures if (each.period, each.label) in published]
        return shown, self._protection.protect(asked, told)

    def _needed(self, block: BlockOfTime) -> range:
        """Return the days whose cells the block's tables and decisions are made of."""
        if block.is_month:
            return block.days
        return range(block.begins - WINDOW, block.ends + 1)

    def _figures(
        self, block: BlockOfTime, days: Mapping[int, dict[str, OfArea]], today: int
    ) -> tuple[list[Figure], list[Figure]]:
        """Return the figures of all days of the block, and of the week before it."""
        if block.is_month:
            return self._of(days[block.begins], Period.MONTH, block.begins), []
        found = []
        for day in block.days:
            found.extend(self._of(days[day], Period.DAY, day))
            if day <= today:
                seven = over_days(days[day], (days[day - back] for back in range(1, WINDOW)))
                found.extend(self._of(seven, Period.SEVEN_DAYS, day))
        week = over_days(days[block.ends], (days[block.ends - back] for back in range(1, WINDOW)))
        found.extend(self._of(week, Period.WEEK, block.ends))
        sunday = block.begins - 1
        last = over_days(days[sunday], (days[sunday - back] for back in range(1, WINDOW)))
        return found, self._of(last, Period.WEEK, sunday)

    def _of(self, areas: Mapping[str, OfArea], period: Period, day: int) -> list[Figure]:
        return figures_of(areas, self._condition, period, day, self._protection.population_of)

    def _source(
        self,
        block: BlockOfTime,
        days: Mapping[int, dict[str, OfArea]],
        earlier: Shown | None,
    ) -> bytes:
        """Return a digest of all that the block's tables follow from."""
        age = self._today.toordinal() - block.last
        told = [
            (day, sorted((area, sorted(strata.items())) for area, strata in areas.items()))
            for day, areas in sorted(days.items())
        ]
        unsettled = age if age <= self._protection.unsettled_days else None
        plain = msgspec.msgpack.encode((self._name, unsettled, told, earlier))
        return blake2b(plain, digest_size=16).digest()

    async def _keep(self, block: BlockOfTime, figures: Sequence[Figure], today: int) -> None:
        tables: dict[tuple[str, str, str], list[Figure]] = {}
        for figure in figures:
            place = (figure.period, figure.label, level_of(figure.area))
            tables.setdefault(place, []).append(figure)
        days = {(period.value, label_of(period, day)): day for period, day in block.times(today)}
        rows = [
            (self._condition, period, days[period, label], level, pack_table(found))
            for (period, label, level), found in tables.items()
        ]
        await self._connection.execute(
            extraction_queries.KEEP_TABLES, self._number, *map(list, zip(*rows, strict=True))
        )

    async def _shown(self, block: str, number: int) -> tuple[Shown | None, bytes]:
        row = await self._row(block, number)
        if row is None:
            return None, b""
        return msgspec.msgpack.decode(row["packed"], type=Shown), row["source"]

    async def _row(self, block: str, number: int) -> Mapping[str, Any] | None:
        found: Mapping[str, Any] | None = await self._connection.fetchrow(
            extraction_queries.SHOWN, self._condition, block, number
        )
        return found

    async def _areas(self, block: BlockOfTime, day: int) -> dict[str, OfArea]:
        period = MONTH_PERIOD if block.is_month else DAY
        held = self._days.get((period, day))
        if held is None:
            rows = await self._connection.fetch(
                extraction_queries.CELLS_OF_DAYS, self._condition, period, day, day
            )
            cells = {row["department"]: packing.unpack(row["packed"]).cells for row in rows}
            held = with_margins(area_sums(cells), self._protection.region_of)
            while len(self._days) >= _CACHED_DAYS:
                del self._days[next(iter(self._days))]
            self._days[period, day] = held
        return held
