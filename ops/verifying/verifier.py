"""Holds what the streams hold against what they should hold, person by person.

A page of persons is one snapshot (REPEATABLE READ, read only): all of a person is read as it was at
one moment, and no long transaction keeps old rows alive. Memory is bounded by the page, whatever
the size of the hub; a person of more reports than a page is read twice instead.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

from ops.runtime.postgres import Connection, Pool, translated
from schemas.topics import STREAMS, Stream

from . import queries
from .differences import Verified
from .page import Page, Parts


class Verifier:
    """Verifies the streams of an instance.

    Args:
        pool: Of the role `looking`.
        parts: What a page is looked at with.
    """

    def __init__(self, pool: Pool, parts: Parts) -> None:
        self._pool = pool
        self._parts = parts

    async def verify(
        self, streams: Sequence[Stream] = STREAMS, *, sample: int | None = None
    ) -> Verified:
        """Verify all reports, or those of so many persons taken at random.

        Raises:
            TransientError: The database is away.
        """
        found = Verified()
        async with self._snapshot() as connection:
            taken = frozenset(r["stream"] for r in await connection.fetch(queries.TAKEN))
        async for page in self._pages(sample):
            async with self._snapshot() as connection:
                await Page(self._parts, connection, streams, taken, found).look(page)
        return found

    # ------------------------------------------------------------------ pages of persons

    async def _pages(self, sample: int | None) -> AsyncIterator[list[int]]:
        """Give persons, as many at a time as have a page of reports together."""
        if sample is not None:
            async for page in self._drawn(sample):
                yield page
            return
        after = -1
        while True:
            async with self._snapshot() as connection:
                rows = await connection.fetch(queries.PERSONS, after, self._parts.page)
            if not rows:
                return
            page = _as_many(rows, self._parts.page)
            after = page[-1]
            yield page

    async def _drawn(self, sample: int) -> AsyncIterator[list[int]]:
        left = sample
        seen: set[int] = set()
        while left > 0:
            ids = [uuid4() for _ in range(min(left, self._parts.page))]
            left -= len(ids)
            async with self._snapshot() as connection:
                drawn = {row["person_id"] for row in await connection.fetch(queries.DRAWN, ids)}
                rows = await connection.fetch(queries.COUNTS, sorted(drawn - seen))
            seen |= drawn
            while rows:
                page = _as_many(rows, self._parts.page)
                yield page
                rows = rows[len(page) :]

    @asynccontextmanager
    async def _snapshot(self) -> AsyncIterator[Connection]:
        with translated():
            async with self._pool.acquire() as connection, connection.transaction():
                await connection.execute(queries.SNAPSHOT)
                yield connection


def _as_many(rows: Sequence[Any], most: int) -> list[int]:
    """Return the first persons who have at most so many reports together; one at least."""
    page: list[int] = []
    reports = 0
    for row in rows:
        if page and reports + row["reports"] > most:
            break
        page.append(row["person_id"])
        reports += row["reports"]
    return page
