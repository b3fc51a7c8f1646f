"""Publishes what is counted: an extraction, whole or not at all.

All tables of an extraction show one state: what counting has changed while it was made is looked at
again before it ends. Tables are written first, under a number that does not exist yet; the last
transaction makes it exist, if nobody has counted beside it. Where a process was stopped the next
one goes on, block by block: a digest says whether what is written still follows.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import date, datetime
from typing import Any, Final
from uuid import uuid4

from ops.runtime.failpoints import hit
from ops.runtime.metrics import METRICS
from ops.runtime.postgres import Connection, Pool, translated
from routing.indicator_cells import DAY
from schemas.errors import Fenced, PermanentError
from schemas.figures import Extraction

from . import completing, completing_areas, delay_queries, extraction_queries, packing, queries
from .blocks import BlockOfTime, blocks_due
from .delaying import DelayTeller
from .packing import Packed
from .protection import Protection
from .publishing import BlockPublisher
from .stored import Kept, unpack_delays
from .tables import WINDOW

Place = tuple[str, BlockOfTime]
"""Condition and block."""
_PORTION_SECONDS: Final = 20.0
"""For so long counting stands still at once while old blocks are published anew."""
_DELAY_WEEKS: Final = 200


class TableExtractor:
    """Makes extractions.

    Args:
        pool: Connections of the role that counts.
        protection: What may be told.
        keep: How many extractions can be asked for again.
        portion_seconds: How long at once old blocks are published, before some is counted.
        delay_weeks: Of how many weeks and conditions an extraction tells delays.
        most_waiting: While more events wait it tells none.
    """

    def __init__(
        self,
        pool: Pool,
        protection: Protection,
        keep: int,
        *,
        portion_seconds: float = _PORTION_SECONDS,
        delay_weeks: int = _DELAY_WEEKS,
        most_waiting: int = 0,
    ) -> None:
        self._pool = pool
        self._protection = protection
        self._name = protection.name
        self._keep = keep
        self._most_waiting = most_waiting
        self._portion_seconds = portion_seconds
        self._delays = DelayTeller(protection, most_weeks=delay_weeks, most_waiting=most_waiting)
        self._maker = uuid4()
        self._number = 0
        self._looked: dict[Place, int] = {}

    async def extract(self, at: datetime, batch: int, lag: int) -> Extraction | None:
        """Publish what the cells are now; None: a portion of it was made, count and ask again.

        Raises:
            Fenced: Somebody counted meanwhile, or publishes: nothing was published.
            TransientError: The database is away; the same.
        """
        today = at.date()
        ordinal = today.toordinal()
        with translated():
            async with self._pool.acquire() as connection, _alone(connection):
                last = await connection.fetchrow(extraction_queries.LAST)
                number = last["number"] + 1 if last else 1
                # Half a day would be told, and stay so.
                waits = self._protection.policy.holds and lag > self._most_waiting
                due, old = await self._due(connection, last, ordinal)
                if waits:
                    due = {}
                await self._begin(connection, number, due)
                hit("indicators.before_tables")
                if not await self._tables(connection, due, old, batch, today):
                    return None
                await connection.execute(
                    extraction_queries.DROP_UNFINISHED_COMPLETENESS, number - 1
                )
                await self._completeness(connection, number, ordinal)
                delays = await self._delays.tell(connection, number, today, lag)
                made = await connection.fetchval(extraction_queries.TABLES_WRITTEN, number)
                hit("indicators.before_extraction")
                async with connection.transaction():
                    held = await connection.fetchrow(queries.FENCE)
                    exists = await connection.fetchval(extraction_queries.EXISTS, number)
                    if held["batch"] != batch or exists:
                        raise Fenced("indicators_overtaken", "another process counts them")
                    told_at = await connection.fetchval(
                        extraction_queries.FINISH, number, at, lag, self._name, made
                    )
                    await self._delays.keep(connection, number, delays)
                    await connection.execute(extraction_queries.EXTRACTED, at)
                    if not waits:
                        await connection.execute(
                            extraction_queries.DONE, batch, ordinal, ordinal - WINDOW + 1
                        )
                hit("indicators.after_extraction")
                METRICS.indicator_tables.inc(made)
                await connection.execute(extraction_queries.FORGET_TOLD, number)
                await self._forget(connection)
        return Extraction(number=number, at=told_at)

    async def _due(
        self, connection: Connection, last: Mapping[str, Any] | None, ordinal: int
    ) -> tuple[dict[Place, int], int]:
        """Return the blocks that may have changed, each with the batch that last touched it.

        Also the day before which blocks are old: nothing but late results changes them.
        """
        # From the last extraction on: what has settled since is told, however long that is.
        seen = min(ordinal, last["at"].toordinal()) if last else ordinal
        since = seen - self._protection.unsettled_days - 2 * WINDOW
        if last is not None and last["policy"] != self._name:
            rows = await connection.fetch(extraction_queries.ALL_TIMES, ordinal)
        else:
            rows = await connection.fetch(extraction_queries.DUE, ordinal, since)
            if self._protection.policy.holds:
                rows += await connection.fetch(extraction_queries.REVISED, ordinal)
        found: dict[Place, int] = {}
        for row in rows:
            for block in blocks_due([(row["period"], row["day"])], ordinal):
                place = (row["condition"], block)
                found[place] = max(found.get(place, 0), row["batch"])
        return dict(sorted(found.items())), since

    async def _begin(self, connection: Connection, number: int, due: Mapping[Place, int]) -> None:
        """Take up what is written under a number, if all of it is still due; else drop it."""
        taken = await connection.fetchval(extraction_queries.TAKE, self._maker)
        if taken is None and number == self._number:
            return
        self._number, self._looked = number, {}
        written = await connection.fetch(extraction_queries.BLOCKS_WRITTEN, number)
        names = {(condition, block.name) for condition, block in due}
        keeps = all((row["condition"], row["block"]) in names for row in written)
        for statement in (
            extraction_queries.DROP_UNFINISHED_TABLES,
            extraction_queries.DROP_UNFINISHED_SHOWN,
            extraction_queries.DROP_UNFINISHED_TOLD,
        ):
            await connection.execute(statement, number if keeps else number - 1)

    async def _tables(
        self, connection: Connection, due: Mapping[Place, int], old: int, batch: int, today: date
    ) -> bool:
        """Publish what has changed, block by block; False where a portion of old ones is made.

        Old blocks that nobody has looked at come first, in portions between which is counted:
        after another policy they are all there are. Then all that has changed since, in one go, so
        that every table shows the same state.
        """
        begun = time.monotonic()
        waits = [place for place in due if place not in self._looked and place[1].last < old]
        publishers: dict[str, BlockPublisher] = {}  # of one condition at a time
        for done, place in enumerate(waits, start=1):
            await self._publish(connection, publishers, place, batch, today)
            if done < len(waits) and time.monotonic() - begun >= self._portion_seconds:
                return False
        for place, changed in due.items():
            if self._looked.get(place, -1) < changed:
                await self._publish(connection, publishers, place, batch, today)
        return True

    async def _publish(
        self,
        connection: Connection,
        publishers: dict[str, BlockPublisher],
        place: Place,
        batch: int,
        today: date,
    ) -> None:
        condition, block = place
        publisher = publishers.get(condition)
        if publisher is None:
            # Places come condition by condition, and each keeps the sums of some days: 1 MB a day.
            publishers.clear()
            publisher = publishers[condition] = BlockPublisher(
                connection, condition, self._number, today, self._protection, self._name
            )
        if await publisher.publish(block):
            self._looked.pop((condition, BlockOfTime(block.ends + 1)), None)
        self._looked[place] = batch
        await asyncio.sleep(0)  # a word to stop is heard between two

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
            if self._protection.policy.holds:
                shares = await self._as_told(connection, number, condition, shares)
            if any(shares.values()):
                odds = await self._odds(connection, condition, today)
                await connection.execute(
                    extraction_queries.KEEP_COMPLETENESS,
                    number,
                    condition,
                    completing.pack_shares(shares),
                    completing_areas.pack_odds(odds),
                )

    async def _as_told(
        self, connection: Connection, number: int, condition: str, shares: completing.Shares
    ) -> completing.Shares:
        """Return estimates as they were told with the numbers that they are of.

        One that moved while its number stays would say what has come.
        """
        row = await connection.fetchrow(extraction_queries.COMPLETENESS, number - 1, condition)
        before = completing.unpack_shares(None if row is None else row["packed"])
        ends = {day for each in shares.values() for day in each}
        if not ends:
            return shares
        rows = await connection.fetch(
            extraction_queries.TOLD_DAYS, condition, DAY, min(ends), max(ends)
        )
        told = {row["day"]: (row["extraction"] == number, row["revised"]) for row in rows}
        return completing.as_told(shares, before, told)

    async def _odds(
        self, connection: Connection, condition: str, today: int
    ) -> completing_areas.AreaOdds:
        """Return how areas differ from France, by the delays that were told before."""
        first, weeks = today - completing.BACK_DAYS, []
        for row in await connection.fetch(
            delay_queries.LATEST, condition, first, today, completing_areas.WEEKS
        ):
            kept = Kept(condition, "delays", row["day"], "all", row["extraction"])
            with suppress(PermanentError):  # damaged: said to whoever asks for it
                weeks.append(unpack_delays(row["figures"], kept))
        return completing_areas.odds_of(weeks)

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
                delay_queries.FORGET,
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
