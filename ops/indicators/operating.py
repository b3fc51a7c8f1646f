"""What an operator may do: publish now, count anew, go on behind a gap, verify."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import date
from typing import Any, Final
from uuid import UUID

import msgspec

from ops.asking import Asker, check_asker
from ops.runtime.postgres import Connection
from routing.indicator_aliases import Aliases
from routing.indicator_cells import DAY, MONTH_PERIOD
from routing.indicator_rows import Heard, RowKey, decode_row
from routing.indicators import Book
from schemas.errors import PermanentError

from . import queries
from .blocks import BlockOfTime, monday_of
from .counting import LAYOUT, add_to_cells, alias_of, asked_of
from .reading import positions_of

AUDIT: Final = "SELECT audit_append($1, $2, 'indicators', $3)"
WANT: Final = "UPDATE indicator_progress SET wanted_at = now()"
ALL_DUE: Final = """
INSERT INTO indicator_due (condition, period, day, batch)
SELECT DISTINCT condition, period, day, $1::bigint FROM indicator_cell WHERE day >= $2
ON CONFLICT (condition, period, day) DO UPDATE SET batch = EXCLUDED.batch
"""
EMPTY: Final = "TRUNCATE indicator_row, indicator_alias, indicator_position"
# Of closed days the rows are gone: their cells stay as they are.
EMPTY_CELLS: Final = "DELETE FROM indicator_cell WHERE day >= $1"
RESTART: Final = """
UPDATE indicator_progress
SET batch = batch + 1, events = 0, layout = $1, rebuilt_at = now(), is_catching_up = true
"""
OVERTAKE: Final = "UPDATE indicator_progress SET batch = batch + 1"
# What a block was decided from: nothing any more, so it is decided and written anew, no finer than
# before.
FORGET_SOURCE: Final = """
UPDATE indicator_shown s SET source = ''
WHERE s.condition = $1 AND s.block = $2 AND s.extraction = (
    SELECT max(l.extraction) FROM indicator_shown l WHERE l.condition = $1 AND l.block = $2
)
"""
FORGET_POLICY: Final = """
UPDATE indicator_delay d SET policy = ''
WHERE d.condition = $1 AND d.day = $2 AND d.extraction = (
    SELECT max(l.extraction) FROM indicator_delay l WHERE l.condition = $1 AND l.day = $2
)
"""
BLOCK_DUE: Final = """
INSERT INTO indicator_due (condition, period, day, batch) VALUES ($1, $2, $3, $4)
ON CONFLICT (condition, period, day) DO UPDATE SET batch = EXCLUDED.batch
"""

# The tables that counting writes, once more, for this session alone: they hide the true ones.
SHADOW: Final = """
CREATE TEMPORARY TABLE indicator_cell (LIKE public.indicator_cell INCLUDING ALL);
CREATE TEMPORARY TABLE indicator_due (LIKE public.indicator_due INCLUDING ALL);
"""
PAGE: Final = """
SELECT report_id, part, packed FROM public.indicator_row
WHERE (report_id, part) > ($1, $2) ORDER BY report_id, part LIMIT $3
"""
DIFFER: Final = """
SELECT coalesce(k.condition, c.condition) AS condition, coalesce(k.period, c.period) AS period,
       coalesce(k.day, c.day) AS day, coalesce(k.department, c.department) AS department
FROM public.indicator_cell k
FULL JOIN pg_temp.indicator_cell c ON c.condition = k.condition AND c.period = k.period
  AND c.day = k.day AND c.department = k.department
WHERE k.packed IS DISTINCT FROM c.packed AND coalesce(k.day, c.day) >= $2
ORDER BY 1, 2, 3, 4 LIMIT $1
"""


class Verified(msgspec.Struct, frozen=True, kw_only=True):
    """What counting every kept row anew has found."""

    rows: int
    differing: list[tuple[str, str, int, str]]
    """Condition, period, day, department of the first cells that are not what the rows say."""


async def want_extraction(connection: Connection, asker: Asker) -> None:
    """Ask the process that counts for an extraction now."""
    check_asker(asker)
    async with connection.transaction():
        await connection.execute(WANT)
        await connection.fetchval(AUDIT, asker.actor, "indicators_extract", asker.reason)


async def rebuild(connection: Connection, asker: Asker, *, from_oldest: bool) -> None:
    """Begin at zero: the process counts the whole stream again. What was published stays.

    Args:
        connection: Nobody else's.
        asker: Who, and why.
        from_oldest: Also where retention has taken the beginning, whose counts are then lost.

    Raises:
        PermanentError: `stream_begins_later`: retention has taken what a rebuild would count.
    """
    check_asker(asker)
    async with connection.transaction():
        held = await connection.fetchrow(queries.FENCE)
        begins = [row["partition"] for row in await connection.fetch(queries.LANES)
                  if row["begins"] > 1]  # fmt: skip
        if begins and not from_oldest:
            raise PermanentError(
                "stream_begins_later",
                f"retention has taken the beginning of {len(begins)} partitions: what it held would"
                " be counted no more. With --from-oldest it is rebuilt all the same",
            )
        closed = held["closed_before"]
        await connection.execute(ALL_DUE, held["batch"] + 1, closed)
        await connection.execute(EMPTY)
        await connection.execute(EMPTY_CELLS, closed)
        await connection.execute(RESTART, LAYOUT)
        await connection.fetchval(AUDIT, asker.actor, "indicators_rebuild", asker.reason)


async def skip_gap(connection: Connection, asker: Asker) -> int:
    """Go on behind what retention took before it was counted; return how many events that were."""
    check_asker(asker)
    async with connection.transaction():
        await connection.fetchrow(queries.FENCE)
        rows = await connection.fetch(queries.LANES)
        positions = positions_of(rows, skip_gap=True).counted
        gap = sum(
            positions[row["partition"]] - int(row["counted"])
            for row in rows
            if row["counted"] is not None
        )
        await connection.execute(queries.MOVE, list(positions), list(positions.values()))
        await connection.execute(OVERTAKE)
        await connection.fetchval(
            AUDIT, asker.actor, "indicators_gap", f"{asker.reason} ({gap} events)".strip()
        )
    return gap


async def retell(connection: Connection, asker: Asker, condition: str, day: str) -> str:
    """Let the week (or month) of a day be published anew: its tables are damaged.

    Nothing is told finer than it was. Earlier extractions keep the tables they have.

    Raises:
        PermanentError: `bad_question`: no such day; `no_such_table`: nothing of it was published.
    """
    check_asker(asker)
    try:
        at = date.fromisoformat(day).toordinal()
    except ValueError:
        raise PermanentError("bad_question", "a day: 2026-03-06") from None
    month = BlockOfTime(date.fromordinal(at).replace(day=1).toordinal(), is_month=True)
    async with connection.transaction():
        held = await connection.fetchrow(queries.FENCE)
        for block in (BlockOfTime(monday_of(at)), month):
            done = await connection.execute(FORGET_SOURCE, condition, block.name)
            if not done.endswith(" 0"):
                break
        else:
            raise PermanentError("no_such_table", "nothing was published of this time")
        await connection.execute(FORGET_POLICY, condition, block.last)
        period = MONTH_PERIOD if block.is_month else DAY
        await connection.execute(BLOCK_DUE, condition, period, block.begins, held["batch"])
        await connection.execute(WANT)
        reason = f"{asker.reason} ({condition}, {block.name})".strip()
        await connection.fetchval(AUDIT, asker.actor, "indicators_retell", reason)
    return block.name


async def verify(connection: Connection, most: int = 20, *, page: int = 20_000) -> Verified:
    """Count every kept row anew, and compare with the cells of days that are not closed.

    Nothing is changed: cells are counted into tables of the session that stand before the true
    ones, and all of it is rolled back.

    Args:
        connection: Any; counting stands still meanwhile.
        most: How many differences to name.
        page: How many rows are counted at once.
    """
    # A plan of before would still name the true tables.
    await connection.execute("DISCARD PLANS")
    found: list[Verified] = []
    with suppress(_RolledBack):
        async with connection.transaction():
            found.append(await _compared(connection, most, page))
            raise _RolledBack
    return found[0]


class _RolledBack(Exception):
    """Ends a transaction that was to change nothing."""


async def _compared(connection: Connection, most: int, page_rows: int) -> Verified:
    closed = (await connection.fetchrow(queries.FENCE))["closed_before"]
    await connection.execute(SHADOW)
    aliases = {
        RowKey(row[0], row[1]): alias_of(row) for row in await connection.fetch(queries.ALIASES)
    }
    held = Aliases(aliases)
    rows = 0
    last: tuple[UUID, str] = (UUID(int=0), "")
    async for page in _pages(connection, page_rows):
        book = Book(held)
        asked = asked_of(book.reaches(page))
        for report_id, part, packed in await connection.fetch(queries.OF_PERSONS, *asked):
            if (report_id, part) <= last:
                book.hold(RowKey(report_id, part), decode_row(packed))
        await add_to_cells(connection, book.apply(page).deltas, 0)
        rows += len(page)
        last = (page[-1].key.report_id, page[-1].key.part)
    found = await connection.fetch(DIFFER, most, closed)
    return Verified(rows=rows, differing=[(row[0], row[1], row[2], row[3]) for row in found])


async def _pages(connection: Connection, page_rows: int) -> AsyncIterator[list[Heard]]:
    last: tuple[Any, str] = (UUID(int=0), "")
    while True:
        rows = await connection.fetch(PAGE, *last, page_rows)
        if not rows:
            return
        kept = [(RowKey(row[0], row[1]), decode_row(row[2])) for row in rows]
        yield [Heard(key, row, None, row.version) for key, row in kept]
        last = (rows[-1][0], rows[-1][1])
