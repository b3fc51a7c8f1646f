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
    message_id: UUID | None = None
    """Of the message that the event came with; None where the event is gone."""


class Noted(msgspec.Struct, frozen=True, kw_only=True):
    """An answer and what becomes of its event."""

    row: Row
    answer: Answer
    next: Next
    next_at: datetime
    put: Mapping[str, int] = {}
    """What of the report this version and earlier ones may have left there, by type."""


class Earlier(msgspec.Struct, frozen=True, kw_only=True):
    """An earlier version that may be at the receiver."""

    event_version: int
    place: tuple[int, int]
    """Partition and seq."""
    put: Mapping[str, int]


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
        settle_seconds: For how long a request that got no answer may still arrive. None: the
            receiver tells versions apart itself, so none waits for that.
    """

    def __init__(
        self,
        pool: Pool,
        receiver: Receiver,
        *,
        keeps_every_word: bool,
        settle_seconds: float | None = None,
    ) -> None:
        self._pool = pool
        self._id = receiver.receiver_id
        self._stream = receiver.stream
        self._keeps_every_word = keeps_every_word
        self._settle_seconds = settle_seconds
        self._epoch = 0

    async def lead(self, at: datetime) -> bool:
        """Begin to lead; say whether whoever led before ended in order.

        Args:
            at: The moment: what such a one had under way may still arrive.

        Raises:
            Fenced: The receiver is no more.
        """
        async with lent(self._pool) as connection, connection.transaction():
            row = await connection.fetchrow(queries.LEAD, self._id)
            if row is None:
                raise _fenced()
            if not row["resigned"]:
                await connection.execute(queries.MARK_TRIED, self._id, at)
                await self._hold_back(connection, None)
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
                queries.TAKE, self._id, self._stream.value, partitions, after, count, at,
                self._keeps_every_word,
            )  # fmt: skip
            if len(rows) != sum(count):
                raise TransientError("outbox_moved", "it is looked at again")
            await connection.execute(queries.MOVE, self._id, partitions, after, count)
            taken = {row["report_id"] for row in rows}
            superseded = await self._supersede(connection, taken, flying, at)
            await self._hold_back(connection, taken)
            return superseded

    async def due(self, limit: int, flying_reports: Collection[UUID], at: datetime) -> list[Row]:
        """Return what is to be sent now, at most `limit`."""
        async with lent(self._pool) as connection:
            rows = await connection.fetch(
                queries.DUE, self._id, self._stream.value, at, list(flying_reports), limit
            )
        return [Row(**row) for row in rows]

    async def earlier(self, parts: Collection[Part]) -> dict[Part, list[Earlier]]:
        """Return the versions that may be at the receiver, the newest first."""
        asked = list(parts)
        async with lent(self._pool) as connection:
            rows = await connection.fetch(
                queries.EARLIER, self._id,
                [report_id for report_id, _ in asked], _EARLIER, [part for _, part in asked],
            )  # fmt: skip
        found: dict[Part, list[Earlier]] = {}
        for row in rows:
            each = Earlier(
                event_version=row["event_version"],
                place=(row["partition"], row["seq"]),
                put=msgspec.json.decode(row["put"], type=dict[str, int]),
            )
            found.setdefault((row["report_id"], row["part"]), []).append(each)
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
                [each.answer.unsure for each in noted],
                [msgspec.json.encode(each.put).decode() for each in noted],
            )
            await self._hold_back(
                connection, {each.row.report_id for each in noted if each.answer.unsure}
            )
            await self._let_go(connection, noted)
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

    async def _hold_back(self, connection: Connection, report_ids: Collection[UUID] | None) -> None:
        """Let no version of these reports go while an older one may still arrive; None: of all."""
        if self._settle_seconds is None or (report_ids is not None and not report_ids):
            return
        asked = None if report_ids is None else list(report_ids)
        await connection.execute(queries.HOLD_BACK, self._id, asked, self._settle_seconds)

    async def _let_go(self, connection: Connection, noted: Sequence[Noted]) -> None:
        """Keep no older version for what it left there: the one that was taken now says it."""
        taken = [each.row for each in noted if each.next.state == "accepted"]
        if self._settle_seconds is not None and taken:
            await connection.execute(
                queries.LET_GO, self._id,
                [row.report_id for row in taken], [row.event_version for row in taken],
            )  # fmt: skip

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
