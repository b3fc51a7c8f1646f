"""Rows as PostgreSQL takes them at once: COPY's binary format, no object for each field. Pure.

A statement with arrays looks at every element several times before it is sent, and the server looks
for a row of each key before it writes one. Of most rows there is none, and it is known (see
`counting`): these are written as bytes.

Source: PostgreSQL, "COPY", section "Binary Format".
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Final

from routing.indicator_rows import Row, RowKey, encode_row

COLUMNS: Final = ("report_id", "person", "next_person", "day", "part", "packed")
"""In the order in which they are written."""
_HEADER: Final = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
_TRAILER: Final = b"\xff\xff"
_NULL: Final = -1
# Fields, then each with its length before it: a report, a person (by the first 64 bits), the next
# half-year's person, a day.
_ONE: Final = struct.Struct(">hi16si8siii").pack
_TWO: Final = struct.Struct(">hi16si8si8sii").pack
_NOBODY: Final = struct.Struct(">hi16siiii").pack
_LENGTH: Final = struct.Struct(">i").pack
_PIECE: Final = 2_000


def is_copied(row: Row) -> bool:
    """Say whether a row can be written so: it has a day, of its own or of its reception."""
    return bool(row.flags or row.received)


def copied(rows: Sequence[tuple[RowKey, Row]]) -> Iterator[bytes]:
    """Return rows in COPY's format, a few thousand at a time, so that memory is bounded."""
    yield _HEADER
    for begins in range(0, len(rows), _PIECE):
        yield b"".join(_fields(rows[begins : begins + _PIECE]))
    yield _TRAILER


def _fields(rows: Iterable[tuple[RowKey, Row]]) -> Iterator[bytes]:
    count = len(COLUMNS)
    for (report_id, part), row in rows:
        packed, report = encode_row(row), report_id.bytes
        if not row.flags:
            yield _NOBODY(count, 16, report, _NULL, _NULL, 4, row.received)
        elif not row.next_period:
            yield _ONE(count, 16, report, 8, row.person, _NULL, 4, row.day)
        else:
            yield _TWO(count, 16, report, 8, row.person, 8, row.next_person, 4, row.day)
        yield _text(part)
        yield _LENGTH(len(packed))
        yield packed


@lru_cache(maxsize=1024)
def _text(part: str) -> bytes:
    encoded = part.encode()
    return _LENGTH(len(encoded)) + encoded
