"""Publishes what is counted: an extraction, whole or not at all.

Counting stands still meanwhile (one loop does both), so all tables of an extraction show one state.
Tables are written first, under a number that does not exist yet; the last transaction makes it
exist, if nobody has counted beside it. What a killed process left is dropped by the next one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import date, datetime
from typing import Any

from ops.runtime.failpoints import hit
from ops.runtime.metrics import METRICS
from ops.runtime.postgres import Connection, Pool, translated
from routing.indicator_cells import DAY
from schemas.errors import Fenced
from schemas.figures import Extraction

from . import completing, extraction_queries, packing, queries
from .blocks import blocks_due
from .packing import Packed
from .protection import Protection
from .publishing import BlockPublisher
from .tables import WINDOW


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
        self._name = protection.name
        self._keep = keep

    async def extract(self, at: datetime, batch: int, lag: int) -> Extraction:
        """Publish what the cells are now.

        Raises:
            Fenced: Somebody counted meanwhile, or publishes: nothing was published.
            TransientError: The database is away; the same.
        """
        today = at.date()
        with translated():
            async with self._pool.acquire() as connection, _alone(connection):
                last = await connection.fetchrow(extraction_queries.LAST)
                number = last["number"] + 1 if last else 1
                for statement in (
                    extraction_queries.DROP_UNFINISHED_TABLES,
                    extraction_queries.DROP_UNFINISHED_SHOWN,
                    extraction_queries.DROP_UNFINISHED_COMPLETENESS,
                ):
                    await connection.execute(statement, number - 1)
                hit("indicators.before_tables")
                made = await self._tables(connection, last, number, today)
                await self._completeness(connection, number, today.toordinal())
                hit("indicators.before_extraction")
                async with connection.transaction():
                    held = await connection.fetchrow(queries.FENCE)
                    exists = await connection.fetchval(extraction_queries.EXISTS, number)
                    if held["batch"] != batch or exists:
                        raise Fenced("indicators_overtaken", "another process counts them")
                    told_at = await connection.fetchval(
                        extraction_queries.FINISH, number, at, lag, self._name, made
                    )
                    await connection.execute(extraction_queries.EXTRACTED, at)
                    ordinal = today.toordinal()
                    await connection.execute(
                        extraction_queries.DONE, batch, ordinal, ordinal - WINDOW + 1
                    )
                hit("indicators.after_extraction")
                METRICS.indicator_tables.inc(made)
                await self._forget(connection)
        return Extraction(number=number, at=told_at)

    async def _tables(
        self, connection: Connection, last: Mapping[str, Any] | None, number: int, today: date
    ) -> int:
        """Publish what has changed, block by block; return how many tables there are of it."""
        ordinal = today.toordinal()
        if last is not None and last["policy"] != self._name:
            rows = await connection.fetch(extraction_queries.ALL_TIMES, ordinal)
        else:
            # From the last extraction on: what has settled since is told, however long that is.
            seen = min(ordinal, last["at"].toordinal()) if last else ordinal
            since = seen - self._protection.unsettled_days - 2 * WINDOW
            rows = await connection.fetch(extraction_queries.DUE, ordinal, since)
        due: dict[str, list[tuple[str, int]]] = {}
        for row in rows:
            due.setdefault(row["condition"], []).append((row["period"], row["day"]))
        made = 0
        for condition in sorted(due):
            publisher = BlockPublisher(
                connection, condition, number, today, self._protection, self._name
            )
            for block in blocks_due(due[condition], ordinal):
                made += await publisher.publish(block)
                await asyncio.sleep(0)  # a word to stop is heard between two
        return made

    async def _completeness(self, connection: Connection, number: int, today: int) -> None:
        begins = today - completing.BACK_DAYS
        for row in await connection.fetch(extraction_queries.CONDITIONS, begins, today):
            condition = row["condition"]
            days: dict[int, list[Packed]] = {}
            cells = await connection.fetch(
                extraction_queries.CELLS_OF_DAYS, condition, DAY, begins, today
            )
            for day, _, packed in cells:
                days.setdefault(day, []).append(packing.unpack(packed))
            shares = completing.shares_of(days, today)
            if any(shares.values()):
                packed_shares = completing.pack_shares(shares)
                await connection.execute(
                    extraction_queries.KEEP_COMPLETENESS, number, condition, packed_shares
                )

    async def _forget(self, connection: Connection) -> None:
        """Let the eldest extractions go, and of their tables those that a newer one replaces."""
        eldest = await connection.fetchval(extraction_queries.ELDEST_KEPT, self._keep - 1)
        if eldest is None:
            return
        async with connection.transaction():
            for statement in (
                extraction_queries.FORGET_TABLES,
                extraction_queries.FORGET_SHOWN,
                extraction_queries.FORGET_COMPLETENESS,
            ):
                await connection.execute(statement, eldest)
            gone = await connection.execute(extraction_queries.FORGET, eldest)
        METRICS.indicator_forgotten.inc(int(gone.rpartition(" ")[2]))


@asynccontextmanager
async def _alone(connection: Connection) -> AsyncIterator[None]:
    """Let nobody else make an extraction meanwhile; the lock ends with the connection, too.

    Raises:
        Fenced: Somebody does.
    """
    if not await connection.fetchval(extraction_queries.ALONE):
        raise Fenced("indicators_elsewhere", "another process publishes them")
    try:
        yield
    finally:
        await connection.execute(extraction_queries.ALONE_NO_MORE)
