"""The statements by which streams are read out of the outbox."""

from __future__ import annotations

from typing import Final

from schemas.topics import Stream

# Heads and first rows of a stream's partitions; a partition whose rows are all gone begins after
# its head. Heads are written with their events: what they count is there. Rows below the floor are
# past their retention: their key is gone, they go with their whole partition of the table.
LANES: Final = """
SELECT h.partition, h.last_seq, greatest(coalesce(first.seq, h.last_seq + 1), f.seq) AS begins
FROM stream_head h
LEFT JOIN stream_floor f ON f.stream = h.stream AND f.partition = h.partition
LEFT JOIN LATERAL (
    SELECT e.seq FROM stream_event e
    WHERE e.stream = $1 AND e.partition = h.partition ORDER BY e.seq LIMIT 1
) AS first ON true
WHERE h.stream = $1 ORDER BY h.partition
"""

# The events behind a position, a share from each partition. The order within one keeps the planner
# at the primary key, a range for each: without it the whole stream can be read and hashed instead.
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
"""

_TABLES: Final = {stream: f"stream_event_{stream.value.replace('-', '_')}" for stream in Stream}
"""Each stream's own table: with the stream as a condition its whole primary key may be read."""

# Which of these versions have a newer one up to a seq. All versions of a part are in one partition;
# the limit keeps the planner at the index by report, a look for each.
_SUPERSEDED: Final = """
SELECT asked.number
FROM unnest($1::uuid[], $2::text[], $3::integer[], $4::bigint[])
     WITH ORDINALITY AS asked (report_id, part, event_version, until, number)
CROSS JOIN LATERAL (
    SELECT FROM {table} later
    WHERE later.report_id = asked.report_id AND later.part = asked.part
      AND later.event_version > asked.event_version AND later.seq + 0 <= asked.until
    LIMIT 1
) AS newer
"""
SUPERSEDED: Final = {stream: _SUPERSEDED.format(table=_TABLES[stream]) for stream in Stream}

# Versions of parts of reports.
_EARLIER: Final = """
SELECT asked.report_id, asked.part, asked.event_version, e.event_id, e.payload
FROM unnest($1::uuid[], $2::text[], $3::integer[]) AS asked (report_id, part, event_version)
CROSS JOIN LATERAL (
    SELECT e.event_id, e.payload FROM {table} e
    WHERE e.report_id = asked.report_id AND e.part = asked.part
      AND e.event_version = asked.event_version
    LIMIT 1
) AS e
"""
EARLIER: Final = {stream: _EARLIER.format(table=_TABLES[stream]) for stream in Stream}

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
