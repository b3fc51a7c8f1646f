"""The SQL of counting: what was taken of the stream, and what follows from it."""

from __future__ import annotations

from typing import Final

# The ends of the stream's partitions and what is counted of them. A partition whose events are all
# gone begins after its head.
LANES: Final = """
SELECT h.partition, h.last_seq, coalesce(first.seq, h.last_seq + 1) AS begins, p.seq AS counted
FROM stream_head h
LEFT JOIN LATERAL (
    SELECT e.seq FROM stream_event e
    WHERE e.stream = 'public-health' AND e.partition = h.partition ORDER BY e.seq LIMIT 1
) AS first ON true
LEFT JOIN indicator_position p ON p.partition = h.partition
WHERE h.stream = 'public-health' ORDER BY h.partition
"""

# The next events of some partitions, as much of each as counting needs. They come partition by
# partition, each in its order; sorted once more they would go through files.
EVENTS: Final = """
SELECT e.event_id, e.report_id, e.part, e.event_version, e.payload
FROM unnest($1::integer[], $2::bigint[], $3::bigint[]) AS asked (partition, after, share)
CROSS JOIN LATERAL (
    SELECT e.event_id, e.report_id, e.part, e.event_version, e.payload
    FROM stream_event e
    WHERE e.stream = 'public-health' AND e.partition = asked.partition
      AND e.seq > asked.after AND e.seq <= asked.after + asked.share
    ORDER BY e.seq
) AS e
"""

# Holds off whoever else counts; the batch says whether somebody did meanwhile.
FENCE: Final = """
SELECT batch, layout, closed_before FROM indicator_progress WHERE only_one FOR UPDATE
"""

PROGRESS: Final = """
SELECT batch, events, layout, moved_at, wanted_at, rebuilt_at, extracted_at, is_catching_up
FROM indicator_progress
"""

ALIASES: Final = """
SELECT report_id, part, event_version, period, old, new FROM indicator_alias
"""

# What is kept of some reports' parts.
KEPT: Final = """
SELECT r.report_id, r.part, r.packed
FROM unnest($1::uuid[], $2::text[]) AS asked (report_id, part)
JOIN indicator_row r ON r.report_id = asked.report_id AND r.part = asked.part
"""

# The rows of some persons on some days, by their own pseudonym and as the half-year's after theirs.
# Arrays as text: to the server that is the same, to the client a third.
OF_PERSONS: Final = """
SELECT r.report_id, r.part, r.packed
FROM unnest($1::text::bigint[], $2::text::integer[], $3::text::integer[])
  AS asked (person, first_day, last_day)
JOIN indicator_row r
  ON r.person = asked.person AND r.day BETWEEN asked.first_day AND asked.last_day
UNION ALL
SELECT r.report_id, r.part, r.packed
FROM unnest($1::text::bigint[], $2::text::integer[], $3::text::integer[])
  AS asked (person, first_day, last_day)
JOIN indicator_row r
  ON r.next_person = asked.person AND r.day BETWEEN asked.first_day AND asked.last_day
"""

KEEP_ROWS: Final = """
INSERT INTO indicator_row (report_id, part, person, next_person, day, packed)
SELECT report_id, part, person, next_person,
       coalesce(day, current_date - date '0001-01-01' + 1), packed
FROM unnest($1::uuid[], $2::text[], $3::bigint[], $4::bigint[], $5::integer[], $6::bytea[])
  AS new (report_id, part, person, next_person, day, packed)
ON CONFLICT (report_id, part) DO UPDATE SET
    person = EXCLUDED.person, next_person = EXCLUDED.next_person, day = EXCLUDED.day,
    packed = EXCLUDED.packed
"""

KEEP_ALIASES: Final = """
INSERT INTO indicator_alias (report_id, part, event_version, period, old, new)
SELECT report_id, part, event_version, period, old, new
FROM unnest($1::uuid[], $2::text[], $3::integer[], $4::text[], $5::bytea[], $6::bytea[])
  AS new_rows (report_id, part, event_version, period, old, new)
ON CONFLICT (report_id, part) DO UPDATE SET
    event_version = EXCLUDED.event_version, period = EXCLUDED.period, old = EXCLUDED.old,
    new = EXCLUDED.new
"""

CELLS: Final = """
SELECT c.condition, c.period, c.day, c.department, c.packed
FROM unnest($1::text[], $2::text[], $3::integer[], $4::text[])
  AS asked (condition, period, day, department)
JOIN indicator_cell c ON c.condition = asked.condition AND c.period = asked.period
  AND c.day = asked.day AND c.department = asked.department
"""

KEEP_CELLS: Final = """
INSERT INTO indicator_cell (condition, period, day, department, packed)
SELECT condition, period, day, department, packed
FROM unnest($1::text[], $2::text[], $3::integer[], $4::text[], $5::bytea[])
  AS new (condition, period, day, department, packed)
ON CONFLICT (condition, period, day, department) DO UPDATE SET packed = EXCLUDED.packed
"""

DROP_CELLS: Final = """
DELETE FROM indicator_cell c
USING unnest($1::text[], $2::text[], $3::integer[], $4::text[])
  AS gone (condition, period, day, department)
WHERE c.condition = gone.condition AND c.period = gone.period AND c.day = gone.day
  AND c.department = gone.department
"""

DUE: Final = """
INSERT INTO indicator_due (condition, period, day, batch)
SELECT condition, period, day, $4
FROM unnest($1::text[], $2::text[], $3::integer[]) AS new (condition, period, day)
ON CONFLICT (condition, period, day) DO UPDATE SET batch = EXCLUDED.batch
"""

MOVE: Final = """
INSERT INTO indicator_position (partition, seq)
SELECT partition, seq FROM unnest($1::integer[], $2::bigint[]) AS new (partition, seq)
ON CONFLICT (partition) DO UPDATE SET seq = EXCLUDED.seq
"""

RAISE: Final = """
UPDATE indicator_progress
SET batch = batch + 1, events = events + $1, moved_at = now(), layout = $2
"""
