"""Publishes what is counted: an extraction, whole or not at all.

Counting stands still meanwhile (one loop does both), so all tables of an extraction show one state.
Tables are written first, under a number that does not exist yet; the last transaction makes it
exist, if nobody has counted beside it. What a killed process left is dropped by the next one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from hashlib import blake2b
from typing import Final, Protocol

import msgspec

from ops.runtime.failpoints import hit
from ops.runtime.metrics import METRICS
from ops.runtime.postgres import Connection, Pool, translated
from routing.indicator_cells import DAY, MONTH_PERIOD
from schemas.errors import Fenced
from schemas.figures import Extraction, Figure, Period

from . import completing, extraction_queries, packing, queries
from .packing import Packed
from .stored import pack_table, unpack_table
from .tables import (
    LEVELS,
    WINDOW,
    OfArea,
    PopulationOf,
    area_sums,
    figures_of,
    level_of,
    over_days,
    with_margins,
    with_rates,
)

_CACHED_DAYS: Final = 16
_TABLES_AT_ONCE: Final = 60


class Protection(Protocol):
    """Disclosure control, and what it needs to know of areas."""

    @property
    def name(self) -> str:
        """The policy, by name and version: another one publishes all anew."""
        ...

    def population_of(self, area: str, age_class: str, sex: str) -> int | None:
        """Return how many live there; None where it is not known."""
        ...

    def region_of(self, department: str) -> str:
        """Return the region of a department, empty where there is none."""
        ...

    def protect(self, tables: Sequence[Figure], published: Sequence[Figure]) -> Sequence[Figure]:
        """Return the figures as they may be published.

        Args:
            tables: Of one condition, whole: all areas, age classes and sexes of their times.
            published: What was last published of the same times.
        """
        ...


class Time(msgspec.Struct, frozen=True, order=True):
    """A time of which a table is to be published, by its last day (of a month: its first)."""

    day: int
    period: str


class TableExtractor:
    """Makes extractions.

    Args:
        pool: Connections of the role that counts.
        protection: What may be told.
        keep: How many extractions can be asked for again.
    """

    def __init__(self, pool: Pool, protection: Protection, keep: int) -> None:
        self._pool = pool
        self._protection = protection
        self._keep = keep

    async def extract(self, at: datetime, batch: int, lag: int) -> Extraction:
        """Publish what the cells are now.

        Raises:
            Fenced: Somebody counted meanwhile: nothing was published.
            TransientError: The database is away; the same.
        """
        today = at.date().toordinal()
        with translated():
            async with self._pool.acquire() as connection:
                last = await connection.fetchval(extraction_queries.LAST) or 0
                await connection.execute(extraction_queries.DROP_UNFINISHED_TABLES, last)
                await connection.execute(extraction_queries.DROP_UNFINISHED_COMPLETENESS, last)
                due = await connection.fetch(extraction_queries.DUE, today)
                number, made = last + 1, 0
                hit("indicators.before_tables")
                for condition in sorted({row["condition"] for row in due}):
                    own = [
                        (row["period"], row["day"]) for row in due if row["condition"] == condition
                    ]
                    made += await self._condition(connection, number, condition, own, today)
                await self._completeness(connection, number, today)
                hit("indicators.before_extraction")
                async with connection.transaction():
                    held = await connection.fetchrow(queries.FENCE)
                    if held["batch"] != batch:
                        raise Fenced("indicators_overtaken", "another process counts them")
                    finished = (number, at, lag, self._protection.name, made)
                    await connection.execute(extraction_queries.FINISH, *finished)
                    await connection.execute(
                        extraction_queries.DONE, batch, today, today - WINDOW + 1
                    )
                hit("indicators.after_extraction")
                METRICS.indicator_tables.inc(made)
                await self._forget(connection)
        return Extraction(number=number, at=at)

    async def _condition(
        self,
        connection: Connection,
        number: int,
        condition: str,
        due: Sequence[tuple[str, int]],
        today: int,
    ) -> int:
        """Publish the tables of a condition that have changed; return how many."""
        cells = _Cells(connection, condition, self._protection)
        wanted = times_of(due, today)
        made = 0
        for first in range(0, len(wanted), _TABLES_AT_ONCE):
            some = wanted[first : first + _TABLES_AT_ONCE]
            known = await _sources(connection, condition, some)
            changed: dict[Time, tuple[bytes, list[Figure]]] = {}
            for time in some:
                areas = await cells.areas(time)
                source = self._digest(areas)
                if known.get(time) != source:
                    changed[time] = (source, self._figures(areas, condition, time))
            if changed:
                await self._publish(connection, number, condition, changed)
                made += len(changed)
        return made

    def _figures(
        self, areas: Mapping[str, OfArea], condition: str, time: Time
    ) -> list[Figure]:
        population: PopulationOf = self._protection.population_of
        return figures_of(areas, condition, Period(time.period), time.day, population)

    async def _publish(
        self,
        connection: Connection,
        number: int,
        condition: str,
        changed: Mapping[Time, tuple[bytes, list[Figure]]],
    ) -> None:
        earlier = await _published(connection, condition, list(changed), number - 1)
        tables = [figure for _, figures in changed.values() for figure in figures]
        protected: dict[tuple[str, str, str], list[Figure]] = {}
        for figure in self._protection.protect(tables, earlier):
            place = (figure.period, figure.label, level_of(figure.area))
            protected.setdefault(place, []).append(with_rates(figure))
        rows = []
        for time, (source, figures) in changed.items():
            label = figures[0].label
            for level in LEVELS:
                found = protected.get((time.period, label, level))
                if found:
                    rows.append(
                        (condition, time.period, time.day, level, source, pack_table(found))
                    )
        await connection.execute(
            extraction_queries.KEEP_TABLES, number, *map(list, zip(*rows, strict=True))
        )

    def _digest(self, areas: Mapping[str, OfArea]) -> bytes:
        told = sorted((area, sorted(strata.items())) for area, strata in areas.items())
        plain = msgspec.msgpack.encode((self._protection.name, told))
        return blake2b(plain, digest_size=16).digest()

    async def _completeness(self, connection: Connection, number: int, today: int) -> None:
        begins = today - completing.BACK_DAYS
        for row in await connection.fetch(extraction_queries.CONDITIONS, begins):
            condition = row["condition"]
            days: dict[int, list[Packed]] = {}
            cells = await connection.fetch(
                extraction_queries.CELLS_OF_DAYS, condition, DAY, begins, today
            )
            for day, _, packed in cells:
                days.setdefault(day, []).append(packing.unpack(packed))
            shares = completing.shares_of(days, today)
            if any(shares.values()):
                await connection.execute(
                    extraction_queries.KEEP_COMPLETENESS,
                    number,
                    condition,
                    completing.pack_shares(shares),
                )

    async def _forget(self, connection: Connection) -> None:
        eldest = await connection.fetchval(extraction_queries.ELDEST_KEPT, self._keep - 1)
        if eldest is None:
            return
        async with connection.transaction():
            await connection.execute(extraction_queries.FORGET_TABLES, eldest)
            await connection.execute(extraction_queries.FORGET_COMPLETENESS, eldest)
            gone = await connection.execute(extraction_queries.FORGET, eldest)
        METRICS.indicator_forgotten.inc(int(gone.rpartition(" ")[2]))


class _Cells:
    """The sums of a condition's times, of a few days at a time in memory."""

    def __init__(self, connection: Connection, condition: str, protection: Protection) -> None:
        self._connection = connection
        self._condition = condition
        self._protection = protection
        self._days: dict[tuple[str, int], dict[str, OfArea]] = {}

    async def areas(self, time: Time) -> dict[str, OfArea]:
        if time.period == Period.MONTH:
            return await self._of_day(MONTH_PERIOD, time.day)
        last = await self._of_day(DAY, time.day)
        if time.period == Period.DAY:
            return last
        before = [await self._of_day(DAY, time.day - back) for back in range(1, WINDOW)]
        return over_days(last, before)

    async def _of_day(self, period: str, day: int) -> dict[str, OfArea]:
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


def times_of(due: Sequence[tuple[str, int]], today: int) -> list[Time]:
    """Return the times whose tables may have changed, none that is still to come.

    A day changes its own table, those of the seven windows that it lies in, and that of its week,
    once the week is over.
    """
    found = set()
    for period, day in due:
        if period == MONTH_PERIOD:
            found.add(Time(day, Period.MONTH.value))
            continue
        found.add(Time(day, Period.DAY.value))
        for ends in range(day, day + WINDOW):
            if ends <= today:
                found.add(Time(ends, Period.SEVEN_DAYS.value))
                if ends % WINDOW == 0:  # ordinals of Sundays
                    found.add(Time(ends, Period.WEEK.value))
    return sorted(found)


async def _sources(
    connection: Connection, condition: str, times: Sequence[Time]
) -> dict[Time, bytes]:
    rows = await connection.fetch(
        extraction_queries.SOURCES,
        condition,
        [time.period for time in times],
        [time.day for time in times],
    )
    return {Time(row["day"], row["period"]): row["source"] for row in rows}


async def _published(
    connection: Connection, condition: str, times: Sequence[Time], number: int
) -> list[Figure]:
    """Return what was last published of some times."""
    found: list[Figure] = []
    for period in sorted({time.period for time in times}):
        days = sorted(time.day for time in times if time.period == period)
        for level in LEVELS:
            rows = await connection.fetch(
                extraction_queries.TABLES, condition, period, level, days, number
            )
            for row in rows:
                found.extend(unpack_table(row["figures"]))
    return found
