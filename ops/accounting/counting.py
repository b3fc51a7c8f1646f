"""Counts what came and how it ended since the last count, in one snapshot and one transaction.

Rows, what is counted and what is in flight move together or not at all, so a kill at any moment
leaves the account as it was. Who finds another process counting leaves it to that one; rows of
`account_progress` are locked besides. Cost: each record and outcome is read once, by its place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec

from ops.runtime.postgres import Connection, Pool, translated

from . import queries
from .drawing import Addition, Change, EndingCount, RecordCount, draw

PARIS: Final = ZoneInfo("Europe/Paris")
_MOST_CHANGES: Final = 10_000
_MOST_CLOSED: Final = 10
"""Days that are closed at a time."""
_LEAST_SHARE: Final = 1_000


class CountLimits(msgspec.Struct, frozen=True, kw_only=True):
    """How much is counted at a time, and when a day is over."""

    records: int
    """The most records of one count, over all partitions."""
    in_flight: int
    """Records in flight that are still told apart by laboratory."""
    close_seconds: float
    """How long after midnight a day stays open for what a door appended late."""


class Counted(msgspec.Struct, frozen=True, kw_only=True):
    """What one count did."""

    records: int
    behind: int
    """Settled records that are left for the next count."""
    closed: tuple[date, ...] = ()


class _Place(msgspec.Struct, frozen=True, kw_only=True):
    partition: int
    counted: int
    target: int
    target_at: datetime
    caught_up_at: datetime | None
    settled: int
    head: int | None


async def count_once(
    pool: Pool, ends: Mapping[int, int] | None, now: datetime, limits: CountLimits
) -> Counted:
    """Count once.

    Args:
        pool: The database.
        ends: Of the log's partitions, asked after `now` (cluster); None: the log is in the
            database.
        now: A moment before anything was asked.
        limits: See `CountLimits`.

    Raises:
        TransientError: The database is away.
    """
    with translated():
        async with pool.acquire() as session:
            if not await session.fetchval(queries.COUNTS_ALONE):
                return Counted(records=0, behind=0)
            try:
                return await _count_alone(session, ends, now, limits)
            finally:
                await session.fetchval(queries.COUNTS_NO_MORE)


async def _count_alone(
    connection: Connection, ends: Mapping[int, int] | None, now: datetime, limits: CountLimits
) -> Counted:
    async with connection.transaction():
        await connection.execute(queries.SNAPSHOT)
        begin = queries.BEGIN_INTAKE if ends is None else queries.BEGIN_MESSAGES
        await connection.execute(begin, now)
        rows = await connection.fetch(queries.PLACES)
        places = [_Place(**dict(row)) for row in rows]
        spans = _spans(places, limits.records)
        added = await _count(connection, spans, now, from_log=ends is None)
        await _write(connection, added, now)
        tips = _tips(places, ends)
        await _fly(connection, spans, tips, now, limits, told_apart=ends is None)
        moved = _moved(places, spans, tips, now)
        await connection.execute(queries.MOVE, *_columns(moved, 5))
    async with connection.transaction():
        closed = await _close(connection, moved, now, limits.close_seconds)
    return Counted(
        records=sum(high - low for low, high in spans.values()),
        behind=sum(each.settled - spans[each.partition][1] for each in places),
        closed=closed,
    )


def _spans(places: Sequence[_Place], most: int) -> dict[int, tuple[int, int]]:
    """Return from where to where each partition is counted: none keeps the others waiting."""
    share = max(_LEAST_SHARE, most // max(1, len(places)))
    return {
        each.partition: (each.counted, max(each.counted, min(each.settled, each.counted + share)))
        for each in places
    }


def _tips(places: Sequence[_Place], ends: Mapping[int, int] | None) -> dict[int, int]:
    found = {each.partition: each.head for each in places} if ends is None else ends
    return {each.partition: max(each.settled, found.get(each.partition) or 0) for each in places}


async def _count(
    connection: Connection, spans: Mapping[int, tuple[int, int]], now: datetime, *, from_log: bool
) -> Addition:
    lows = [low for low, _ in spans.values()]
    await connection.execute(queries.FORGET_CHANGES, list(spans), lows)
    changes = await connection.fetch(queries.TAKE_CHANGES, _MOST_CHANGES)
    asked = _asked(spans)
    records: list[Any] = []
    endings: list[Any] = []
    if asked[0]:
        table = queries.RECORDS_INTAKE if from_log else queries.RECORDS_MESSAGES
        records = await connection.fetch(table, *asked)
        endings = await connection.fetch(queries.ENDINGS, *asked)
        await connection.execute(queries.NOTE_ITEMS, *asked)
    return draw(
        [RecordCount(**dict(row)) for row in records],
        [EndingCount(**dict(row)) for row in endings],
        [Change(**dict(row)) for row in changes],
        spans,
        day_of(now),
    )


async def _write(connection: Connection, added: Addition, now: datetime) -> None:
    if added.rows:
        rows = sorted(added.rows)
        columns = [list(column) for column in zip(*rows, strict=True)]
        await connection.execute(queries.ADD, *columns, [added.rows[row] for row in rows])
        await connection.execute(queries.DUE_AGAIN, columns[0], columns[1])
    if added.gaps:
        places = sorted(added.gaps)
        await connection.execute(
            queries.ADD_GAPS,
            [day for day, _ in places],
            [lab for _, lab in places],
            [added.gaps[place] for place in places],
            now,
        )
    for statement, items in (
        (queries.ADD_ITEMS, added.now_items),
        (queries.DROP_ITEMS, added.no_items),
    ):
        if items:
            await connection.execute(statement, *_columns(items, 4))


async def _fly(
    connection: Connection,
    spans: Mapping[int, tuple[int, int]],
    tips: Mapping[int, int],
    now: datetime,
    limits: CountLimits,
    *,
    told_apart: bool,
) -> None:
    """Say anew what is not counted yet; bounded: a long backlog is not told apart."""
    flying = {p: (high, tips[p]) for p, (_, high) in spans.items()}
    total = sum(high - low for low, high in flying.values())
    await connection.execute(queries.NO_IN_FLIGHT)
    if total and told_apart and total <= limits.in_flight:
        await connection.execute(queries.IN_FLIGHT, *_asked(flying))
    elif total:
        await connection.execute(queries.IN_FLIGHT_TOGETHER, now, total)


def _moved(
    places: Sequence[_Place],
    spans: Mapping[int, tuple[int, int]],
    tips: Mapping[int, int],
    now: datetime,
) -> list[tuple[int, int, int, datetime, datetime | None]]:
    """Say how far each partition is, and since when everything of it is counted."""
    moved = []
    for each in places:
        counted = spans[each.partition][1]
        target, target_at, caught_up_at = each.target, each.target_at, each.caught_up_at
        if counted >= target:
            caught_up_at, target, target_at = target_at, tips[each.partition], now
            if counted >= target:
                caught_up_at = now
        moved.append((each.partition, counted, target, target_at, caught_up_at))
    return moved


async def _close(
    connection: Connection,
    moved: Sequence[tuple[int, int, int, datetime, datetime | None]],
    now: datetime,
    close_seconds: float,
) -> tuple[date, ...]:
    """Close the days of which everything that was accepted is counted."""
    caught_up = [each[4] for each in moved]
    if not caught_up or None in caught_up:
        return ()
    until = min(at for at in caught_up if at is not None) - timedelta(seconds=close_seconds)
    last = day_of(until) - timedelta(days=1)
    before = await connection.fetchval(queries.LAST_CLOSED)
    first = await connection.fetchval(queries.FIRST_DAY)
    if first is None:
        return ()
    day = first if before is None else before + timedelta(days=1)
    closed: list[date] = []
    while day <= last and len(closed) < _MOST_CLOSED:
        await connection.execute(queries.CLOSE, day, now)
        await connection.execute(queries.DUE, day)
        closed.append(day)
        day += timedelta(days=1)
    return tuple(closed)


def day_of(moment: datetime) -> date:
    """Return the day of a moment, in Europe/Paris."""
    return moment.astimezone(PARIS).date()


def _asked(spans: Mapping[int, tuple[int, int]]) -> tuple[list[int], list[int], list[int]]:
    filled = {p: span for p, span in spans.items() if span[1] > span[0]}
    return list(filled), [low for low, _ in filled.values()], [high for _, high in filled.values()]


def _columns(rows: Sequence[tuple[Any, ...]], width: int) -> list[list[Any]]:
    return [[row[n] for row in rows] for n in range(width)]
