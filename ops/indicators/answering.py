"""Answers out of what was published: figures, revisions, extractions. Nothing is counted here."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from ops.runtime.metrics import METRICS
from ops.runtime.postgres import Pool
from schemas.figures import Extraction, Figure, Period, Revision

from . import extraction_queries
from .asking import Asked, Behind
from .completing import Shares, unpack_shares, with_completeness
from .completing_areas import AreaOdds, unpack_odds, with_area_completeness
from .delayed import Delayed, PublishedDelays
from .extractions import Made, extraction_of, made_of
from .revising import steps
from .unpacking import Tables

_MOST_LISTED: Final = 1_000


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of one extraction, in order of time; `next` reads on where there are more."""

    extraction: Extraction
    condition: str
    figures: list[Figure]
    next: str | None = None


class Revised(msgspec.Struct, frozen=True, kw_only=True):
    """Revisions as far as an extraction; `next` reads on where there are more."""

    extraction: Extraction
    revisions: list[Revision]
    next: str | None = None


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
        unpacked: The most figures that are unpacked for an answer; at least one time's.
        at_once: How many connections, and how many tables are unpacked at the same time.
        answers_each: So many answers are being made for each that is unpacked.
        wait_seconds: How long an answer waits for its turn.
    """

    def __init__(
        self,
        pool: Pool,
        most: int,
        *,
        unpacked: int = 200_000,
        at_once: int = 2,
        answers_each: int = 4,
        wait_seconds: float = 10.0,
    ) -> None:
        self._tables = Tables(pool, at_once, answers_each=answers_each, wait_seconds=wait_seconds)
        self._delays = PublishedDelays(self._tables, most)
        self._most = most
        self._unpacked = unpacked

    async def extraction(self, as_of: datetime | None) -> Made:
        """Return the last extraction, or the last one at or before a moment.

        Raises:
            PermanentError: There was none by then (`no_extraction`), or it was let go
                (`extraction_gone`).
        """
        async with self._tables.lent() as connection:
            return await extraction_of(connection, as_of)

    async def extractions(self, before: int, limit: int) -> list[Made]:
        """Return extractions below a number, the newest first."""
        async with self._tables.lent() as connection:
            rows = await connection.fetch(extraction_queries.LIST, before, min(limit, _MOST_LISTED))
        return [made_of(row) for row in rows]

    async def contents(self, as_of: datetime | None) -> tuple[Made, list[Content]]:
        """Return what is published, and as of which extraction."""
        async with self._tables.lent() as connection:
            made = await extraction_of(connection, as_of)
            rows = await connection.fetch(extraction_queries.CONTENTS, made.number)
        return made, [
            Content(condition=row[0], period=row[1], first=row[2], last=row[3]) for row in rows
        ]

    async def figures(self, condition: str, asked: Asked) -> Answer:
        """Return the figures asked for, in pages.

        Raises:
            PermanentError: As `extraction` says.
        """
        async with self._tables.answering():
            async with self._tables.lent() as connection:
                made = await extraction_of(connection, asked.as_of)
                row = await connection.fetchrow(
                    extraction_queries.COMPLETENESS, made.number, condition
                )
            come = _come_of(row, made)
            found, further = await self._page(condition, asked, made.number, come)
        return Answer(
            extraction=Extraction(number=made.number, at=made.at),
            condition=condition,
            figures=found,
            next=None if further is None else str(further),
        )

    async def delays(self, condition: str, asked: Asked) -> Delayed:
        """Return what was told of delays, in pages of whole weeks.

        Raises:
            PermanentError: As `extraction` says.
        """
        return await self._delays.delays(condition, asked)

    async def tables(
        self, condition: str, period: Period, level: str, number: int
    ) -> AsyncIterator[list[Figure]]:
        """Give all tables of a level as of an extraction, a time at a time, in their order."""
        asked = Asked(levels=(level,), period=period, age_classes=frozenset(), sexes=frozenset())
        async with aclosing(self._tables.times(condition, asked, number, 0)) as times:
            async for each in times:
                yield each.figures

    async def revisions(self, condition: str, asked: Asked) -> Revised:
        """Return how figures were changed, time by time, in the order of extractions; in pages.

        Raises:
            PermanentError: As `extraction` says.
        """
        async with self._tables.answering():
            async with self._tables.lent() as connection:
                made = await extraction_of(connection, asked.as_of)
            found, further = await self._revised(condition, asked, made.number)
        return Revised(
            extraction=Extraction(number=made.number, at=made.at),
            revisions=found,
            next=None if further is None else further.text,
        )

    async def _revised(
        self, condition: str, asked: Asked, number: int
    ) -> tuple[list[Revision], Behind | None]:
        """Return what whole tables changed until it is enough, and where to read on."""
        found: list[Revision] = []
        behind: Behind | None = None
        unpacked = 0
        async with aclosing(steps(self._tables, condition, asked, number)) as tables:
            async for step in tables:
                unpacked += step.unpacked
                if behind is not None and self._is_full(len(found) + len(step.revisions), unpacked):
                    return found, behind
                found += step.revisions
                behind = step.behind
        return found, None

    async def _page(
        self, condition: str, asked: Asked, number: int, come: _Come
    ) -> tuple[list[Figure], int | None]:
        """Return whole times until there are enough, and behind which day to read on."""
        found: list[Figure] = []
        behind: int | None = None
        unpacked = 0
        first = max(asked.first, asked.after + 1)
        async with aclosing(self._tables.times(condition, asked, number, first)) as times:
            async for day, opened, figures in times:
                unpacked += opened
                if behind is not None and self._is_full(len(found) + len(figures), unpacked):
                    return found, behind
                found += [come.beside(each, day) for each in figures]
                behind = day
        return found, None

    def _is_full(self, figures: int, unpacked: int) -> bool:
        if unpacked > self._unpacked:
            METRICS.limit_hits.labels("indicator_unpacked").inc()
            return True
        return figures > self._most


class _Come(msgspec.Struct, frozen=True):
    """How much of the last days had come."""

    shares: Shares
    odds: AreaOdds
    today: int

    def beside(self, figure: Figure, day: int) -> Figure:
        """Return a figure with its completeness."""
        figure = with_completeness(figure, self.shares, day)
        return with_area_completeness(figure, self.shares, self.odds, self.today, day)


def _come_of(row: Any, made: Made) -> _Come:
    today = made.at.astimezone(UTC).date().toordinal()
    if row is None:
        return _Come({}, {}, today)
    return _Come(unpack_shares(row["packed"]), unpack_odds(row["areas"]), today)
