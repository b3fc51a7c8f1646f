"""Tables that are cut into partitions, and what of them is of age; pure but for the SQL's text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date
from typing import Any, Final

import msgspec

from .ages import Cuts, Kind

_RANGE: Final = re.compile(r"FOR VALUES FROM \('?([0-9-]+)'?\) TO \('?([0-9-]+)'?\)")

CHILDREN: Final = """
SELECT c.relname AS part, pg_get_expr(c.relpartbound, c.oid) AS bound
FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = $1::text::regclass ORDER BY c.oid
"""
# What a purge that was killed left: off its table, or never on it.
LEFT_BEHIND: Final = r"""
SELECT c.relname AS part FROM pg_class c
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r'
  AND c.relname ~ '_(gone|kept)_\d+$' AND NOT c.relispartition
"""
# The first row of a moment or later between `low` and `high` of `ends`; `high` if none is. Numbers
# are in the order of commits and times nearly so: some twenty looks at the primary key. Of events
# that key begins with the stream: only where the stream is said does it give an order by numbers,
# and each look is one row and not all of a partition, sorted.
_SEARCH: Final = """
search AS (
    SELECT e.partition, e.low, e.high FROM ends e
    UNION ALL
    SELECT s.partition, CASE WHEN p.at < $2 THEN m.middle + 1 ELSE s.low END,
           CASE WHEN p.at < $2 THEN s.high ELSE m.middle END
    FROM search s
    CROSS JOIN LATERAL (SELECT (s.low + s.high) / 2 AS middle) AS m
    LEFT JOIN LATERAL (SELECT c."{moment}" AS at FROM {part} c
                       WHERE {of}c.partition = s.partition AND c."{number}" >= m.middle
                       ORDER BY c."{number}" LIMIT 1) AS p ON true
    WHERE s.low < s.high
)
"""
# A partition's rows by partition of the log or stream: first, last, and the first that is kept.
_SPANS: Final = """
WITH RECURSIVE ends AS (
    SELECT a.partition, f.at AS low, l.at + 1 AS high
    FROM generate_series(0, $1::integer - 1) AS a (partition)
    CROSS JOIN LATERAL (SELECT c."{number}" AS at FROM {part} c
                        WHERE {of}c.partition = a.partition
                        ORDER BY c."{number}" LIMIT 1) AS f
    CROSS JOIN LATERAL (SELECT c."{number}" AS at FROM {part} c
                        WHERE {of}c.partition = a.partition
                        ORDER BY c."{number}" DESC LIMIT 1) AS l
), {search}
SELECT e.partition, e.low AS first, e.high - 1 AS last, s.low AS kept
FROM ends e JOIN search s ON s.partition = e.partition AND s.low >= s.high
"""
# Readers begin behind what goes, before it goes.
_RAISE_FLOORS: Final = """
WITH RECURSIVE ends AS (
    SELECT h.partition, coalesce(f.seq, 1) AS low, h.last_seq + 1 AS high
    FROM stream_head h
    LEFT JOIN stream_floor f ON f.stream = h.stream AND f.partition = h.partition
    WHERE h.stream = $1
), {search}
INSERT INTO stream_floor (stream, partition, seq)
SELECT $1, s.partition, s.low FROM search s WHERE s.low >= s.high
ON CONFLICT (stream, partition) DO UPDATE SET seq = EXCLUDED.seq
WHERE stream_floor.seq < EXCLUDED.seq
"""
# The constraint says what is known of its rows, so that nobody has to look at them under the lock.
_MAKE_KEPT: Final = """
CREATE TABLE {kept} (LIKE {table} INCLUDING ALL,
    CONSTRAINT kept_range CHECK ("{number}" >= {low} AND "{number}" < {high}{also}))
WITH (toast_tuple_target = 8160)
"""
# What is kept, and the second time what has come since: behind the last that was copied.
_COPY: Final = """
INSERT INTO {kept} SELECT r.* FROM unnest($1::integer[], $2::bigint[]) AS a (partition, at)
CROSS JOIN LATERAL (
    SELECT greatest(a.at, coalesce((SELECT c."{number}" + 1 FROM {kept} c
                                    WHERE {of}c.partition = a.partition
                                    ORDER BY c."{number}" DESC LIMIT 1), 0)) AS at) AS begins
JOIN {part} r ON r.partition = a.partition AND r."{number}" >= begins.at
"""


class Family(msgspec.Struct, frozen=True, kw_only=True):
    """A table of which partitions go when all their rows are of age."""

    name: str
    kind: Kind
    number: str
    """The column that its partitions are cut by."""
    moment: str
    stream: str = ""
    """Whose events these are; empty of records."""
    heads: str
    """Next number of each partition of the log or stream: no row below it ever comes again."""


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of one partition of the log or stream in a partition of the table."""

    partition: int
    first: int
    last: int
    kept: int
    """The first that is not of age."""

    @property
    def aged(self) -> int:
        """How many are of age; numbers are without a gap."""
        return min(self.kept, self.last + 1) - self.first

    @property
    def young(self) -> int:
        """How many are not."""
        return self.last + 1 - min(self.kept, self.last + 1)


class Child(msgspec.Struct, frozen=True, kw_only=True):
    """A partition of a table: from `low` to before `high`."""

    part: str
    low: int
    high: int


_HEADS_OF_STREAM: Final = """
SELECT h.partition, h.last_seq + 1 AS next FROM stream_head h WHERE h.stream = '{stream}'
"""


def _stream(stream: str, kind: Kind) -> Family:
    return Family(
        name=f"stream_event_{stream.replace('-', '_')}",
        kind=kind,
        number="seq",
        moment="emitted_at",
        stream=stream,
        heads=_HEADS_OF_STREAM.format(stream=stream),
    )


FAMILIES: Final = (
    Family(
        name="intake",
        kind=Kind.INTAKE,
        number="offset",
        moment="received_at",
        heads="SELECT h.partition, h.next_offset AS next FROM intake_head h",
    ),
    Family(
        name="message",
        kind=Kind.INTAKE,
        number="offset",
        moment="received_at",
        heads="SELECT p.partition, p.next_offset AS next FROM intake_progress p",
    ),
    _stream("dossier", Kind.NAMES),
    _stream("contact-tracing", Kind.NAMES),
    _stream("public-health", Kind.PUBLIC_HEALTH),
)
INBOX: Final = "inbox"


def children_of(rows: Sequence[Any]) -> list[Child]:
    """Return the partitions of a table cut by numbers, the lowest first."""
    found = []
    for row in rows:
        match = _RANGE.fullmatch(row["bound"])
        if match is not None:
            found.append(Child(part=row["part"], low=int(match[1]), high=int(match[2])))
    return sorted(found, key=lambda child: child.low)


def weeks_due(rows: Sequence[Any], cuts: Cuts) -> list[str]:
    """Return the weeks of the inbox all of whose days are past."""
    due = []
    for row in rows:
        match = _RANGE.fullmatch(row["bound"])
        if match is not None and date.fromisoformat(match[2]) <= cuts[Kind.INBOX]:
            due.append(row["part"])
    return sorted(due)


def spans_statement(family: Family, child: Child) -> str:
    """Return the statement for its spans: number of partitions, first moment kept."""
    parts = _places(family, child.part)
    return _SPANS.format(search=_SEARCH.format(**parts), **parts)


def floors_statement(stream: str) -> str:
    """Return the statement that raises a stream's floors: the stream, first moment kept."""
    family = next(each for each in FAMILIES if each.stream == stream)
    return _RAISE_FLOORS.format(search=_SEARCH.format(**_places(family, family.name)))


def _places(family: Family, part: str) -> dict[str, str]:
    of = f"c.stream = '{family.stream}' AND " if family.stream else ""
    return {"part": part, "number": family.number, "moment": family.moment, "of": of}


def make_statement(family: Family, child: Child, kept: str) -> str:
    """Return the statement that makes what is to take a partition's place."""
    also = f" AND stream = '{family.stream}'" if family.stream else ""
    return _MAKE_KEPT.format(
        kept=kept,
        table=family.name,
        number=family.number,
        low=child.low,
        high=child.high,
        also=also,
    )


def copy_statement(family: Family, child: Child, kept: str) -> str:
    """Return the statement that copies what is kept: partitions, first number kept of each."""
    return _COPY.format(kept=kept, **_places(family, child.part))
