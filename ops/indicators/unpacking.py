"""Published tables, taken apart in bounded pieces beside the event loop.

A table of all departments is 3,597 figures and 15 ms of a processor; one question can mean
thousands of them. The process that answers also takes results in: so a connection is given back
before anything is unpacked, tables are unpacked one after another in a thread, and few at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final, NamedTuple

from ops.runtime.metrics import METRICS
from ops.runtime.postgres import Connection, Pool, Share, lent
from schemas.errors import TransientError
from schemas.figures import FRANCE, Figure

from . import extraction_queries
from .asking import Asked
from .stored import Kept, pick, unpack_table

_ROWS_AT_ONCE: Final = 64
_LARGE_ROWS_AT_ONCE: Final = 8
"""Of regions and departments, whose tables are a hundred times as large."""


class OfTime(NamedTuple):
    """What is told of a time."""

    day: int
    unpacked: int
    """Figures that were unpacked for it, also those that nobody asked for."""
    figures: list[Figure]


class Tables:
    """Reads published tables.

    Args:
        pool: Connections of a role that reads.
        at_once: How many of them, and how many tables are unpacked at the same time.
        answers_each: So many answers are being made for each that is unpacked.
        wait_seconds: How long an answer waits for its turn.
    """

    def __init__(
        self, pool: Pool, at_once: int, *, answers_each: int = 4, wait_seconds: float = 10.0
    ) -> None:
        self._pool = Share(pool, at_once)
        self._turns = asyncio.Semaphore(at_once)
        self._answers = asyncio.Semaphore(answers_each * at_once)
        self.wait_seconds = wait_seconds

    @asynccontextmanager
    async def lent(self) -> AsyncIterator[Connection]:
        """Lend a connection for a block, in which nothing may be unpacked."""
        async with lent(self._pool) as connection:
            yield connection

    def turn(self) -> AbstractAsyncContextManager[None]:
        """Give one of the turns to unpack, for a block.

        Raises:
            TransientError: Others have them for long (`answers_held`).
        """
        return self._within(self._turns)

    def answering(self) -> AbstractAsyncContextManager[None]:
        """Give one of the places of answers that are being made, for a block; as `turn`.

        An answer keeps what it has found until it is whole: few may do so at once.
        """
        return self._within(self._answers)

    @asynccontextmanager
    async def _within(self, places: asyncio.Semaphore) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self.wait_seconds):
                await places.acquire()
        except TimeoutError:
            METRICS.limit_hits.labels("indicator_answers").inc()
            raise TransientError("answers_held", "others ask for much: ask again") from None
        try:
            yield
        finally:
            places.release()

    async def times(
        self, condition: str, asked: Asked, number: int, first: int
    ) -> AsyncGenerator[OfTime, None]:
        """Give what is asked for, time by time in their order, as of an extraction."""
        most, step = at_once(asked.levels)
        while True:
            async with self.lent() as connection:
                days = await _days(connection, condition, asked, number, first, most)
                held = await _packed(connection, condition, asked, number, days)
            for place in range(0, len(days), step):
                part = [(day, held[day]) for day in days[place : place + step]]
                async with self.turn():
                    found = await asyncio.to_thread(_opened, condition, part, asked)
                for each in found:
                    yield each
            if len(days) < most:
                return
            first = days[-1] + 1


def at_once(levels: Sequence[str]) -> tuple[int, int]:
    """Return how many tables of these levels are fetched at once, and unpacked at once."""
    if tuple(levels) == (FRANCE,):
        return _ROWS_AT_ONCE, _ROWS_AT_ONCE
    return _LARGE_ROWS_AT_ONCE, 1


class _Packed(NamedTuple):
    level: str
    extraction: int
    figures: bytes


def _opened(
    condition: str, times: Sequence[tuple[int, list[_Packed]]], asked: Asked
) -> list[OfTime]:
    found = []
    for day, tables in times:
        unpacked, figures = 0, []
        for packed in tables:
            kept = Kept(condition, asked.period.value, day, packed.level, packed.extraction)
            table = unpack_table(packed.figures, kept)
            unpacked += len(table)
            figures += pick(table, asked.areas, asked.age_classes, asked.sexes)
        found.append(OfTime(day, unpacked, figures))
    return found


async def _days(  # noqa: PLR0917
    connection: Connection, condition: str, asked: Asked, number: int, first: int, most: int
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


async def _packed(
    connection: Connection, condition: str, asked: Asked, number: int, days: Sequence[int]
) -> dict[int, list[_Packed]]:
    found: dict[int, list[_Packed]] = {day: [] for day in days}
    for level in asked.levels:
        rows: list[Any] = await connection.fetch(
            extraction_queries.TABLES, condition, asked.period.value, level, list(days), number
        )
        for row in rows:
            packed = _Packed(level, row["extraction"], row["figures"])
            found[row["day"]].append(packed)
    return found
