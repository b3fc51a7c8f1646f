"""The intake log on PostgreSQL: a head row per partition, and the row IS the message."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from schemas.envelope import IntakeRecord, RecordKind, StoredRecord
from schemas.errors import OffsetGone, UnknownResult

from .intake_log import Kept, ReadBatch
from .postgres import Pool, is_unknown_commit, translated

# One autocommit function call: the answer comes after the commit, so an answer means durable.
APPEND: Final = "SELECT intake_append($1, $2, $3, $4, $5, $6, $7, $8)"

# What waits is counted before it is read: a backlog would otherwise be fetched whole, from every
# partition up to the limit, and thrown away but for one batch.
HEADS: Final = """
SELECT partition, next_offset FROM intake_head WHERE partition = ANY ($1::integer[])
"""
READ: Final = """
SELECT found.partition, found."offset", found.message_id, found.lab_id, found.kind,
       found.received_at, found.inbox_key, found.control_key, found.payload
FROM unnest($1::integer[], $2::bigint[], $3::integer[]) AS asked (partition, "offset", share)
CROSS JOIN LATERAL (
    SELECT i.partition, i."offset", i.message_id, i.lab_id, i.kind, i.received_at, i.inbox_key,
           i.control_key, i.payload
    FROM intake i
    WHERE i.partition = asked.partition AND i."offset" >= asked."offset"
    ORDER BY i."offset"
    LIMIT asked.share
) AS found
"""

FETCH: Final = """
SELECT partition, "offset", message_id, lab_id, kind, received_at, inbox_key, control_key, payload
FROM intake WHERE partition = $1 AND "offset" = $2
"""

ENDS: Final = "SELECT partition, next_offset FROM intake_head"

# The first row a partition still has; a partition whose rows are all gone begins at its head.
BEGINS: Final = """
SELECT h.partition, coalesce(first."offset", h.next_offset) AS begins
FROM intake_head h
LEFT JOIN LATERAL (
    SELECT i."offset" FROM intake i WHERE i.partition = h.partition ORDER BY i."offset" LIMIT 1
) AS first ON true
"""


class PostgresIntakeLog:
    """`IntakeLog` on the tables `intake_head` and `intake`.

    Args:
        pool: Connections of the role that calls; one append uses one for one round trip.
        deadline_seconds: The longest an append may take before its result counts as unknown.
    """

    def __init__(self, pool: Pool, *, deadline_seconds: float = 5.0) -> None:
        self._pool = pool
        self._deadline_seconds = deadline_seconds

    async def append(self, records: Sequence[IntakeRecord]) -> list[int]:
        """Append in one function call; see `IntakeLog.append`."""
        if not records:
            return []
        columns: tuple[list[Any], ...] = (
            [r.partition for r in records],
            [r.message_id for r in records],
            [r.lab_id for r in records],
            [int(r.kind) for r in records],
            [r.received_at for r in records],
            [r.inbox_key for r in records],
            [r.control_key for r in records],
            [r.payload for r in records],
        )
        try:
            async with self._pool.acquire() as connection:
                offsets = await connection.fetchval(
                    APPEND, *columns, timeout=self._deadline_seconds
                )
        except Exception as error:  # boundary: sorted into surely-not and nobody-knows
            if is_unknown_commit(error):
                raise UnknownResult(
                    "append_unknown", "no answer was given; the laboratory will send again"
                ) from None
            with translated():
                raise
        return list(offsets)

    async def read(self, positions: Mapping[int, int], limit: int) -> ReadBatch:
        """Read several partitions in one statement; see `IntakeLog.read`."""
        next_offsets = dict(positions)
        if not positions or limit < 1:
            return ReadBatch(records=[], next_offsets=next_offsets)
        with translated():
            async with self._pool.acquire() as connection:
                heads = await connection.fetch(HEADS, list(positions))
                waiting = {
                    row["partition"]: row["next_offset"] - positions[row["partition"]]
                    for row in heads
                    if row["next_offset"] > positions[row["partition"]]
                }
                if not waiting:
                    return ReadBatch(records=[], next_offsets=next_offsets)
                share = _fair_share(waiting, limit)
                rows = await connection.fetch(
                    READ, list(share), [positions[p] for p in share], list(share.values())
                )
        records = [_record(row) for row in rows]
        for record in records:
            if next_offsets[record.partition] == positions[record.partition] != record.offset:
                # The embedded log is gapless: what stood between was dropped.
                raise OffsetGone(record.partition, positions[record.partition], record.offset)
            next_offsets[record.partition] = record.offset + 1
        for partition in share:
            if next_offsets[partition] == positions[partition]:
                begin = positions[partition] + waiting[partition]
                raise OffsetGone(partition, positions[partition], begin)
        return ReadBatch(records=records, next_offsets=next_offsets)

    async def fetch(self, partition: int, offset: int) -> StoredRecord | None:
        """Look one record up by its place."""
        with translated():
            async with self._pool.acquire() as connection:
                row = await connection.fetchrow(FETCH, partition, offset)
        return None if row is None else _record(row)

    async def begin_offsets(self) -> dict[int, int]:
        """Read the first offset of every partition."""
        with translated():
            async with self._pool.acquire() as connection:
                rows = await connection.fetch(BEGINS)
        return {row["partition"]: row["begins"] for row in rows}

    async def end_offsets(self) -> dict[int, int]:
        """Read the head of every partition."""
        with translated():
            async with self._pool.acquire() as connection:
                rows = await connection.fetch(ENDS)
        return {row["partition"]: row["next_offset"] for row in rows}

    async def kept(self) -> Kept:
        """Answer that it forgets nothing by itself."""
        return Kept()

    async def close(self) -> None:
        """Leave the pool to whoever opened it."""


def _fair_share(waiting: Mapping[int, int], limit: int) -> dict[int, int]:
    """Share `limit` out among partitions with so many records waiting, each the same at first."""
    share, left = dict.fromkeys(waiting, 0), limit
    while left:
        unfilled = [p for p, count in waiting.items() if share[p] < count]
        if not unfilled:
            break
        step = max(1, left // len(unfilled))
        for partition in unfilled:
            take = min(step, waiting[partition] - share[partition], left)
            share[partition] += take
            left -= take
            if not left:
                break
    return {partition: count for partition, count in share.items() if count}


def _record(row: Mapping[str, Any]) -> StoredRecord:
    message_id: UUID = row["message_id"]
    received_at: datetime = row["received_at"]
    return StoredRecord(
        partition=row["partition"],
        offset=row["offset"],
        message_id=message_id,
        lab_id=row["lab_id"],
        kind=RecordKind(row["kind"]),
        received_at=received_at,
        inbox_key=row["inbox_key"],
        control_key=row["control_key"],
        payload=row["payload"],
    )
