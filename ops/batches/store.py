"""Batches in PostgreSQL: a file is one row, its answers are pieces; both move in one statement.

The same name and bytes of the same sender are the same batch: whoever sends it again gets what was
answered, and nothing is appended.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Any, Final
from uuid import UUID

import msgspec

from ingest.batch import NAME_REUSED, FileFinding, ReaderState
from ops.runtime.clock import Clock
from ops.runtime.ids import new_message_id
from ops.runtime.postgres import Connection, Pool, lent
from ops.runtime.vault import SealClass, Vault
from schemas.errors import PermanentError, TransientError
from schemas.ids import id_of

from .batch import Batch, Counts, Reading

_SELECT: Final = """
SELECT batch_id, door, sender, name, content, size_bytes, state, received_at, ended_at, pieces,
       accepted, refused, rejected, unanswered, reading::text AS reading
FROM batch
"""

# ON CONFLICT DO NOTHING: of two that begin the same file one makes the row, both read it.
BEGIN: Final = """
INSERT INTO batch (batch_id, door, sender, name, name_digest, content, size_bytes, received_at,
                   reading)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9::text::jsonb)
ON CONFLICT (sender, name_digest, content) DO NOTHING
"""
SAME: Final = _SELECT + "WHERE sender = $1 AND name_digest = $2 AND content = $3"
OTHERS: Final = """
SELECT EXISTS (SELECT 1 FROM batch WHERE sender = $1 AND name_digest = $2 AND content <> $3)
"""
ONE: Final = _SELECT + "WHERE batch_id = $1"
LIST: Final = _SELECT + "WHERE $1 = '' OR sender = $1 ORDER BY received_at DESC LIMIT $2"

# One statement is one transaction: what is answered and how far it is read cannot part. Whoever
# was overtaken finds another number of pieces and writes nothing.
ADVANCE: Final = """
WITH moved AS (
    UPDATE batch
    SET position = $3, pieces = pieces + 1, messages = $4, accepted = $5, refused = $6,
        rejected = $7, unanswered = $8, reading = $9::text::jsonb, state = $10, ended_at = $11
    WHERE batch_id = $1 AND pieces = $2 AND state = 'reading'
    RETURNING batch_id, pieces
)
INSERT INTO batch_answer (batch_id, piece, payload)
SELECT batch_id, pieces, $12 FROM moved
RETURNING piece
"""
PIECE: Final = "SELECT payload FROM batch_answer WHERE batch_id = $1 AND piece = $2"
# Not read to their end are those without one; the index of ends holds these too.
OLDEST: Final = "SELECT min(received_at) FROM batch WHERE ended_at IS NULL"
PURGE: Final = """
DELETE FROM batch WHERE batch_id IN (
    SELECT batch_id FROM batch WHERE ended_at < $1 ORDER BY ended_at LIMIT $2
)
"""
HANDLED: Final = "SELECT coalesce(sum(next_offset), 0)::bigint FROM intake_progress"
_PURGED_AT_ONCE: Final = 100

_reading: Final = msgspec.json.Decoder(Reading)


class BatchStore:
    """Where batches are kept.

    Args:
        pool: The database.
        vault: Seals names and answers.
        clock: Gives times of receipt and of the end.
    """

    def __init__(self, pool: Pool, vault: Vault, clock: Clock) -> None:
        self._pool = pool
        self._vault = vault
        self._clock = clock

    async def begin(
        self, *, door: str, sender: str, name: str, content: bytes, size_bytes: int,
        batch_id: UUID | None = None,
    ) -> Batch:  # fmt: skip
        """Return the batch of this file: made now, or as far as it had come.

        Raises:
            TransientError: The database is away.
        """
        made = batch_id or new_message_id()
        digest = self._digest(sender, name)
        async with lent(self._pool) as connection:
            row = await connection.fetchrow(SAME, sender, digest, content)
            if row is None:
                reader = ReaderState()
                if await connection.fetchval(OTHERS, sender, digest, content):
                    reader.findings.append(FileFinding(code=NAME_REUSED, message=0, at=0))
                await connection.execute(
                    BEGIN, made, door, sender,
                    self._vault.seal(SealClass.INTAKE, name.encode(), made.bytes),
                    digest, content, size_bytes, self._clock.now(),
                    _json(Reading(reader=reader)),
                )  # fmt: skip
                row = await connection.fetchrow(SAME, sender, digest, content)
        return self._batch(row)

    async def find(self, batch_id: UUID) -> Batch | None:
        """Return a batch, None where there is no such one (any more)."""
        async with lent(self._pool) as connection:
            row = await connection.fetchrow(ONE, batch_id)
        return None if row is None else self._batch(row)

    async def recent(self, limit: int, sender: str = "") -> list[Batch]:
        """Return the latest batches, newest first."""
        async with lent(self._pool) as connection:
            rows = await connection.fetch(LIST, sender, limit)
        return [self._batch(row) for row in rows]

    async def advance(self, batch: Batch, answers: bytes, *, is_done: bool) -> None:
        """Keep the next answers and how far the batch is read; `batch` is changed to match.

        Raises:
            TransientError: The database is away, or somebody else reads this batch
                (`batch_overtaken`); nothing is kept.
        """
        counts, reader = batch.counts, batch.reading.reader
        ended_at = self._clock.now() if is_done else None
        piece = batch.pieces + 1
        sealed = self._vault.seal(SealClass.INTAKE, answers, _place(batch.batch_id, piece))
        async with lent(self._pool) as connection:
            kept = await connection.fetchval(
                ADVANCE, batch.batch_id, batch.pieces, reader.position, reader.messages,
                counts.AA, counts.AE, counts.AR, counts.none, _json(batch.reading),
                "done" if is_done else "reading", ended_at, sealed,
            )  # fmt: skip
        if kept is None:
            raise TransientError("batch_overtaken", "another process reads this file")
        batch.pieces = piece
        batch.state = "done" if is_done else "reading"
        batch.ended_at = ended_at

    async def answers(self, batch: Batch) -> AsyncIterator[bytes]:
        """Yield the acknowledgement file piece by piece.

        Raises:
            PermanentError: It was sealed with a key that is gone (`key_destroyed`), or was purged.
        """
        for piece in range(1, batch.pieces + 1):
            async with lent(self._pool) as connection:
                sealed = await connection.fetchval(PIECE, batch.batch_id, piece)
            if sealed is None:
                raise PermanentError("batch_gone", "its retention has passed")
            opened = self._vault.open(sealed, _place(batch.batch_id, piece))
            if opened:
                yield opened

    async def handled(self) -> int:
        """Return how many records dispatch has handled in all.

        Raises:
            TransientError: The database is away.
        """
        async with lent(self._pool) as connection:
            return int(await connection.fetchval(HANDLED))

    async def oldest_seconds(self) -> float:
        """Return for how long the oldest file has been without its whole answer; 0 without any.

        Raises:
            TransientError: The database is away.
        """
        async with lent(self._pool) as connection:
            since = await connection.fetchval(OLDEST)
        return 0.0 if since is None else (self._clock.now() - since).total_seconds()

    async def purge(self, keep: timedelta) -> int:
        """Let go of batches that ended longer ago than this; return how many."""
        gone = 0
        while True:
            async with lent(self._pool) as connection:
                n = await _purge(connection, self._clock.now() - keep)
            gone += n
            if n < _PURGED_AT_ONCE:
                return gone

    def _digest(self, sender: str, name: str) -> UUID:
        secret = self._vault.secret("batch")
        digest = blake2b(digest_size=16, key=secret, person=b"batch-name")
        digest.update(f"{sender}\x1f{name}".encode())
        return id_of(digest.digest())

    def _batch(self, row: Any) -> Batch:
        try:
            name = self._vault.open(row["name"], row["batch_id"].bytes).decode()
        except PermanentError:
            name = ""  # its key's retention has passed
        return Batch(
            batch_id=row["batch_id"],
            door=row["door"],
            sender=row["sender"],
            name=name,
            content=row["content"],
            size_bytes=row["size_bytes"],
            state=row["state"],
            received_at=row["received_at"],
            ended_at=row["ended_at"],
            pieces=row["pieces"],
            counts=Counts(
                AA=row["accepted"],
                AE=row["refused"],
                AR=row["rejected"],
                none=row["unanswered"],
            ),
            reading=_reading.decode(row["reading"]),
        )


async def _purge(connection: Connection, before: datetime) -> int:
    done = await connection.execute(PURGE, before, _PURGED_AT_ONCE)
    return int(done.rpartition(" ")[2])


def _json(reading: Reading) -> str:
    return msgspec.json.encode(reading).decode()


def _place(batch_id: UUID, piece: int) -> bytes:
    return batch_id.bytes + piece.to_bytes(4, "big")
