"""Reads a stream in blocks of columns, partition by partition: what a file needs, and cheaply.

A row an event costs the client more than all that is done with it afterwards. So the database gives
a block as a few long values: numbers as their bytes, ids and codes as one text. Blocks are bounded
by rows and by bytes, each is read in a statement of its own, and while one is worked on the next is
fetched: nothing is held in the database meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final, NamedTuple

from ops.runtime.postgres import Pool, lent
from routing.outbox_reader import lanes_of
from routing.stream_queries import LANES
from schemas.errors import PermanentError
from schemas.topics import Stream

from .extraction import Extraction
from .manifest import Ask, State
from .tables import REPLACED_RULE

CODE_SEPARATOR: Final = "\x1f"
ROW_SEPARATOR: Final = "\x1e"
CODES: Final = ("kind", "reason", "realm", "rule", "rule_version", "part")
"""In this order they stand in a row of codes; no pattern of theirs allows a separator."""

MOST_ROWS: Final = 8_192
LEAST_ROWS: Final = 64
BLOCK_BYTES: Final = 8 * 1024 * 1024
_SLACK: Final = timedelta(days=2)
"""Nothing is sampled after it was emitted; clocks and time zones differ by less than this."""

_BLOCK: Final = """
SELECT count(*) AS found,
       string_agg(int8send(e.seq), ''::bytea) FILTER (WHERE e.kept) AS seqs,
       string_agg(int4send(e.event_version), ''::bytea) FILTER (WHERE e.kept) AS versions,
       string_agg(int8send(e.person_version), ''::bytea) FILTER (WHERE e.kept) AS persons,
       string_agg(timestamptz_send(e.emitted_at), ''::bytea) FILTER (WHERE e.kept) AS moments,
       string_agg(e.report_id::text, '') FILTER (WHERE e.kept) AS reports,
       string_agg(e.event_id::text, '') FILTER (WHERE e.kept) AS events,
       string_agg(uuid_send(e.event_id), ''::bytea) FILTER (WHERE e.kept) AS raw_events,
       string_agg(
           concat_ws(E'\\x1f', e.kind, e.reason, e.realm, e.rule, e.rule_version, e.part), E'\\x1e'
       ) FILTER (WHERE e.kept) AS codes,
       array_agg(e.payload) FILTER (WHERE e.kept) AS payloads
FROM (
    SELECT s.seq, s.event_version, s.person_version, s.emitted_at, s.report_id, s.event_id,
           s.kind, s.reason, s.realm, s.rule, s.rule_version, s.part, s.payload, {kept} AS kept
    FROM stream_event s
    WHERE s.stream = $1 AND s.partition = $2 AND s.seq > $3 AND s.seq <= $4
    ORDER BY s.seq
) AS e
"""

# Every event emitted in a range.
EVENTS: Final = _BLOCK.format(
    kept="""($5::timestamptz IS NULL OR s.emitted_at >= $5)
           AND ($6::timestamptz IS NULL OR s.emitted_at < $6)"""
)

# Of every part of a report the newest event up to a place; all of them are in one partition. Which
# pseudonym stands for another is needed whatever the range.
LATEST: Final = _BLOCK.format(
    kept=f"""s.kind <> 'withdrawn'
           AND ($5::timestamptz IS NULL OR s.emitted_at >= $5 OR s.rule = '{REPLACED_RULE}')
           AND NOT EXISTS (
               SELECT FROM stream_event n
               WHERE n.stream = $1 AND n.report_id = s.report_id AND n.part = s.part
                 AND n.partition = $2 AND n.event_version > s.event_version AND n.seq <= $6)"""
)


class Block(NamedTuple):
    """Events of one partition, in order, as columns; integers are big-endian bytes."""

    partition: int
    after: int
    last: int
    """It holds what is kept of the places behind `after`, up to this one."""
    seqs: bytes
    versions: bytes
    persons: bytes
    moments: bytes
    """Microseconds since 2000-01-01 UTC."""
    reports: str
    """Ids of 36 characters each, one behind the other."""
    events: str
    raw_events: bytes
    codes: list[str]
    payloads: list[bytes | None]

    @property
    def rows(self) -> int:
        """How many events it holds."""
        return len(self.payloads)


async def take_extraction(pool: Pool, stream: Stream, instance: Any, at: datetime) -> Extraction:
    """Return what is there of a stream now."""
    async with lent(pool) as connection:
        lanes = lanes_of(await connection.fetch(LANES, stream.value))
    return Extraction(
        stream=stream,
        at=at,
        instance=instance,
        begins=tuple(lanes[each].begins for each in sorted(lanes)),
        positions=tuple(lanes[each].last_seq for each in sorted(lanes)),
    )


class BlockReader:
    """Gives the blocks of an extraction from where an earlier run stood.

    Args:
        pool: Connections of the role that looks.
        extraction: Up to where.
        ask: Which events of it.
    """

    def __init__(self, pool: Pool, extraction: Extraction, ask: Ask) -> None:
        self._pool = pool
        self._extraction = extraction
        self._ask = ask
        self._rows = MOST_ROWS

    def note(self, rows: int, plain_bytes: int) -> None:
        """Say what rows came to once they were opened: the next blocks are sized by it."""
        if rows:
            each = max(1, plain_bytes // rows)
            self._rows = min(MOST_ROWS, max(LEAST_ROWS, BLOCK_BYTES // each))

    async def blocks(self, behind: Sequence[int]) -> AsyncGenerator[Block, None]:
        """Yield blocks behind a place of every partition, one partition after the other.

        Raises:
            PermanentError: `extraction_expired`: retention has taken part of it.
            TransientError: The database is away.
        """
        places = self._places(behind)
        ahead = self._next(places)
        try:
            while ahead is not None:
                block = await ahead
                ahead = self._next(places)
                yield block
        finally:
            if ahead is not None:
                ahead.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await ahead

    def _places(self, behind: Sequence[int]) -> list[list[int]]:
        """Return [partition, after, last] of what is left, the first at the end."""
        left = [
            [partition, after, last]
            for partition, (after, last) in enumerate(
                zip(behind, self._extraction.positions, strict=True)
            )
            if after < last
        ]
        return left[::-1]

    def _next(self, places: list[list[int]]) -> asyncio.Task[Block] | None:
        if not places:
            return None
        partition, after, last = places[-1]
        until = min(last, after + self._rows)
        if until == last:
            places.pop()
        else:
            places[-1][1] = until
        return asyncio.create_task(self._read(partition, after, until))

    async def _read(self, partition: int, after: int, until: int) -> Block:
        more: tuple[object, object]
        since = _midnight(self._ask.since)
        if self._ask.state is State.LATEST:
            more = since and since - _SLACK, self._extraction.positions[partition]
            statement = LATEST
        else:
            end = self._ask.until and self._ask.until + timedelta(days=1)
            statement, more = EVENTS, (since, _midnight(end))
        async with lent(self._pool) as connection:
            row = await connection.fetchrow(
                statement, self._extraction.stream.value, partition, after, until, *more
            )
        if row["found"] != until - after:
            raise PermanentError(
                "extraction_expired",
                "retention has taken part of it: export what is there now, to another folder",
            )
        return Block(
            partition=partition,
            after=after,
            last=until,
            seqs=row["seqs"] or b"",
            versions=row["versions"] or b"",
            persons=row["persons"] or b"",
            moments=row["moments"] or b"",
            reports=row["reports"] or "",
            events=row["events"] or "",
            raw_events=row["raw_events"] or b"",
            codes=row["codes"].split(ROW_SEPARATOR) if row["codes"] else [],
            payloads=row["payloads"] or [],
        )


def _midnight(day: date | None) -> datetime | None:
    return None if day is None else datetime.combine(day, time(), UTC)
