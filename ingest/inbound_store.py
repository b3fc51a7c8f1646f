"""What is kept of the inbound topics: up to where each is taken, and what was parked on the way.

Both move in one transaction, which holds only for whoever knew where the partitions stood: nothing
is parked twice, and nobody who was overtaken moves anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec

from ops.runtime.clock import Clock
from ops.runtime.ids import new_message_id
from ops.runtime.metrics import METRICS
from ops.runtime.postgres import Connection, Pool, lent, translated
from ops.runtime.vault import SealClass, Vault
from schemas.errors import PermanentError, TransientError
from schemas.patient import Phi

BEGIN: Final = """
INSERT INTO inbound_progress (topic, partition, next_offset)
SELECT $1, b.p, b.o FROM unnest($2::integer[], $3::bigint[]) AS b (p, o)
ON CONFLICT (topic, partition) DO NOTHING
"""
POSITIONS: Final = "SELECT partition, next_offset FROM inbound_progress WHERE topic = $1"
# In one order, so that two who write at once do not wait for each other for ever.
FENCE: Final = """
SELECT partition, next_offset FROM inbound_progress
WHERE topic = $1 AND partition = ANY($2::integer[]) ORDER BY partition FOR UPDATE
"""
MOVE: Final = """
UPDATE inbound_progress p SET next_offset = m.o, moved_at = now()
FROM unnest($2::integer[], $3::bigint[]) AS m (p, o) WHERE p.topic = $1 AND p.partition = m.p
"""
KEPT: Final = """
SELECT count(*) FROM (
    SELECT 1 FROM inbound_parked WHERE resolved_at IS NULL AND payload IS NOT NULL LIMIT $1
) AS kept
"""
PARK: Final = """
INSERT INTO inbound_parked (parked_id, topic, partition, "offset", records, reason, laboratory,
                            size_bytes, payload, parked_at)
SELECT p.id, $1, p.partition, p.o, p.records, p.reason, p.laboratory, p.size, p.payload, $2
FROM unnest($3::uuid[], $4::integer[], $5::bigint[], $6::bigint[], $7::text[], $8::text[],
            $9::bigint[], $10::bytea[])
    AS p (id, partition, o, records, reason, laboratory, size, payload)
"""
# The database's clock decides: those of two machines differ.
TURN: Final = """
INSERT INTO inbound_turn (owner, until) VALUES ($1, now() + $2::interval)
ON CONFLICT (one) DO UPDATE SET owner = EXCLUDED.owner, until = EXCLUDED.until
WHERE inbound_turn.owner = EXCLUDED.owner OR inbound_turn.until < now()
RETURNING owner
"""
END_TURN: Final = "DELETE FROM inbound_turn WHERE owner = $1"
WAITING: Final = """
SELECT coalesce(sum(records), 0)::bigint FROM inbound_parked WHERE resolved_at IS NULL
"""
_SELECT: Final = """
SELECT parked_id, topic, partition, "offset", records, reason, laboratory, size_bytes,
       payload IS NOT NULL AS is_kept, parked_at, resolved_at, resolution
FROM inbound_parked
"""
LIST: Final = (
    _SELECT
    + """WHERE $1 OR resolved_at IS NULL
ORDER BY parked_at, topic, partition, "offset" LIMIT $2"""
)
ONE: Final = _SELECT + "WHERE parked_id = $1"
PAYLOAD: Final = "SELECT payload FROM inbound_parked WHERE parked_id = $1"
RESOLVE: Final = """
UPDATE inbound_parked SET resolved_at = $2, resolution = $3
WHERE parked_id = $1 AND resolved_at IS NULL
"""
AUDIT: Final = "SELECT audit_append($1, 'inbound_retry', $2, $3)"
PURGE: Final = """
DELETE FROM inbound_parked WHERE parked_id IN (
    SELECT parked_id FROM inbound_parked WHERE resolved_at < $1 ORDER BY resolved_at LIMIT 1000
)
"""


class Held(Phi, frozen=True, kw_only=True, array_like=True):
    """What is kept, sealed, of a parked record: enough to take it again."""

    key: bytes | None
    value: bytes
    headers: tuple[tuple[str, bytes], ...] = ()
    """`laboratory` and `signature` alone, where they were usable."""


class Park(msgspec.Struct, frozen=True, kw_only=True):
    """A record that could not be taken, and why; `held` is None where it is not kept."""

    partition: int
    offset: int
    reason: str
    laboratory: str = ""
    size_bytes: int = 0
    records: int = 1
    held: Held | None = None


class Parked(msgspec.Struct, frozen=True, kw_only=True):
    """A parked record as its operator sees it: its place and reason, nothing of its value."""

    parked_id: UUID
    topic: str
    partition: int
    offset: int
    records: int
    reason: str
    laboratory: str
    size_bytes: int
    is_kept: bool
    parked_at: datetime
    resolved_at: datetime | None
    resolution: str | None


class InboundStore:
    """Progress and parked records in PostgreSQL.

    Args:
        pool: The database.
        vault: Seals what is kept of a parked record.
        clock: Gives the times.
        max_kept: The most unresolved records whose content is kept; of those beyond only the place.
    """

    def __init__(self, pool: Pool, vault: Vault, clock: Clock, *, max_kept: int = 10_000) -> None:
        self._pool = pool
        self._vault = vault
        self._clock = clock
        self._max_kept = max_kept

    async def positions(self, topic: str, begins: Mapping[int, int]) -> dict[int, int]:
        """Return where each partition goes on; one that is seen for the first time at its begin."""
        async with lent(self._pool) as connection:
            await connection.execute(BEGIN, topic, list(begins), list(begins.values()))
            rows = await connection.fetch(POSITIONS, topic)
        return {row["partition"]: row["next_offset"] for row in rows if row["partition"] in begins}

    async def advance(
        self, topic: str, before: Mapping[int, int], after: Mapping[int, int], parks: Sequence[Park]
    ) -> None:
        """Move partitions on and park, all or nothing; call once what was accepted is durable.

        Raises:
            TransientError: Another process went on meanwhile (`inbound_overtaken`), or the database
                is away: nothing was written.
        """
        places = sorted(after)
        with translated():
            async with self._pool.acquire() as connection, connection.transaction():
                rows = await connection.fetch(FENCE, topic, places)
                found = {row["partition"]: row["next_offset"] for row in rows}
                if found != {place: before[place] for place in places}:
                    raise TransientError("inbound_overtaken", "another process reads this topic")
                if parks:
                    await self._park(connection, topic, parks)
                await connection.execute(MOVE, topic, places, [after[place] for place in places])

    async def take_turn(self, owner: UUID, seconds: float) -> bool:
        """Say whether it is this owner's turn to read, from now on for so long."""
        async with lent(self._pool) as connection:
            return (await connection.fetchval(TURN, owner, timedelta(seconds=seconds))) is not None

    async def end_turn(self, owner: UUID) -> None:
        """Let another process read at once."""
        async with lent(self._pool) as connection:
            await connection.execute(END_TURN, owner)

    async def waiting(self) -> int:
        """Return how many parked records nobody has resolved."""
        async with lent(self._pool) as connection:
            return int(await connection.fetchval(WAITING))

    async def purge(self, keep_days: int) -> None:
        """Forget what was resolved so long ago."""
        async with lent(self._pool) as connection:
            await connection.execute(PURGE, self._clock.now() - timedelta(days=keep_days))

    # ------------------------------------------------------------------ for its operator

    async def listed(self, limit: int, *, also_resolved: bool = False) -> list[Parked]:
        """Return parked records, the oldest first."""
        async with lent(self._pool) as connection:
            rows = await connection.fetch(LIST, also_resolved, limit)
        return [Parked(**dict(row)) for row in rows]

    async def find(self, parked_id: UUID) -> Parked | None:
        """Return one parked record."""
        async with lent(self._pool) as connection:
            row = await connection.fetchrow(ONE, parked_id)
        return None if row is None else Parked(**dict(row))

    async def held(self, parked_id: UUID) -> Held:
        """Return what is kept of a parked record.

        Raises:
            PermanentError: Nothing is (`not_kept`), or its key was destroyed.
        """
        async with lent(self._pool) as connection:
            sealed = await connection.fetchval(PAYLOAD, parked_id)
        if sealed is None:
            raise PermanentError("not_kept", "ask the laboratory to send it again")
        return _decoder.decode(self._vault.open(sealed, parked_id.bytes))

    async def resolve(self, parked: Parked, resolution: str, *, actor: str, reason: str) -> None:
        """Say what became of a parked record, with an entry in the audit chain."""
        with translated():
            async with self._pool.acquire() as connection, connection.transaction():
                at = self._clock.now()
                await connection.execute(RESOLVE, parked.parked_id, at, resolution)
                place = f"{parked.topic}/{parked.partition}/{parked.offset}"
                await connection.fetchval(AUDIT, actor, place, reason)

    async def _park(self, connection: Connection, topic: str, parks: Sequence[Park]) -> None:
        kept = int(await connection.fetchval(KEPT, self._max_kept))
        rows: list[tuple[Any, ...]] = []
        for each in parks:
            parked_id, sealed = new_message_id(), None
            if each.held is not None and kept < self._max_kept:
                kept += 1
                plain = _encoder.encode(each.held)
                sealed = self._vault.seal(SealClass.INTAKE, plain, parked_id.bytes)
            elif each.held is not None:
                METRICS.limit_hits.labels("inbound_kept").inc()
            rows.append((
                parked_id, each.partition, each.offset, each.records, each.reason,
                each.laboratory, each.size_bytes, sealed,
            ))  # fmt: skip
        columns = [list(column) for column in zip(*rows, strict=True)]
        await connection.execute(PARK, topic, self._clock.now(), *columns)


_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(Held)
