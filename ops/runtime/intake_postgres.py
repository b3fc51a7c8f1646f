"""The intake log on PostgreSQL: a head row per partition, and the row IS the message."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from schemas.envelope import IntakeRecord, RecordKind, StoredRecord
from schemas.errors import OffsetGone, UnknownResult

from .intake_log import ReadBatch
from .postgres import Pool, is_unknown_commit, translated

# One autocommit function call: the answer comes after the commit, so an answer means durable.
APPEND: Final = "SELECT intake_append($1, $2, $3, $4, $5, $6, $7, $8)"

# Each partition gives at most its share, then what is left of the limit goes by offset age.
READ: Final = """
SELECT found.partition, found."offset", found.message_id, found.lab_id, found.kind,
       found.received_at, found.inbox_key, found.control_key, found.payload
FROM unnest($1::integer[], $2::bigint[]) AS asked (partition, "offset")
CROSS JOIN LATERAL (
    SELECT i.partition, i."offset", i.message_id, i.lab_id, i.kind, i.received_at, i.inbox_key,
           i.control_key, i.payload
    FROM intake i
    WHERE i.partition = asked.partition AND i."offset" >= asked."offset"
    ORDER BY i."offset"
    LIMIT $3
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
                rows = await connection.fetch(
                    READ, list(positions), list(positions.values()), limit
                )
        records = _fair_share([_record(row) for row in rows], limit)
        seen: set[int] = set()
        for record in records:
            if record.partition not in seen:
                seen.add(record.partition)
                if record.offset > positions[record.partition]:
                    # The embedded log is gapless: what stood between was dropped.
                    raise OffsetGone(record.partition, positions[record.partition], record.offset)
            next_offsets[record.partition] = record.offset + 1
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

    async def close(self) -> None:
        """Leave the pool to whoever opened it."""


def _fair_share(records: list[StoredRecord], limit: int) -> list[StoredRecord]:
    """Cut to `limit`, the same share for each partition first, each partition in offset order."""
    if len(records) <= limit:
        return records
    lanes: dict[int, list[StoredRecord]] = {}
    for record in records:
        lanes.setdefault(record.partition, []).append(record)
    share, left = dict.fromkeys(lanes, 0), limit
    while left:
        open_lanes = [p for p, lane in lanes.items() if share[p] < len(lane)]
        step = max(1, left // len(open_lanes))
        for partition in open_lanes:
            take = min(step, len(lanes[partition]) - share[partition], left)
            share[partition] += take
            left -= take
            if not left:
                break
    return [record for partition, lane in lanes.items() for record in lane[: share[partition]]]


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
