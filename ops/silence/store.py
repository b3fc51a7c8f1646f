"""What was learned of laboratories, kept and read; and their closures as sets of days."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import msgspec

from ops.runtime.postgres import Connection

from . import queries
from .past import WINDOW_DAYS, Hour, Past, learn
from .standing import days_between

FORM: Final = 1
"""Of `lab_past.past`; another one is learned anew."""
MOST_LABORATORIES: Final = 20_000
_MOST_CLOSURES: Final = 50_000
_SOME: Final = 25
"""So many laboratories' hours are in memory at once."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Past).decode


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """A live laboratory's past."""

    lab_id: int
    past: Past


async def learn_some(connection: Connection, today: int, most: int) -> tuple[int, int]:
    """Learn what is due, `most` laboratories; return how many were, and how many are due still."""
    rows = await connection.fetch(queries.DUE, today, FORM, most)
    if not rows:
        return 0, 0
    labs = [row["lab_id"] for row in rows]
    closed = await closures(connection, today)
    for first in range(0, len(labs), _SOME):
        some = labs[first : first + _SOME]
        await _learn(connection, today, some, closed)
    return len(labs), int(rows[0]["due"]) - len(labs)


async def _learn(
    connection: Connection, today: int, labs: Sequence[int], closed: Mapping[int, frozenset[int]]
) -> None:
    eldest = datetime.combine(date.fromordinal(today), datetime.min.time(), UTC)
    since = eldest - timedelta(days=WINDOW_DAYS + 1)
    rows = await connection.fetch(queries.HOURS, list(labs), since)
    # In a thread: the process that looks also answers HTTP.
    found = await asyncio.to_thread(_learned, rows, today, closed)
    pasts = [found.get(lab_id) for lab_id in labs]
    await connection.execute(queries.KEEP, list(labs), today, FORM, pasts)


def _learned(
    rows: Sequence[Any], today: int, closed: Mapping[int, frozenset[int]]
) -> dict[int, bytes]:
    found = {}
    for row in rows:
        hours = map(Hour, row["hours"], row["received"], row["rests"])
        past = learn(hours, today, closed.get(row["lab_id"], frozenset()))
        if past is not None:
            found[row["lab_id"]] = _encode(past)
    return found


async def pasts(connection: Connection) -> dict[str, Known]:
    """Return what was learned of each live laboratory, by registry id."""
    rows = await connection.fetch(queries.PASTS, FORM, MOST_LABORATORIES)
    return {
        row["registry_id"]: Known(lab_id=row["lab_id"], past=_decode(row["past"])) for row in rows
    }


async def closures(connection: Connection, today: int) -> dict[int, frozenset[int]]:
    """Return the days on which laboratories are closed, from those that are learned from on."""
    since = date.fromordinal(today - WINDOW_DAYS)
    found: dict[int, set[int]] = {}
    for row in await connection.fetch(queries.CLOSED, since, _MOST_CLOSURES):
        days = days_between(row["first_day"], row["last_day"])
        found.setdefault(row["lab_id"], set()).update(days)
    return {lab_id: frozenset(days) for lab_id, days in found.items()}


async def forget_closures(connection: Connection, today: int) -> None:
    """Let closures go of which nothing is learned any more, some at a time."""
    await connection.execute(queries.FORGET, date.fromordinal(today - 2 * WINDOW_DAYS))
