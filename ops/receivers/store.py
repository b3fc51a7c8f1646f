"""What a leader writes about its receiver: taken, noted, stopped; each under the fence."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from ops.runtime.postgres import Connection, Pool, lent
from routing.pushing import Answer, Next, Outcome
from schemas.errors import Fenced, TransientError
from schemas.topics import Stream

from . import queries
from .receiver import Kind, Options, Receiver

_EARLIER: Final = 20
Part = tuple[UUID, str]
"""A report and what of it an event is about."""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery that is due."""

    event_id: UUID
    partition: int
    seq: int
    report_id: UUID
    part: str
    event_version: int
    kind: str
    attempts: int
    failures: int
    tried_at: datetime | None
    payload_bytes: int


class Noted(msgspec.Struct, frozen=True, kw_only=True):
    """An answer and what becomes of its event."""

    row: Row
    answer: Answer
    next: Next
    next_at: datetime


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """How much of a receiver's waits, when the next is due, since when the oldest waits."""

    count: int
    next_at: datetime | None
    oldest_at: datetime | None


def receiver_of(row: Mapping[str, Any]) -> Receiver:
    """Return the receiver that a row of `RECEIVER_COLUMNS` tells of."""
    given = dict(row)
    return Receiver(
        **{
            **given,
            "kind": Kind(given["kind"]),
            "stream": Stream(given["stream"]),
            "options": msgspec.json.decode(given["options"], type=Options),
        }
    )


class PushStore:
    """The rows of one receiver, for whoever leads it.

    Args:
        pool: Connections.
        receiver: The receiver.
        keeps_every_word: Whether a withdrawal is sent even where a newer version waits.
    """

    def __init__(self, pool: Pool, receiver: Receiver, *, keeps_every_word: bool) -> None:
        self._pool = pool
        self._id = receiver.receiver_id
        self._stream = receiver.stream
        self._keeps_every_word = keeps_every_word
        self._epoch = 0

    async def lead(self) -> bool:
        """Begin to lead; say whether whoever led before ended in order.

        Raises:
            Fenced: The receiver is no more.
        """
        async with lent(self._pool) as connection, connection.transaction():
            row = await connection.fetchrow(queries.LEAD, self._id)
            if row is None:
                raise _fenced()
            if not row["resigned"]:
                await connection.execute(queries.MARK_TRIED, self._id)
        self._epoch = row["epoch"]
        return bool(row["resigned"])

    async def resign(self) -> None:
        """Say that nothing is under way any more."""
        async with lent(self._pool) as connection:
            await connection.execute(queries.RESIGN, self._id, self._epoch)

    async def positions(self) -> dict[int, int]:
        """Return up to where each partition is taken."""
        async with lent(self._pool) as connection:
            rows = await connection.fetch(queries.POSITIONS, self._id)
        return {row["partition"]: row["seq"] for row in rows}

    async def take(
        self,
        positions: Mapping[int, int],
        shares: Mapping[int, int],
        flying: Collection[UUID],
        at: datetime,
    ) -> int:
        """Take the next events out of the outbox; return how many older ones that superseded.

        Raises:
            Fenced: Another leads, or the receiver was stopped.
            TransientError: The outbox is shorter than it was (`outbox_moved`).
        """
        partitions = sorted(shares)
        after = [positions[each] for each in partitions]
        count = [shares[each] for each in partitions]
        async with lent(self._pool) as connection, connection.transaction():
            if await connection.fetchval(queries.FENCE, self._id, self._epoch) is None:
                raise _fenced()
            rows = await connection.fetch(
                queries.TAKE, self._id, self._stream.value, partitions, after, count, at
            )
            if len(rows) != sum(count):
                raise TransientError("outbox_moved", "it is looked at again")
            await connection.execute(queries.MOVE, self._id, partitions, after, count)
            return await self._supersede(connection, {r["report_id"] for r in rows}, flying, at)

    async def due(self, limit: int, flying_reports: Collection[UUID], at: datetime) -> list[Row]:
        """Return what is to be sent now, at most `limit`."""
        async with lent(self._pool) as connection:
            rows = await connection.fetch(
                queries.DUE, self._id, self._stream.value, at, list(flying_reports), limit
            )
        return [Row(**row) for row in rows]

    async def earlier(self, parts: Collection[Part]) -> dict[Part, list[tuple[int, int, int]]]:
        """Return version, partition and seq of what may be at the receiver, the newest first."""
        asked = list(parts)
        async with lent(self._pool) as connection:
            rows = await connection.fetch(
                queries.EARLIER,
                self._id,
                [report_id for report_id, _ in asked],
                _EARLIER,
                [part for _, part in asked],
            )
        found: dict[Part, list[tuple[int, int, int]]] = {}
        for row in rows:
            place = (row["event_version"], row["partition"], row["seq"])
            found.setdefault((row["report_id"], row["part"]), []).append(place)
        return found

    async def waiting(self) -> Waiting:
        """Return what waits."""
        async with lent(self._pool) as connection:
            row = await connection.fetchrow(queries.STANDING, self._id)
        return Waiting(count=row["waiting"], next_at=row["next_at"], oldest_at=row["oldest_at"])

    async def note(self, noted: Sequence[Noted], flying: Collection[UUID], at: datetime) -> int:
        """Write what became of some events; return how many that superseded.

        Raises:
            Fenced: Another leads: it sends again what we have sent.
        """
        good = any(each.answer.is_taken for each in noted)
        bad = any(each.answer.outcome is Outcome.TRANSIENT for each in noted)
        async with lent(self._pool) as connection, connection.transaction():
            known = await connection.fetchval(
                queries.ANSWERED, self._id, self._epoch, at if good else None, at,
                noted[-1].answer.code, bad,
            )  # fmt: skip
            if known is None:
                raise _fenced()
            await connection.execute(
                queries.NOTE,
                self._id,
                at,
                [each.row.event_id for each in noted],
                [each.next.state for each in noted],
                [each.next.failures for each in noted],
                [each.answer.protocol.value for each in noted],
                [each.answer.code for each in noted],
                [each.answer.detail for each in noted],
                [each.next_at for each in noted],
            )
            again = {each.row.report_id for each in noted if each.next.state == "waiting"}
            return await self._supersede(connection, again, flying, at) if again else 0

    async def stop(self, state: str, reason: str) -> None:
        """Let the receiver be pushed to no more, until an operator says so."""
        async with lent(self._pool) as connection:
            await connection.execute(queries.STOP, self._id, self._epoch, state, reason)

    async def dead(self) -> int:
        """Count dead letters."""
        async with lent(self._pool) as connection:
            return int(await connection.fetchval(queries.DEAD, self._id))

    async def _supersede(
        self,
        connection: Connection,
        report_ids: Collection[UUID],
        flying: Collection[UUID],
        at: datetime,
    ) -> int:
        rows = await connection.fetch(
            queries.SUPERSEDE, self._id, list(report_ids), at, list(flying), self._keeps_every_word
        )
        return len(rows)


def _fenced() -> Fenced:
    return Fenced("receiver_fenced", "another process leads this receiver, or it was stopped")
