"""Reads the streams out of the outbox, in pages that a cursor continues."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

import msgspec

from ops.runtime.postgres import Connection, lent
from schemas.errors import PermanentError
from schemas.events import StreamEvent
from schemas.topics import Stream

from . import selecting
from .cursors import (
    PLAIN,
    Cursor,
    CursorExpired,
    Lane,
    at,
    bad_cursor,
    decode_cursor,
    encode_cursor,
    oldest_of,
    snapshot_of,
    start_of,
)
from .filters import EVERYTHING, StreamFilter, check_filter, fits, is_told_by_part
from .outbox_reader import Gone, OutboxReader, asked_of, event_with, in_turns, lanes_of, share_out
from .stream_queries import AFTER, EARLIER, LANES, SUPERSEDED

_SCANNED: Final = 5_000
"""Events that one call looks at, at most, for what a filter asks for."""
_ROUND: Final = 1_000
"""Events that one statement gives, at most, for a page."""
_LEAST: Final = 200
"""And so many at least where a filter keeps some back."""


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """What one call has read."""

    events: list[StreamEvent]
    """Each with the cursor to read on from behind it."""
    cursor: str
    """Where to read on: behind all that was looked at, also what a filter kept back."""
    is_end: bool = False
    """There was nothing more when it was read."""
    scanned: int = 0
    """How many events were looked at."""


class _Round(msgspec.Struct, frozen=True, kw_only=True):
    """What one statement has given."""

    events: list[StreamEvent]
    cursor: Cursor
    scanned: int
    is_end: bool


def encode_line(event: StreamEvent) -> bytes:
    """Return one line of NDJSON; the body is an object in it, not a string."""
    return msgspec.json.encode(event) + b"\n"


class StreamReader(OutboxReader):
    """Reads pages of a stream, from any cursor, with or without a filter."""

    async def read_page(
        self,
        stream: Stream,
        after: str | None,
        limit: int,
        asked: StreamFilter = EVERYTHING,
        *,
        until: Sequence[int] | None = None,
        scan: int = _SCANNED,
    ) -> Page:
        """Return at most `limit` events behind a cursor, None for the start; none at the end.

        Partitions take turns; within one, events come in order. Each event's `cursor` continues
        after it. From the start, what retention has taken is passed over in silence.

        Args:
            stream: Which.
            after: A cursor that this reader or an event gave.
            limit: The most events.
            asked: What is given of them; by the rule in `selecting`.
            until: The positions at which to end; None: at the present end.
            scan: About how many events are looked at; a page may be empty and not the end.

        Raises:
            PermanentError: `bad_cursor`, `bad_filter`, or `cursor_expired`: retention took what
                comes next.
            TransientError: The database is away.
        """
        check_filter(stream, asked)
        found: list[StreamEvent] = []
        scanned = 0
        position: Cursor | str | None = after
        while True:
            left = limit - len(found)
            gives_all = asked == EVERYTHING and not (
                isinstance(position, Cursor) and position.until
            )
            most = min(left if gives_all else max(left, _LEAST), _ROUND)
            read = await self._round(stream, position, most, asked, until)
            scanned += read.scanned
            found += read.events[:left]
            if len(read.events) > left:  # the rest is read again: it was no more than a round
                return Page(events=found, cursor=str(found[-1].cursor), scanned=scanned)
            position = read.cursor
            if read.is_end or len(found) == limit or scanned >= scan:
                break
        cursor = encode_cursor(position)
        if found and found[-1].cursor != cursor:
            found[-1] = msgspec.structs.replace(found[-1], cursor=cursor)
        return Page(events=found, cursor=cursor, is_end=read.is_end, scanned=scanned)

    async def select(
        self, stream: Stream, asked: StreamFilter, events: Sequence[StreamEvent]
    ) -> list[StreamEvent]:
        """Return what a filtered reader gets of events, in order of their partitions."""
        judged = selecting.judge(stream, asked, events)
        held = await self.earlier(stream, judged.unknown) if judged.unknown else {}
        return selecting.select(
            judged,
            {
                version: body is not None and fits(stream, asked, body)
                for version, body in held.items()
            },
        )

    async def earlier(
        self, stream: Stream, versions: Collection[selecting.Version]
    ) -> dict[selecting.Version, bytes | None]:
        """Return the bodies of versions, None where one has none; what cannot be read is absent."""
        asked = sorted(versions)
        async with self._turns, lent(self._pool) as connection:
            rows = await connection.fetch(
                EARLIER[stream],
                [each[0] for each in asked],
                [each[1] for each in asked],
                [each[2] for each in asked],
            )
        found: dict[selecting.Version, bytes | None] = {}
        for row in rows:
            version = row["report_id"], row["part"], row["event_version"]
            try:
                found[version] = row["payload"] and self._opener.open(
                    row["payload"], row["event_id"].bytes
                )
            except PermanentError:
                continue
        return found

    async def snapshot(self, stream: Stream) -> str:
        """Return the cursor that gives the state as it is now, then every event behind it."""
        return encode_cursor(snapshot_of(stream, await self.lanes(stream)))

    async def end(self, stream: Stream) -> str:
        """Return the cursor of the present end."""
        lanes = await self.lanes(stream)
        return encode_cursor(at(stream, [lanes[each].last_seq for each in range(len(lanes))]))

    async def _round(
        self,
        stream: Stream,
        position: Cursor | str | None,
        most: int,
        asked: StreamFilter,
        until: Sequence[int] | None,
    ) -> _Round:
        """Read at most so many events behind a position, with one statement for them."""
        async with self._turns, lent(self._pool) as connection:
            lanes = lanes_of(await connection.fetch(LANES, stream.value))
            cursor = _cursor(stream, position, len(lanes))
            positions = _positions(cursor, lanes)
            ends = cursor.until or until
            capped = lanes if ends is None else _capped(lanes, ends)
            shares = share_out(positions, capped, most)
            rows: list[Any] = []
            if shares:
                rows = await connection.fetch(AFTER, stream.value, *asked_of(positions, shares))
            if cursor.until:
                rows = await _standing(connection, stream, rows, cursor.until)
        scanned = sum(shares.values())
        if len(rows) != scanned and not cursor.until:
            raise CursorExpired(encode_cursor(oldest_of(stream, lanes)))
        try:
            events, cursor = self._read(cursor, positions, rows, asked)
        except Gone:
            raise CursorExpired(encode_cursor(oldest_of(stream, lanes))) from None
        if asked != EVERYTHING and events:
            events = (
                [each for each in events if each.body and fits(stream, asked, each.body)]
                if cursor.until  # who takes the state in holds nothing that could be withdrawn
                else await self.select(stream, asked, events)
            )
        standing = tuple(positions[each] + shares.get(each, 0) for each in range(len(positions)))
        is_end = scanned < most
        if is_end and cursor.until:  # the state is in; what is behind it comes next
            return _Round(
                events=events,
                cursor=msgspec.structs.replace(cursor, version=PLAIN, positions=standing, until=()),
                scanned=scanned,
                is_end=False,
            )
        cursor = msgspec.structs.replace(cursor, positions=standing)
        return _Round(events=events, cursor=cursor, scanned=scanned, is_end=is_end)

    def _read(
        self,
        cursor: Cursor,
        positions: Mapping[int, int],
        rows: list[Any],
        asked: StreamFilter,
    ) -> tuple[list[StreamEvent], Cursor]:
        """Open rows, in turns; return them as events, each with its cursor, and what is fresh."""
        standing = [positions[each] for each in range(len(positions))]
        fresh = set(cursor.fresh)
        events = []
        for row in in_turns(rows, positions):
            partition = row["partition"]
            standing[partition] = row["seq"]
            passed_over = asked is not EVERYTHING and is_told_by_part(asked, row["part"])
            if passed_over and partition not in fresh:
                continue
            try:
                body = self.body_of(row)
            except Gone:
                if partition in fresh or cursor.until:
                    continue
                raise
            if body is not None and partition in fresh:
                fresh.discard(partition)
                cursor = msgspec.structs.replace(cursor, fresh=tuple(sorted(fresh)))
            if passed_over:
                continue
            behind = encode_cursor(
                Cursor(
                    version=cursor.version,
                    stream=cursor.stream,
                    positions=tuple(standing),
                    fresh=cursor.fresh,
                    until=cursor.until,
                )
            )
            events.append(event_with(row, body, behind))
        return events, cursor


def _cursor(stream: Stream, position: Cursor | str | None, partitions: int) -> Cursor:
    if isinstance(position, Cursor):
        return position
    if position is None:
        return start_of(stream, partitions)
    return decode_cursor(stream, position, partitions)


async def _standing(
    connection: Connection, stream: Stream, rows: list[Any], until: Sequence[int]
) -> list[Any]:
    """Return which of these were the newest of their part at some positions, and no withdrawal."""
    told = [row for row in rows if row["payload"] is not None]
    superseded = await connection.fetch(
        SUPERSEDED[stream],
        [row["report_id"] for row in told],
        [row["part"] for row in told],
        [row["event_version"] for row in told],
        [until[row["partition"]] for row in told],
    )
    gone = {each["number"] for each in superseded}
    return [row for number, row in enumerate(told, start=1) if number not in gone]


def _capped(lanes: Mapping[int, Lane], ends: Sequence[int]) -> dict[int, Lane]:
    """Return the partitions as they were at some positions."""
    return {
        each: Lane(begins=lane.begins, last_seq=min(lane.last_seq, ends[each]))
        for each, lane in lanes.items()
    }


def _positions(cursor: Cursor, lanes: Mapping[int, Lane]) -> dict[int, int]:
    """Return where to read on, behind what retention took from partitions still fresh.

    Of the state nothing is lost by that: it is what is kept of it.
    """
    positions = {}
    for partition, lane in lanes.items():
        position = cursor.positions[partition]
        if max(position, cursor.until[partition] if cursor.until else 0) > lane.last_seq:
            raise bad_cursor()  # a database restored to an earlier state, or another one
        if position < lane.begins - 1:
            if partition not in cursor.fresh and not cursor.until:
                raise CursorExpired(encode_cursor(oldest_of(cursor.stream, lanes)))
            position = lane.begins - 1
        positions[partition] = position
    return positions
