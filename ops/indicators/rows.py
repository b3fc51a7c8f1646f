"""Writes the rows that indicators keep."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any

from ops.runtime.postgres import Connection, copy_rows
from routing.indicator_rows import Row, RowKey, encode_row, groups_of

from . import queries
from .copying import COLUMNS, copied, is_copied

__all__ = ["is_copied", "number_of", "write_rows"]


async def write_rows(
    connection: Connection,
    fresh: Sequence[tuple[RowKey, Row]],
    others: Sequence[tuple[RowKey, Row]],
) -> None:
    """Write rows: fresh ones, of which nothing is kept, and others in the place of what is."""
    if fresh:
        await copy_rows(connection, "indicator_row", COLUMNS, _pieces(fresh))
    if others:
        await connection.execute(queries.KEEP_ROWS, *_row_columns(others))


async def _pieces(rows: Sequence[tuple[RowKey, Row]]) -> AsyncIterator[bytes]:
    for piece in copied(rows):
        yield piece


def number_of(person: bytes) -> int:
    """Return the 64 bits of a pseudonym by which its rows are found."""
    return int.from_bytes(person[:8], "big", signed=True)


def _row_columns(rows: Iterable[tuple[RowKey, Row]]) -> tuple[list[Any], ...]:
    columns: tuple[list[Any], ...] = ([], [], [], [], [], [])
    reports, parts, persons, following, days, packed = columns
    for key, row in rows:
        groups = groups_of(row)
        reports.append(key.report_id)
        parts.append(key.part)
        persons.append(number_of(groups[0][1]) if groups else None)
        following.append(number_of(groups[1][1]) if len(groups) > 1 else None)
        days.append(row.day if groups else row.received or None)
        packed.append(encode_row(row))
    return columns
