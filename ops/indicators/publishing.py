"""Publishes the tables of one block of time, if anything of them has changed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import date
from functools import partial
from hashlib import blake2b
from typing import Any, Final, NamedTuple

import msgspec

from ops.runtime.postgres import Connection
from routing.disclosure import Block, Shown
from routing.disclosure_revising import CellCounts, Change, Place, counts_anything, hold, place_of
from routing.indicator_cells import DAY, MONTH_PERIOD
from schemas.areas import areas
from schemas.errors import PermanentError
from schemas.figures import FRANCE, Figure, Period

from . import extraction_queries, packing
from .blocks import BlockOfTime
from .protection import Protection
from .stored import Kept, pack_table, unpack_table
from .tables import (
    LEVELS,
    WINDOW,
    OfArea,
    area_sums,
    figures_of,
    label_of,
    level_of,
    over_days,
    with_margins,
)
from .telling import Telling, ToldDays, settled_days

_CACHED_DAYS: Final = 24


class _Before(NamedTuple):
    """What was said before: of the block, of the week before it, and what figures were."""

    shown: Shown | None
    earlier: Shown | None
    last: Mapping[Place, Figure]


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
        self._told = ToldDays(connection, condition, number, today.toordinal(), protection.policy)

    async def publish(self, block: BlockOfTime) -> bool:
        """Decide what may be shown of a block, and write what changed.

        What is written already under this number, and follows from the same, stays: so an
        extraction that was broken off goes on. Return whether anything was written anew.
        """
        today = self._today.toordinal()
        before, source_before = await self._shown(block.name, self._number - 1)
        earlier, _ = (
            (None, b"") if block.is_month else await self._shown(block.before.name, self._number)
        )
        telling = None
        if self._protection.policy.holds:
            settled = settled_days(block, self._protection.policy, self._today)
            telling = await self._told.of_block(block, settled, before)
            if telling is None:
                return False
            days = self._areas_of(block, telling.days)
        else:
            days = {day: await self._areas(block, day) for day in self._needed(block)}
        source = self._source(block, days, earlier, telling)
        row = await self._row(block.name, self._number)
        is_written = row is not None and row["extraction"] == self._number
        if row is not None and row["source"] == source and (is_written or source == source_before):
            return False
        if source == source_before:
            async with self._connection.transaction():
                await self._drop(block)
            return True
        last = {} if telling is None else await self._last(block, telling)
        shown, protected = await asyncio.to_thread(
            self._decide, block, days, _Before(before, earlier, last), telling
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
            if telling is not None:
                await self._told.keep(block, telling)
        return True

    async def _drop(self, block: BlockOfTime) -> None:
        """Take back what was written of a block under this number."""
        await self._connection.execute(
            extraction_queries.DROP_BLOCK_SHOWN, self._condition, block.name, self._number
        )
        for statement in (
            extraction_queries.DROP_BLOCK_TABLES,
            extraction_queries.DROP_BLOCK_TOLD,
        ):
            await self._connection.execute(
                statement,
                self._condition,
                self._number,
                block.is_month,
                block.begins,
                block.last,
            )

    def _decide(
        self,
        block: BlockOfTime,
        days: Mapping[int, dict[str, OfArea]],
        before: _Before,
        telling: Telling | None,
    ) -> tuple[Shown, list[Figure]]:
        today = self._today.toordinal()
        figures, last_week = self._figures(block, days, today)
        shown = self._protection.decide(figures, self._today, before.shown, last_week)
        if telling is not None:
            shown = self._with_change(block, shown, before.shown, telling)
        told = {(self._condition, block.name): shown}
        if before.earlier is not None:
            told[self._condition, block.before.name] = before.earlier
        published = set(_times(block, today, telling))
        asked = [each for each in figures if (each.period, each.label) in published]
        protected = self._protection.protect(asked, told)
        if telling is None:
            return shown, protected
        change = self._change(block, telling, told, published)
        return shown, hold(protected, before.last, change)

    def _with_change(
        self, block: BlockOfTime, shown: Shown, before: Shown | None, telling: Telling
    ) -> Shown:
        """Decide what could be told of what came and went since the last revision."""
        if before is None or not telling.is_revision:
            gained, lost = (None, None) if before is None else (before.gained, before.lost)
        else:
            told = self._changed_figures(block, telling.told)
            gains, losses = map(partial(self._changed_figures, block), telling.changes())
            decide, on = self._protection.decide_change, self._today
            gained, lost = before.gained, before.lost
            if counts_anything(gains):
                gained = decide(gains, on, before.gained)
            if counts_anything(losses):
                lost = decide(losses, on, before.lost, (told, before))
        return msgspec.structs.replace(shown, gained=gained, lost=lost, revised=telling.revised)

    def _change(
        self,
        block: BlockOfTime,
        telling: Telling,
        told: Mapping[Block, Shown],
        published: set[tuple[str, str]],
    ) -> Change | None:
        """Return what came and went, as it could be told; None: nothing can have changed."""
        if all(shown.gained is None and shown.lost is None for shown in told.values()):
            return None
        changes = telling.changes() if telling.is_revision else ({}, {})
        parts = []
        for name, days in zip(("gained", "lost"), changes, strict=True):
            figures = self._changed_figures(block, days)
            asked = [each for each in figures if (each.period, each.label) in published]
            of_part = {at: getattr(shown, name) or shown for at, shown in told.items()}
            parts.append(self._protection.protect(asked, of_part))
        return Change(*parts)

    def _changed_figures(self, block: BlockOfTime, days: Mapping[int, CellCounts]) -> list[Figure]:
        figures, _ = self._figures(block, self._areas_of(block, days), self._today.toordinal())
        return figures

    async def _last(self, block: BlockOfTime, telling: Telling) -> dict[Place, Figure]:
        """Return what was told last of the times that were told before."""
        days: dict[Period, list[int]] = {}
        for period, day in block.times(self._today.toordinal()):
            if day not in telling.first:
                days.setdefault(period, []).append(day)
        found: dict[Place, Figure] = {}
        for period, asked in days.items():
            for level in LEVELS:
                rows = await self._connection.fetch(
                    extraction_queries.TABLES,
                    self._condition,
                    period.value,
                    level,
                    asked,
                    self._number - 1,
                )
                for row in rows:
                    kept = Kept(self._condition, period.value, row["day"], level, row["extraction"])
                    with suppress(PermanentError):  # damaged: then told as what came may be
                        table = await asyncio.to_thread(unpack_table, row["figures"], kept)
                        found.update((place_of(figure), figure) for figure in table)
        return found

    def _areas_of(
        self, block: BlockOfTime, days: Mapping[int, CellCounts]
    ) -> dict[int, dict[str, OfArea]]:
        """Return the sums of every area, those too that have nobody: a missing one would say so."""
        found = {}
        for day in self._needed(block):
            sums = with_margins(area_sums(days.get(day, {})), self._protection.region_of)
            found[day] = {area: sums.get(area, {}) for area in (FRANCE, *sorted(areas()))}
        return found

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
        telling: Telling | None,
    ) -> bytes:
        """Return a digest of all that the block's tables follow from."""
        age = self._today.toordinal() - block.last
        told = [
            (day, sorted((area, sorted(strata.items())) for area, strata in areas.items()))
            for day, areas in sorted(days.items())
        ]
        unsettled: object = age if age <= self._protection.unsettled_days else None
        if telling is not None:
            settled = settled_days(block, self._protection.policy, self._today)
            unsettled = (settled, telling.revised)
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


def _times(block: BlockOfTime, today: int, telling: Telling | None) -> Iterator[tuple[str, str]]:
    """Give period and label of the tables of a block."""
    for period, day in block.times(today):
        if telling is None or day in telling.days:
            yield period.value, label_of(period, day)
