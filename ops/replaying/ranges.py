"""The records of a range of time, a page at a time; found by halving, for no index leads there."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from ops.bootstrap import Hub
from ops.runtime.postgres import Connection
from schemas.envelope import partition_of
from schemas.errors import PermanentError
from schemas.topics import STREAMS

from . import queries

_SLACK: Final = timedelta(minutes=15)
"""Doors' clocks differ, and so may the order of two records from that of their times."""
_DONE_AGAIN: Final = frozenset({"dispatched", "parked"})
"""What was refused was answered so; a replay is no message. One that was discarded has its end. A
duplicate is its original's: done again it would stand above what came between the two."""


class Range(msgspec.Struct, frozen=True, kw_only=True):
    """Messages received in [since, until), of one laboratory or of all."""

    since: datetime
    until: datetime
    lab_id: int | None = None
    partition: int | None = None
    """Of the laboratory."""
    stream: str = ""
    """Only what this stream would be told counts."""


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """From where to where a partition is looked at."""

    partition: int
    next_offset: int
    end_offset: int


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """Some records of a partition, and where to go on."""

    rows: list[Any]
    next_offset: int


async def range_of(  # noqa: PLR0917 - each is an option of the command line
    hub: Hub, connection: Connection, since: datetime, until: datetime, laboratory: str, stream: str
) -> Range:
    """Return a range.

    Raises:
        PermanentError: It is empty, or there is no such laboratory or stream.
    """
    if since >= until:
        raise PermanentError("bad_range", "--from is to be before --to")
    if stream and stream not in {each.value for each in STREAMS}:
        raise PermanentError("no_such_stream", f"the streams are {', '.join(STREAMS)}")
    if not laboratory:
        return Range(since=since, until=until, stream=stream)
    lab_id = await connection.fetchval(queries.LAB, laboratory)
    if lab_id is None:
        raise PermanentError("no_such_laboratory", "`labdispatch labs list` names them")
    partition = partition_of(laboratory, hub.instance.partitions)
    return Range(since=since, until=until, lab_id=lab_id, partition=partition, stream=stream)


async def spans_of(connection: Connection, of: Range) -> list[Span]:
    """Return where a range lies; what is dispatched from now on is no part of it."""
    spans = []
    for row in await connection.fetch(queries.PROGRESS, of.partition):
        first = await _first(connection, row["partition"], row["next_offset"], of.since - _SLACK)
        if first < row["next_offset"]:
            spans.append(
                Span(
                    partition=row["partition"],
                    next_offset=first,
                    end_offset=row["next_offset"],
                )
            )
    return spans


async def read_page(connection: Connection, of: Range, span: Span, limit: int) -> Page:
    """Return the next messages of a span that belong to the range."""
    rows: Sequence[Any] = await connection.fetch(
        queries.PAGE, span.partition, span.next_offset, span.end_offset, limit
    )
    within = [
        row
        for row in rows
        if of.since <= row["received_at"] < of.until
        and (of.lab_id is None or row["lab_id"] == of.lab_id)
        and row["ending"] in _DONE_AGAIN
        and row["reason"] != "discarded"
    ]
    is_last = len(rows) < limit or rows[-1]["received_at"] >= of.until + _SLACK
    after = span.end_offset if is_last else rows[-1]["offset"] + 1
    return Page(rows=within, next_offset=after)


async def _first(connection: Connection, partition: int, end: int, since: datetime) -> int:
    """Return the first offset of a record that came since then; the end, if none did."""
    low = await connection.fetchval(queries.LOW, partition)
    if low is None:
        return end
    high = end
    while low < high:
        middle = (low + high) // 2
        found = await connection.fetchrow(queries.NEAREST, partition, middle)
        if found is not None and found["received_at"] < since:
            low = found["offset"] + 1
        else:
            high = middle
    return int(low)
