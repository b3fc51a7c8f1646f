"""Reads events out of the outbox by their places: what pages, the relay and push are made of."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from typing import Any, Final, Protocol
from uuid import UUID

import msgspec

from ops.runtime.postgres import Pool, lent
from schemas.errors import PermanentError
from schemas.events import EventKind, StreamEvent
from schemas.topics import Stream

from .cursors import Lane
from .stream_queries import AFTER, AT, LANES, PLACES

# A look at a table instead of a call of the enumeration: this is done for every event.
_STREAMS: Final = {each.value: each for each in Stream}
_KINDS: Final = {each.value: each for each in EventKind}


class Opener(Protocol):
    """What opens payloads: the vault."""

    def open(self, sealed: bytes, associated: bytes) -> bytes:
        """Return the plaintext; PermanentError `key_destroyed` once its retention has passed."""
        ...


class OutboxEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event and the message it came of, which is no part of the event."""

    event: StreamEvent
    message_id: UUID


class Gone(PermanentError):
    """An event that retention has taken: its row, or the key of its payload."""

    def __init__(self) -> None:
        super().__init__(
            "cursor_expired", "retention has taken what comes next: start from the oldest event"
        )


class OutboxReader:
    """Reads events by their places.

    Args:
        pool: Connections of the role that reads.
        opener: Opens the payloads.
        at_once: The most connections it holds at a time for pages; who comes later waits in line.
    """

    def __init__(self, pool: Pool, opener: Opener, *, at_once: int = 100) -> None:
        self._pool = pool
        self._opener = opener
        self._turns = asyncio.Semaphore(at_once)

    async def lanes(self, stream: Stream) -> dict[int, Lane]:
        """Return the partitions of a stream."""
        async with self._turns, lent(self._pool) as connection:
            return lanes_of(await connection.fetch(LANES, stream.value))

    async def event_id_at(self, stream: Stream, partition: int, seq: int) -> Any:
        """Return the id of the event at a place, None where none is (any more)."""
        async with lent(self._pool) as connection:
            return await connection.fetchval(AT, stream.value, partition, seq)

    async def read_after(
        self, stream: Stream, positions: Mapping[int, int], shares: Mapping[int, int]
    ) -> list[OutboxEvent]:
        """Return the next `shares` events behind the positions; partitions take turns.

        Raises:
            PermanentError: `Gone`: one of them is.
        """
        async with lent(self._pool) as connection:
            found = await connection.fetch(AFTER, stream.value, *asked_of(positions, shares))
        if len(found) != sum(shares.values()):
            raise Gone
        return [
            OutboxEvent(event=self.event_of(row), message_id=row["message_id"])
            for row in in_turns(found, positions)
        ]

    async def read_at(
        self, stream: Stream, places: Collection[tuple[int, int]]
    ) -> dict[tuple[int, int], StreamEvent | PermanentError]:
        """Return the events at these places (partition, seq); those retention took are absent.

        One that cannot be read stands for itself as its error: the others are there all the same.
        """
        async with lent(self._pool) as connection:
            rows = await connection.fetch(
                PLACES, stream.value, [each[0] for each in places], [e[1] for e in places]
            )
        found: dict[tuple[int, int], StreamEvent | PermanentError] = {}
        for row in rows:
            place = row["partition"], row["seq"]
            try:
                found[place] = self.event_of(row)
            except Gone:
                continue
            except PermanentError as error:
                found[place] = error
        return found

    def body_of(self, row: Any) -> msgspec.Raw | None:
        """Open a row's payload, None where it has none.

        Raises:
            Gone: Its key was destroyed.
            PermanentError: `unreadable_payload`: it was altered.
        """
        payload = row["payload"]
        if payload is None:
            return None
        try:
            return msgspec.Raw(self._opener.open(payload, row["event_id"].bytes))
        except PermanentError as error:
            if error.reason != "key_destroyed":
                raise
            raise Gone from None

    def event_of(self, row: Any) -> StreamEvent:
        """Open a row; raises as `body_of`."""
        return event_with(row, self.body_of(row), msgspec.UNSET)


def event_with(row: Any, body: msgspec.Raw | None, cursor: str | msgspec.UnsetType) -> StreamEvent:
    """Return the event of a row."""
    return StreamEvent(
        event_id=row["event_id"],
        stream=_STREAMS[row["stream"]],
        partition=row["partition"],
        seq=row["seq"],
        report_id=row["report_id"],
        event_version=row["event_version"],
        kind=_KINDS[row["kind"]],
        reason=row["reason"],
        realm=row["realm"],
        rule=row["rule"],
        rule_version=row["rule_version"],
        person_version=row["person_version"],
        emitted_at=row["emitted_at"],
        part=row["part"],
        body=body,
        cursor=cursor,
    )


def share_out(
    positions: Mapping[int, int], lanes: Mapping[int, Lane], limit: int
) -> dict[int, int]:
    """Return how many events each partition gives, fairly; partitions that give none are absent."""
    left = {each: lane.last_seq - positions[each] for each, lane in lanes.items()}
    left = {each: count for each, count in left.items() if count > 0}
    shares: dict[int, int] = {}
    while limit > 0 and left:
        turn = max(1, limit // len(left))
        for each in sorted(left):
            taken = min(turn, left[each], limit)
            if taken:
                shares[each] = shares.get(each, 0) + taken
                limit -= taken
                left[each] -= taken
        left = {each: count for each, count in left.items() if count > 0}
    return shares


def lanes_of(rows: list[Any]) -> dict[int, Lane]:
    """Return the partitions that `LANES` found."""
    return {row["partition"]: Lane(begins=row["begins"], last_seq=row["last_seq"]) for row in rows}


def in_turns(rows: list[Any], positions: Mapping[int, int]) -> list[Any]:
    """Return rows so that partitions take turns; within one they stay in order."""
    return [
        row
        for _, _, row in sorted(
            (row["seq"] - positions[row["partition"]], row["partition"], row) for row in rows
        )
    ]


def asked_of(
    positions: Mapping[int, int], shares: Mapping[int, int]
) -> tuple[list[int], list[int], list[int]]:
    """Return partitions, positions and shares as the statements take them."""
    partitions = sorted(shares)
    return partitions, [positions[each] for each in partitions], [shares[e] for e in partitions]
