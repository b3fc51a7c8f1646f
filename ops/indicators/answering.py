"""Answers out of what was published: figures, revisions, extractions. Nothing is counted here."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from ops.runtime.postgres import Connection, Pool, lent
from schemas.errors import PermanentError
from schemas.figures import Extraction, Figure, Period, Revision

from . import extraction_queries
from .asking import Asked
from .completing import Shares, unpack_shares, with_completeness
from .stored import pick, unpack_table

_DAYS_AT_ONCE: Final = 64
_LARGE_DAYS_AT_ONCE: Final = 8
"""Of regions and departments, whose tables are a hundred times as large."""
_MOST_LISTED: Final = 1_000


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of one extraction, in order of time; `next` reads on where there are more."""

    extraction: Extraction
    condition: str
    figures: list[Figure]
    next: str | None = None


class Made(Extraction, frozen=True, kw_only=True):
    """An extraction and how it came about."""

    events: int
    """Events of public health that had been counted."""
    lag: int
    """Events that had not been, though they were there."""
    policy: str
    """Disclosure control and population that were in effect."""
    tables: int
    """How many tables it changed."""


class Content(msgspec.Struct, frozen=True, kw_only=True):
    """What is published of a condition, and from when to when (last days of times)."""

    condition: str
    period: str
    first: int
    last: int


class Published:
    """Reads what was published.

    Args:
        pool: Connections of a role that reads.
        most: The most figures of an answer; it holds whole times, and at least one.
    """

    def __init__(self, pool: Pool, most: int) -> None:
        self._pool = pool
        self._most = most

    async def extraction(self, as_of: datetime | None) -> Made:
        """Return the last extraction, or the last one at or before a moment.

        Raises:
            PermanentError: There was none by then (`no_extraction`), or it was let go
                (`extraction_gone`).
        """
        async with lent(self._pool) as connection:
            return await _extraction(connection, as_of)

    async def extractions(self, before: int, limit: int) -> list[Made]:
        """Return extractions below a number, the newest first."""
        async with lent(self._pool) as connection:
            rows = await connection.fetch(extraction_queries.LIST, before, min(limit, _MOST_LISTED))
        return [_made(row) for row in rows]

    async def contents(self, as_of: datetime | None) -> tuple[Made, list[Content]]:
        """Return what is published, and as of which extraction."""
        async with lent(self._pool) as connection:
            made = await _extraction(connection, as_of)
            rows = await connection.fetch(extraction_queries.CONTENTS, made.number)
        return made, [
            Content(condition=row[0], period=row[1], first=row[2], last=row[3]) for row in rows
        ]

    async def figures(self, condition: str, asked: Asked) -> Answer:
        """Return the figures asked for, in pages.

        Raises:
            PermanentError: As `extraction` says.
        """
        async with lent(self._pool) as connection:
            made = await _extraction(connection, asked.as_of)
            shares = unpack_shares(
                await connection.fetchval(extraction_queries.COMPLETENESS, made.number, condition)
            )
            found, further = await self._page(connection, condition, asked, made.number, shares)
        return Answer(
            extraction=Extraction(number=made.number, at=made.at),
            condition=condition,
            figures=found,
            next=None if further is None else str(further),
        )

    async def tables(
        self, condition: str, period: Period, level: str, number: int
    ) -> AsyncIterator[list[Figure]]:
        """Give all tables of a level as of an extraction, a time at a time, in their order."""
        first, most = 0, _LARGE_DAYS_AT_ONCE
        asked = Asked(levels=(level,), period=period, age_classes=frozenset(), sexes=frozenset())
        while True:
            async with lent(self._pool) as connection:
                days = await self._days(connection, condition, asked, number, first, most)
                found = await _of_days(connection, condition, asked, number, days)
            for _, figures in found:
                yield figures
            if len(days) < most:
                return
            first = days[-1] + 1

    async def revisions(self, condition: str, asked: Asked) -> list[Revision]:
        """Return how figures were changed, time by time, in the order of extractions.

        Raises:
            PermanentError: There are too many (`too_many_revisions`): ask for fewer days.
        """
        found: list[Revision] = []
        async with lent(self._pool) as connection:
            made = await _extraction(connection, asked.as_of)
            for level in asked.levels:
                rows = await connection.fetch(
                    extraction_queries.REVISIONS,
                    condition,
                    asked.period.value,
                    level,
                    asked.first,
                    asked.last,
                    made.number,
                    _MOST_LISTED + 1,
                )
                if len(rows) > _MOST_LISTED:
                    raise PermanentError("too_many_revisions", "ask for fewer days: from, to")
                found += _revisions(rows, asked)
                if len(found) > self._most:
                    raise PermanentError("too_many_revisions", "ask for fewer days, areas or ages")
        return found

    async def _page(
        self,
        connection: Connection,
        condition: str,
        asked: Asked,
        number: int,
        shares: Shares,
    ) -> tuple[list[Figure], int | None]:
        """Return whole times until there are enough, and behind which day to read on."""
        found: list[Figure] = []
        first = max(asked.first, asked.after + 1)
        most = _DAYS_AT_ONCE if asked.levels == ("france",) else _LARGE_DAYS_AT_ONCE
        while True:
            days = await self._days(connection, condition, asked, number, first, most)
            for day, figures in await _of_days(connection, condition, asked, number, days):
                if found and len(found) + len(figures) > self._most:
                    return found, day - 1
                found += [with_completeness(each, shares, day) for each in figures]
            if len(days) < most:
                return found, None
            first = days[-1] + 1

    async def _days(  # noqa: PLR0917
        self,
        connection: Connection,
        condition: str,
        asked: Asked,
        number: int,
        first: int,
        most: int,
    ) -> list[int]:
        days: set[int] = set()
        for level in asked.levels:
            rows = await connection.fetch(
                extraction_queries.TIMES,
                condition,
                asked.period.value,
                level,
                first,
                asked.last,
                number,
                most,
            )
            days.update(row["day"] for row in rows)
        return sorted(days)[:most]


async def _of_days(
    connection: Connection, condition: str, asked: Asked, number: int, days: Sequence[int]
) -> list[tuple[int, list[Figure]]]:
    found: dict[int, list[Figure]] = {day: [] for day in days}
    for level in asked.levels:
        rows = await connection.fetch(
            extraction_queries.TABLES, condition, asked.period.value, level, list(days), number
        )
        for row in rows:
            figures = unpack_table(row["figures"])
            found[row["day"]] += pick(figures, asked.areas, asked.age_classes, asked.sexes)
    return sorted(found.items())


def _revisions(rows: Sequence[Any], asked: Asked) -> list[Revision]:
    found = []
    day: int | None = None
    before: dict[tuple[str, str, str], Figure] = {}
    for row in rows:
        if row["day"] != day:
            day, before = row["day"], {}
        extraction = Extraction(number=row["extraction"], at=row["at"])
        for figure in pick(
            unpack_table(row["figures"]), asked.areas, asked.age_classes, asked.sexes
        ):
            place = (figure.area, figure.age_class, figure.sex)
            last = before.get(place)
            if figure != last:
                found.append(Revision(extraction=extraction, before=last, after=figure))
            before[place] = figure
    return found


async def _extraction(connection: Connection, as_of: datetime | None) -> Made:
    if as_of is None:
        row = await connection.fetchrow(extraction_queries.LAST)
    else:
        row = await connection.fetchrow(extraction_queries.AS_OF, as_of)
    if row is not None:
        return _made(row)
    first = await connection.fetchrow(extraction_queries.FIRST)
    if first is None:
        raise PermanentError("no_extraction", "nothing was published yet: try again later")
    if first["number"] > 1:
        raise PermanentError(
            "extraction_gone", f"the oldest that is kept is of {first['at'].isoformat()}"
        )
    raise PermanentError("no_extraction", f"the first is of {first['at'].isoformat()}")


def _made(row: Any) -> Made:
    return Made(
        number=row["number"],
        at=row["at"],
        events=row["events"],
        lag=row["lag"],
        policy=row["policy"],
        tables=row["tables"],
    )
