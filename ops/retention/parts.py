"""Takes rows of age away by whole partitions of tables, so that nobody at the door notices.

A partition goes off its table in one short transaction that waits for its lock at most some tens
of milliseconds, and is asked for again; it is dropped when nobody can see it any more. Where it
holds a few rows that are not of age (a laboratory that sends little keeps its partition of the log
in the first range of numbers for years), these are copied into a new one that takes its place in
the same transaction. Rows are never changed, only added (ops/runtime/intake_log.py,
routing/outbox.py): under the lock only what came since is copied.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, date, datetime, time
from typing import Final

import msgspec

from ops.runtime.metrics import METRICS
from ops.runtime.postgres import Connection, translated
from schemas.errors import TransientError

from .ages import Cuts
from .certificate import Part
from .families import (
    CHILDREN,
    FAMILIES,
    INBOX,
    LEFT_BEHIND,
    Child,
    Family,
    Span,
    children_of,
    copy_statement,
    make_statement,
    spans_statement,
    weeks_due,
)

_PAUSE_SECONDS: Final = 0.4
TAKEN: Final = """
INSERT INTO purge_part (purge_id, part, family, rows, taken_at) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (purge_id, part) DO UPDATE SET rows = purge_part.rows + EXCLUDED.rows
"""
ESTIMATE_INBOX: Final = (
    "SELECT greatest(reltuples, 0)::bigint FROM pg_class WHERE oid = $1::regclass"
)
"""As vacuum saw it: a week of the inbox is 84 M rows at 12 M a day, and no account needs them."""


class PartLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of taking partitions; the settings say them."""

    lock_seconds: float
    tries: int
    kept_rows: int
    """So many rows that are not of age are copied at most."""
    least_rows: int
    """For fewer rows of age nothing is copied."""


class Due(msgspec.Struct, frozen=True, kw_only=True):
    """A partition that goes; with `kept` rows it is replaced by one that holds these."""

    family: str
    part: str
    rows: int
    kept: int = 0
    is_open: bool = False
    """Rows of its range may still come."""


class _Found(msgspec.Struct, frozen=True, kw_only=True):
    """A partition that goes, and from which numbers on its rows are kept."""

    family: Family
    child: Child
    starts: tuple[list[int], list[int]]
    due: Due


class PartTaker:
    """Takes partitions.

    Args:
        connection: Of the role retention, outside a transaction.
        partitions: How many partitions log and streams have.
        limits: Bounds.
    """

    def __init__(self, connection: Connection, partitions: int, limits: PartLimits) -> None:
        self._connection = connection
        self._partitions = partitions
        self._limits = limits

    async def due(self, cuts: Cuts) -> list[Due]:
        """Return what can go by these days; changes nothing."""
        found: list[Due] = []
        with translated():
            for family in FAMILIES:
                found += [each.due for each in await self._due_of(family, cuts[family.kind])]
            rows = await self._connection.fetch(CHILDREN, INBOX)
            for part in weeks_due(rows, cuts):
                n = await self._connection.fetchval(ESTIMATE_INBOX, part)
                found.append(Due(family=INBOX, part=part, rows=n))
        return found

    async def take(self, purge_id: int, cuts: Cuts, at: datetime) -> list[Part]:
        """Take off and drop what can go; return what went. What was busy is left for the next time.

        Raises:
            TransientError: The database is away.
        """
        taken: list[Part | None] = []
        with translated():
            for family in FAMILIES:
                due = await self._due_of(family, cuts[family.kind])
                taken += [await self._take_one(purge_id, found, at) for found in due]
            weeks = weeks_due(await self._connection.fetch(CHILDREN, INBOX), cuts)
            taken += [await self._take_week(purge_id, week, at) for week in weeks]
            await self.drop_left_behind()
        return [each for each in taken if each is not None]

    async def drop_left_behind(self) -> int:
        """Drop tables that are off their parent: nobody sees them; return how many."""
        rows = await self._connection.fetch(LEFT_BEHIND)
        for row in rows:
            await self._connection.execute(f'DROP TABLE IF EXISTS "{row["part"]}"')
        return len(rows)

    # ------------------------------------------------------------------ which

    async def _due_of(self, family: Family, cut: date) -> list[_Found]:
        since = datetime.combine(cut, time(), UTC)
        heads = {
            row["partition"]: row["next"] for row in await self._connection.fetch(family.heads)
        }
        found = []
        for child in children_of(await self._connection.fetch(CHILDREN, family.name)):
            if all(head <= child.low for head in heads.values()):
                continue  # made ahead of need
            rows = await self._connection.fetch(
                spans_statement(family, child), self._partitions, since
            )
            spans = [Span(**row) for row in rows]
            due = self._judge(family, child, spans, heads)
            if due is not None:
                starts = dict.fromkeys(range(self._partitions), child.low)
                starts |= {span.partition: span.kept for span in spans}
                found.append(
                    _Found(
                        family=family,
                        child=child,
                        starts=(list(starts), list(starts.values())),
                        due=due,
                    )
                )
        return found

    def _judge(
        self, family: Family, child: Child, spans: Sequence[Span], heads: dict[int, int]
    ) -> Due | None:
        aged, young = sum(s.aged for s in spans), sum(s.young for s in spans)
        is_open = any(head < child.high for head in heads.values())
        whole = young == 0 and not is_open
        worth = aged >= self._limits.least_rows and young <= self._limits.kept_rows
        if not (whole or worth):
            return None
        return Due(family=family.name, part=child.part, rows=aged, kept=young, is_open=is_open)

    # ------------------------------------------------------------------ taking

    async def _take_one(self, purge_id: int, found: _Found, at: datetime) -> Part | None:
        """Take a partition off; with rows that are kept, put another in its place."""
        table, child, due = found.family.name, found.child, found.due
        kept, gone = f"{child.part}_kept_{purge_id}", f"{child.part}_gone_{purge_id}"
        statements = [
            f'ALTER TABLE "{table}" DETACH PARTITION "{child.part}"',
            f'ALTER TABLE "{child.part}" RENAME TO "{gone}"',
        ]
        copy: tuple[str, list[int], list[int]] | None = None
        if due.is_open or due.kept > 0:
            copy = (copy_statement(found.family, child, kept), *found.starts)
            bounds = f"FROM ({child.low}) TO ({child.high})"
            statements += [
                f'ALTER TABLE "{kept}" RENAME TO "{child.part}"',
                f'ALTER TABLE "{table}" ATTACH PARTITION "{child.part}" FOR VALUES {bounds}',
                f'ALTER TABLE "{child.part}" DROP CONSTRAINT kept_range',
            ]
            await self._connection.execute(f'DROP TABLE IF EXISTS "{kept}"')
            await self._connection.execute(make_statement(found.family, child, kept))
            await self._connection.execute(*copy)
        part = Part(family=table, part=child.part, rows=due.rows)
        return await self._swap_and_drop(purge_id, part, statements, copy, at)

    async def _take_week(self, purge_id: int, week: str, at: datetime) -> Part | None:
        rows = await self._connection.fetchval(ESTIMATE_INBOX, week)
        statements = [
            f'ALTER TABLE "{INBOX}" DETACH PARTITION "{week}"',
            f'ALTER TABLE "{week}" RENAME TO "{week}_gone_{purge_id}"',
        ]
        part = Part(family=INBOX, part=week, rows=rows)
        return await self._swap_and_drop(purge_id, part, statements, None, at)

    async def _swap_and_drop(
        self,
        purge_id: int,
        part: Part,
        statements: Sequence[str],
        copy: tuple[str, list[int], list[int]] | None,
        at: datetime,
    ) -> Part | None:
        entry = (TAKEN, purge_id, part.part, part.family, part.rows, at)
        # All changes of tables go in one message: each round trip would be one under the lock.
        steps: list[tuple[object, ...]] = [] if copy is None else [copy]
        steps += [entry, (";".join(statements),)]
        if not await self._swap(part.family, steps):
            return None
        await self._connection.execute(f'DROP TABLE IF EXISTS "{part.part}_gone_{purge_id}"')
        METRICS.purged_rows.labels(part.family).inc(part.rows)
        METRICS.purged_partitions.labels(part.family).inc()
        return part

    async def _swap(self, table: str, steps: Sequence[tuple[object, ...]]) -> bool:
        """Do it in one transaction under the table's lock; False where that was never to be had.

        The lock is on the table and the partition that goes, not on its others: these are cleaned
        by PostgreSQL itself at any time, and that gives way only to who waits for a second.
        """
        milliseconds = max(1, round(self._limits.lock_seconds * 1_000))
        for _ in range(self._limits.tries):
            try:
                with translated():
                    async with self._connection.transaction():
                        await self._connection.execute(
                            f"SET LOCAL lock_timeout = {milliseconds};"
                            f' LOCK TABLE ONLY "{table}" IN ACCESS EXCLUSIVE MODE'
                        )
                        for statement, *arguments in steps:
                            await self._connection.execute(str(statement), *arguments)
            except TransientError as error:
                if error.reason != "lock_timeout":
                    raise
                METRICS.purge_lock_waits.inc()
                await asyncio.sleep(_PAUSE_SECONDS)
            else:
                return True
        return False
