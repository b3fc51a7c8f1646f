"""What the relay last published, noted beside the outbox: for topics that retention has emptied.

A note is never needed while a topic holds an event, which is believed first. It may be older than
the truth, and whoever reads it can tell: behind the noted event lies at most one mark.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from uuid import UUID

import msgspec

from ops.runtime.postgres import Pool, translated
from schemas.topics import Stream

# What was noted of a stream's partitions.
LOAD: Final = """
SELECT partition, seq, log_offset FROM relay_position WHERE stream = $1 ORDER BY partition
"""

# Notes what was published. A relay that was fenced meanwhile knows less than the note: unless the
# topic itself was looked at ($5), a lower seq changes nothing.
NOTE: Final = """
INSERT INTO relay_position (stream, partition, seq, log_offset, noted_at)
SELECT $1, partition, seq, log_offset, now()
FROM unnest($2::integer[], $3::bigint[], $4::bigint[]) AS new (partition, seq, log_offset)
ORDER BY partition
ON CONFLICT (stream, partition) DO UPDATE SET
    seq = EXCLUDED.seq, log_offset = EXCLUDED.log_offset, noted_at = EXCLUDED.noted_at
WHERE $5::boolean OR relay_position.seq < EXCLUDED.seq
"""


# Where a stream began a new history after a restore, and behind which event of the topic.
HISTORIES: Final = """
SELECT partition, begins, topic_seq, topic_event FROM stream_history WHERE stream = $1
"""


class History(msgspec.Struct, frozen=True, kw_only=True):
    """Where a partition goes on after a restore: a person has said so (`streams reconcile`)."""

    begins: int
    topic_seq: int | None
    """The last event of the topic before it; None: there was none."""
    topic_event: UUID | None


class Noted(msgspec.Struct, frozen=True, kw_only=True):
    """The last event published to a partition, and the offset it has there."""

    seq: int
    log_offset: int


class Positions:
    """Keeps the notes in PostgreSQL.

    Args:
        pool: Connections of the relay.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def load(self, stream: Stream) -> dict[int, Noted]:
        """Return what was noted, by partition; TransientError when the database is away."""
        with translated():
            async with self._pool.acquire() as connection:
                rows = await connection.fetch(LOAD, stream.value)
        return {
            row["partition"]: Noted(seq=row["seq"], log_offset=row["log_offset"]) for row in rows
        }

    async def histories(self, stream: Stream) -> dict[int, History]:
        """Return where partitions began anew; TransientError when the database is away."""
        with translated():
            async with self._pool.acquire() as connection:
                rows = await connection.fetch(HISTORIES, stream.value)
        return {
            row["partition"]: History(
                begins=row["begins"], topic_seq=row["topic_seq"], topic_event=row["topic_event"]
            )
            for row in rows
        }

    async def note(self, stream: Stream, notes: Mapping[int, Noted], *, seen: bool) -> None:
        """Note what was published.

        Args:
            stream: Of the topic.
            notes: By partition.
            seen: It was just read from the topic, and holds whatever was noted before.
        """
        if not notes:
            return
        partitions = sorted(notes)
        with translated():
            async with self._pool.acquire() as connection:
                await connection.execute(
                    NOTE,
                    stream.value,
                    partitions,
                    [notes[each].seq for each in partitions],
                    [notes[each].log_offset for each in partitions],
                    seen,
                )
