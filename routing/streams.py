"""Reads the streams out of the outbox, in pages that a cursor continues."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Collection, Mapping
from typing import Any, Final, Protocol
from uuid import UUID

import msgspec

from ops.runtime.postgres import Pool, translated
from schemas.errors import PermanentError
from schemas.events import EventKind, StreamEvent
from schemas.topics import Stream

_CURSOR_VERSION: Final = 1
_EXPIRED: Final = "cursor_expired"

# Heads and first rows of a stream's partitions; a partition whose rows are all gone begins after
# its head. Heads are written with their events: what they count is there.
LANES: Final = """
SELECT h.partition, h.last_seq, coalesce(first.seq, h.last_seq + 1) AS begins
FROM stream_head h
LEFT JOIN LATERAL (
    SELECT e.seq FROM stream_event e
    WHERE e.stream = $1 AND e.partition = h.partition ORDER BY e.seq LIMIT 1
) AS first ON true
WHERE h.stream = $1 ORDER BY h.partition
"""

# The events behind a position, a share from each partition.
AFTER: Final = """
SELECT e.stream, e.partition, e.seq, e.event_id, e.report_id, e.event_version, e.kind, e.reason,
       e.realm, e.rule, e.rule_version, e.person_version, e.message_id, e.emitted_at,
       e.payload, e.part
FROM unnest($2::integer[], $3::bigint[], $4::bigint[]) AS asked (partition, after, share)
CROSS JOIN LATERAL (
    SELECT e.stream, e.partition, e.seq, e.event_id, e.report_id, e.event_version, e.kind,
           e.reason, e.realm, e.rule, e.rule_version, e.person_version, e.message_id,
           e.emitted_at, e.payload, e.part
    FROM stream_event e
    WHERE e.stream = $1 AND e.partition = asked.partition
      AND e.seq > asked.after AND e.seq <= asked.after + asked.share
    ORDER BY e.seq
) AS e
ORDER BY e.partition, e.seq
"""

# Events by their places.
PLACES: Final = """
SELECT e.stream, e.partition, e.seq, e.event_id, e.report_id, e.event_version, e.kind, e.reason,
       e.realm, e.rule, e.rule_version, e.person_version, e.emitted_at, e.payload, e.part
FROM unnest($2::integer[], $3::bigint[]) AS asked (partition, seq)
JOIN stream_event e
  ON e.stream = $1 AND e.partition = asked.partition AND e.seq = asked.seq
"""

# One event by its place.
AT: Final = """
SELECT event_id FROM stream_event WHERE stream = $1 AND partition = $2 AND seq = $3
"""


class Opener(Protocol):
    """What opens payloads: the vault."""

    def open(self, sealed: bytes, associated: bytes) -> bytes:
        """Return the plaintext; PermanentError `key_destroyed` once its retention has passed."""
        ...


class Lane(msgspec.Struct, frozen=True, kw_only=True):
    """One partition of a stream: its first seq still there, and its last."""

    begins: int
    last_seq: int


class OutboxEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event and the message it came of, which is no part of the event."""

    event: StreamEvent
    message_id: UUID


class Cursor(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """Where a reader stands: the last seq it has of every partition.

    A partition in `fresh` has given it nothing yet: what retention took there is no loss to it.
    """

    version: int
    stream: Stream
    positions: tuple[int, ...]
    fresh: tuple[int, ...] = ()


def encode_cursor(cursor: Cursor) -> str:
    """Return the opaque text of a cursor, fit for a URL."""
    return base64.urlsafe_b64encode(msgspec.msgpack.encode(cursor)).rstrip(b"=").decode()


def decode_cursor(stream: Stream, text: str, partitions: int) -> Cursor:
    """Return the cursor of a text.

    Raises:
        PermanentError: `bad_cursor`: not one of ours, or one of another stream or instance.
    """
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        cursor = msgspec.msgpack.decode(raw, type=Cursor)
    except (ValueError, binascii.Error, msgspec.MsgspecError):
        raise _bad_cursor() from None
    if (
        cursor.version != _CURSOR_VERSION
        or cursor.stream is not stream
        or len(cursor.positions) != partitions
        or any(position < 0 for position in cursor.positions)
        or not set(cursor.fresh) <= set(range(partitions))
    ):
        raise _bad_cursor()
    return cursor


def encode_line(event: StreamEvent) -> bytes:
    """Return one line of NDJSON; the body is an object in it, not a string."""
    return msgspec.json.encode(event) + b"\n"


class StreamReader:
    """Reads pages of a stream.

    Args:
        pool: Connections of the role that reads.
        opener: Opens the payloads.
    """

    def __init__(self, pool: Pool, opener: Opener) -> None:
        self._pool = pool
        self._opener = opener

    async def read_page(self, stream: Stream, after: str | None, limit: int) -> list[StreamEvent]:
        """Return at most `limit` events behind a cursor, None for the start; empty at the end.

        Partitions take turns; within one, events come in order. Each event's `cursor` continues
        after it. From the start, what retention has taken is passed over in silence.

        Raises:
            PermanentError: `bad_cursor`, or `cursor_expired`: retention took what comes next.
            TransientError: The database is away.
        """
        cursor: Cursor | None = None
        while True:
            with translated():
                async with self._pool.acquire() as connection:
                    rows = await connection.fetch(LANES, stream.value)
                    lanes = lanes_of(rows)
                    cursor = cursor or _start(stream, after, len(lanes))
                    positions = _positions(cursor, lanes)
                    shares = share_out(positions, lanes, limit)
                    if not shares:
                        return []
                    found = await connection.fetch(AFTER, stream.value, *_asked(positions, shares))
            page, cursor = self._page(cursor, positions, shares, found)
            if page:
                return page

    async def lanes(self, stream: Stream) -> dict[int, Lane]:
        """Return the partitions of a stream."""
        with translated():
            async with self._pool.acquire() as connection:
                return lanes_of(await connection.fetch(LANES, stream.value))

    async def event_id_at(self, stream: Stream, partition: int, seq: int) -> Any:
        """Return the id of the event at a place, None where none is (any more)."""
        with translated():
            async with self._pool.acquire() as connection:
                return await connection.fetchval(AT, stream.value, partition, seq)

    async def read_after(
        self, stream: Stream, positions: Mapping[int, int], shares: Mapping[int, int]
    ) -> list[OutboxEvent]:
        """Return the next `shares` events behind the positions; partitions take turns.

        Raises:
            PermanentError: `cursor_expired`: one of them is gone.
        """
        with translated():
            async with self._pool.acquire() as connection:
                found = await connection.fetch(AFTER, stream.value, *_asked(positions, shares))
        if len(found) != sum(shares.values()):
            raise _expired()
        return [
            OutboxEvent(event=self._event(row), message_id=row["message_id"])
            for row in _in_turns(found, positions)
        ]

    async def read_at(
        self, stream: Stream, places: Collection[tuple[int, int]]
    ) -> dict[tuple[int, int], StreamEvent | PermanentError]:
        """Return the events at these places (partition, seq); those retention took are absent.

        One that cannot be read stands for itself as its error: the others are there all the same.
        """
        with translated():
            async with self._pool.acquire() as connection:
                rows = await connection.fetch(
                    PLACES, stream.value, [each[0] for each in places], [e[1] for e in places]
                )
        found: dict[tuple[int, int], StreamEvent | PermanentError] = {}
        for row in rows:
            place = row["partition"], row["seq"]
            try:
                found[place] = self._event(row)
            except PermanentError as error:
                if error.reason != _EXPIRED:
                    found[place] = error
        return found

    def _page(
        self,
        cursor: Cursor,
        positions: Mapping[int, int],
        shares: Mapping[int, int],
        found: list[Any],
    ) -> tuple[list[StreamEvent], Cursor]:
        if len(found) != sum(shares.values()):
            raise _expired()
        standing = [positions[each] for each in range(len(positions))]
        fresh = set(cursor.fresh)
        page = []
        for row in _in_turns(found, positions):
            partition = row["partition"]
            standing[partition] = row["seq"]
            try:
                event = self._event(row)
            except PermanentError as error:
                if partition in fresh and error.reason == _EXPIRED:
                    continue
                raise
            if event.body is not None:
                fresh.discard(partition)
            cursor = msgspec.structs.replace(
                cursor, positions=tuple(standing), fresh=tuple(sorted(fresh))
            )
            page.append(msgspec.structs.replace(event, cursor=encode_cursor(cursor)))
        return page, msgspec.structs.replace(
            cursor, positions=tuple(standing), fresh=tuple(sorted(fresh))
        )

    def _event(self, row: Any) -> StreamEvent:
        body = None
        if row["payload"] is not None:
            try:
                body = msgspec.Raw(self._opener.open(row["payload"], row["event_id"].bytes))
            except PermanentError as error:
                if error.reason != "key_destroyed":
                    raise
                raise _expired() from None
        return StreamEvent(
            event_id=row["event_id"],
            stream=Stream(row["stream"]),
            partition=row["partition"],
            seq=row["seq"],
            report_id=row["report_id"],
            event_version=row["event_version"],
            kind=EventKind(row["kind"]),
            reason=row["reason"],
            realm=row["realm"],
            rule=row["rule"],
            rule_version=row["rule_version"],
            person_version=row["person_version"],
            emitted_at=row["emitted_at"],
            part=row["part"],
            body=body,
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


def _start(stream: Stream, after: str | None, partitions: int) -> Cursor:
    if after is not None:
        return decode_cursor(stream, after, partitions)
    return Cursor(
        version=_CURSOR_VERSION,
        stream=stream,
        positions=(0,) * partitions,
        fresh=tuple(range(partitions)),
    )


def _positions(cursor: Cursor, lanes: Mapping[int, Lane]) -> dict[int, int]:
    """Return where to read on, behind what retention took from partitions still fresh."""
    positions = {}
    for partition, lane in lanes.items():
        position = cursor.positions[partition]
        if position > lane.last_seq:
            raise _bad_cursor()  # a database restored to an earlier state, or another one
        if position < lane.begins - 1:
            if partition not in cursor.fresh:
                raise _expired()
            position = lane.begins - 1
        positions[partition] = position
    return positions


def _in_turns(rows: list[Any], positions: Mapping[int, int]) -> list[Any]:
    return sorted(
        rows, key=lambda row: (row["seq"] - positions[row["partition"]], row["partition"])
    )


def _asked(
    positions: Mapping[int, int], shares: Mapping[int, int]
) -> tuple[list[int], list[int], list[int]]:
    partitions = sorted(shares)
    return partitions, [positions[each] for each in partitions], [shares[e] for e in partitions]


def _bad_cursor() -> PermanentError:
    return PermanentError(
        "bad_cursor", "not a cursor of this stream and instance: start without one"
    )


def _expired() -> PermanentError:
    return PermanentError(
        _EXPIRED,
        "retention has taken what comes next: start without a cursor, from the oldest event kept",
    )
