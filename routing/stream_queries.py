"""The statements by which streams are read out of the outbox."""

from __future__ import annotations

from typing import Final

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

# The events behind a position, a share from each partition; in any order, for who reads puts them
# in turns.
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
) AS e
"""

# The same, of the state at some positions: the newest version up to there of each part, unless that
# is withdrawn. All versions of a part are in one partition, in order.
STATE: Final = """
SELECT e.stream, e.partition, e.seq, e.event_id, e.report_id, e.event_version, e.kind, e.reason,
       e.realm, e.rule, e.rule_version, e.person_version, e.message_id, e.emitted_at,
       e.payload, e.part
FROM unnest($2::integer[], $3::bigint[], $4::bigint[], $5::bigint[])
     AS asked (partition, after, share, until)
CROSS JOIN LATERAL (
    SELECT e.stream, e.partition, e.seq, e.event_id, e.report_id, e.event_version, e.kind,
           e.reason, e.realm, e.rule, e.rule_version, e.person_version, e.message_id,
           e.emitted_at, e.payload, e.part
    FROM stream_event e
    WHERE e.stream = $1 AND e.partition = asked.partition
      AND e.seq > asked.after AND e.seq <= asked.after + asked.share AND e.payload IS NOT NULL
      AND NOT EXISTS (
          SELECT FROM stream_event later
          WHERE later.stream = $1 AND later.report_id = e.report_id AND later.part = e.part
            AND later.event_version > e.event_version
            AND later.partition = e.partition AND later.seq <= asked.until
      )
) AS e
"""

# Versions of parts of reports.
EARLIER: Final = """
SELECT e.report_id, e.part, e.event_version, e.event_id, e.payload
FROM unnest($2::uuid[], $3::text[], $4::integer[]) AS asked (report_id, part, event_version)
JOIN stream_event e ON e.stream = $1 AND e.report_id = asked.report_id
    AND e.part = asked.part AND e.event_version = asked.event_version
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
