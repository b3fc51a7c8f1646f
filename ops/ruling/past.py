"""Reports that came, as rules are given them: read back as they stand now, with what is known now.

Reads only. A report stands at the record that its current version came with, so whoever walks the
records meets each report once.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec

from dedup.deciding import Known
from dedup.store import DedupStore
from ops.publishing import Due, Publisher
from ops.runtime.postgres import Connection
from ops.sources import REPORTS_OF, ReportRow, Sources, report_rows
from ops.stewards.queries import STANDING_OPPOSITIONS
from ops.verifying.scratch import due_of, view_of
from routing.case import Case
from schemas.patient import Phi

PARTITIONS: Final = "SELECT partition FROM intake_progress ORDER BY partition"
BOUNDS: Final = """
SELECT min("offset") AS low, max("offset") AS high FROM outcome WHERE partition = $1
"""
NEAREST: Final = """
SELECT o."offset", o.received_at FROM outcome o
WHERE o.partition = $1 AND o."offset" >= $2 ORDER BY o."offset" LIMIT 1
"""
PAGE: Final = """
SELECT o."offset", o.received_at, o.report_ids FROM outcome o
WHERE o.partition = $1 AND o."offset" >= $2 ORDER BY o."offset" LIMIT $3
"""
_SLACK: Final = timedelta(minutes=15)
"""Doors' clocks differ, and so may the order of two records from that of their times."""


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """Some reports of one partition, and those of them that can be read no more."""

    cases: list[Case]
    unreadable: int


class PageDue(Phi, frozen=True, kw_only=True):
    """The same before anybody has said how rules are given them."""

    due: list[Due]
    unreadable: int


class Past:
    """Reads reports that came.

    Args:
        store: The tables of dedup.
        sources: Reads reports back.
        publisher: Says how a report is given to rules.
        page: Records that are looked at at a time.
    """

    def __init__(
        self, store: DedupStore, sources: Sources, publisher: Publisher, *, page: int
    ) -> None:
        self._store = store
        self._sources = sources
        self._publisher = publisher
        self._page = page

    async def named(
        self, connection: Connection, reports: Sequence[UUID], *, laboratories: bool
    ) -> list[Case]:
        """Return those of some reports that can be read, by report id."""
        rows = report_rows(await connection.fetch(REPORTS_OF, sorted(reports)))
        due = (await self._read(connection, rows)).due
        return await self._publisher.cases_of(connection, due, laboratories=laboratories)

    async def since(
        self, connection: Connection, since: datetime, until: datetime, *, laboratories: bool
    ) -> AsyncIterator[Page]:
        """Yield the reports whose current version came in [since, until), a page at a time."""
        async for page in self.due_since(connection, since, until):
            cases = await self._publisher.cases_of(connection, page.due, laboratories=laboratories)
            yield Page(cases=cases, unreadable=page.unreadable)

    async def due_since(
        self, connection: Connection, since: datetime, until: datetime
    ) -> AsyncIterator[PageDue]:
        """Yield the same reports as what may be asked of the streams about them."""
        for row in await connection.fetch(PARTITIONS):
            partition = row["partition"]
            after = await self._first(connection, partition, since - _SLACK)
            while after is not None:
                rows = await connection.fetch(PAGE, partition, after, self._page)
                within = [row for row in rows if since <= row["received_at"] < until]
                yield await self._page_of(connection, partition, within)
                is_last = len(rows) < self._page or rows[-1]["received_at"] >= until + _SLACK
                after = None if is_last else rows[-1]["offset"] + 1

    async def _first(self, connection: Connection, partition: int, since: datetime) -> int | None:
        """Return where records of a time begin: found by halving, for no index leads there."""
        bounds = await connection.fetchrow(BOUNDS, partition)
        if bounds is None or bounds["low"] is None:
            return None
        low, high = int(bounds["low"]), int(bounds["high"]) + 1
        while low < high:
            middle = (low + high) // 2
            found = await connection.fetchrow(NEAREST, partition, middle)
            if found is not None and found["received_at"] < since:
                low = int(found["offset"]) + 1
            else:
                high = middle
        return low

    async def _page_of(
        self, connection: Connection, partition: int, records: Sequence[Any]
    ) -> PageDue:
        places = {(partition, record["offset"]) for record in records}
        ids = sorted({each for record in records for each in record["report_ids"]})
        found = report_rows(await connection.fetch(REPORTS_OF, ids)) if ids else []
        return await self._read(connection, [row for row in found if row.place in places])

    async def _read(self, connection: Connection, rows: Sequence[ReportRow]) -> PageDue:
        if not rows:
            return PageDue(due=[], unreadable=0)
        told = await self._sources.read(connection, rows)
        known = Known()
        await self._store.load(connection, {row.person_id for row in rows}, known)
        opposed = {
            row["standing_id"]
            for row in await connection.fetch(STANDING_OPPOSITIONS, sorted(known.persons))
        }
        due = [
            msgspec.structs.replace(due_of(each, view_of(each, known, opposed)), standings=None)
            for each in told.values()
        ]
        return PageDue(due=due, unreadable=len(rows) - len(told))
