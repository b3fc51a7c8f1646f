"""The statements of `streams reconcile`."""

from __future__ import annotations

from typing import Final

# Which of these events the outbox has, at the place that the topic says.
KNOWN: Final = """
SELECT a.number FROM unnest($2::integer[], $3::bigint[], $4::uuid[])
     WITH ORDINALITY AS a (partition, seq, event_id, number)
JOIN stream_event e
  ON e.stream = $1 AND e.partition = a.partition AND e.seq = a.seq AND e.event_id = a.event_id
"""

# Versions go on above all that anybody can hold of what was lost.
RAISE: Final = """
WITH page AS (
    SELECT report_id, part FROM emitted
    WHERE stream = $1 AND (report_id, part) > ($2, $3) ORDER BY report_id, part LIMIT $4 FOR UPDATE
), raised AS (
    UPDATE emitted e SET event_version = e.event_version + $5 FROM page
    WHERE e.report_id = page.report_id AND e.stream = $1 AND e.part = page.part
)
SELECT report_id, part FROM page ORDER BY report_id, part
"""

# And above what the topic bears.
RAISE_TO: Final = """
UPDATE emitted e SET event_version = greatest(e.event_version, a.version)
FROM unnest($2::uuid[], $3::text[], $4::integer[]) AS a (report_id, part, version)
WHERE e.stream = $1 AND coalesce(e.told_as, e.report_id) = a.report_id AND e.part = a.part
RETURNING a.report_id, a.part
"""

HEADS: Final = """
SELECT partition, last_seq FROM stream_head WHERE stream = $1 ORDER BY partition FOR UPDATE
"""
BEGIN: Final = """
WITH new AS (
    SELECT * FROM unnest($2::integer[], $3::bigint[], $4::bigint[], $5::bigint[], $6::uuid[])
        AS a (partition, begins, skipped, topic_seq, topic_event)
), moved AS (
    UPDATE stream_head h SET last_seq = new.begins - 1 FROM new
    WHERE h.stream = $1 AND h.partition = new.partition
)
INSERT INTO stream_history AS s
    (stream, partition, begins, skipped, topic_seq, topic_event, begun_at)
SELECT $1, partition, begins, skipped, topic_seq, topic_event, $7 FROM new
ON CONFLICT (stream, partition) DO UPDATE SET begins = EXCLUDED.begins,
    skipped = s.skipped + EXCLUDED.skipped, topic_seq = EXCLUDED.topic_seq,
    topic_event = EXCLUDED.topic_event, begun_at = EXCLUDED.begun_at, told = false
"""
# Receivers and figures go on with what is told again: it holds all that they had.
MOVE_RECEIVERS: Final = """
UPDATE receiver_position p SET seq = h.begins - 1 FROM receiver r, stream_history h
WHERE r.receiver_id = p.receiver_id AND r.stream = $1 AND h.stream = $1
  AND h.partition = p.partition
"""
MOVE_FIGURES: Final = """
UPDATE indicator_position p SET seq = h.begins - 1 FROM stream_history h
WHERE h.stream = $1 AND h.partition = p.partition
"""
MAKE_TABLES: Final = "SELECT ensure_partitions()"

# What the outbox holds and has not told again, a page at a time.
HELD: Final = """
SELECT e.report_id, e.part, e.event_version, e.published, e.told_as, e.pseudonym_periods
FROM emitted e WHERE e.stream = $1 AND (e.report_id, e.part) > ($2, $3)
ORDER BY e.report_id, e.part LIMIT $4 FOR UPDATE
"""
NEWEST: Final = """
SELECT a.number, e.partition, e.seq, e.event_id, e.report_id, e.event_version, e.kind, e.realm,
       e.rule, e.rule_version, e.person_version, e.message_id, e.part, e.payload, h.begins
FROM unnest($2::uuid[], $3::text[]) WITH ORDINALITY AS a (report_id, part, number)
CROSS JOIN LATERAL (
    SELECT e.* FROM stream_event e
    WHERE e.stream = $1 AND e.report_id = a.report_id AND e.part = a.part
    ORDER BY e.event_version DESC LIMIT 1
) AS e
JOIN stream_history h ON h.stream = $1 AND h.partition = e.partition
"""
TOLD: Final = """
UPDATE emitted e SET event_version = a.version
FROM unnest($2::uuid[], $3::text[], $4::integer[]) AS a (report_id, part, version)
WHERE e.stream = $1 AND e.report_id = a.report_id AND e.part = a.part
"""
# Of a report that only the topic knows: if its message comes again, its versions go on above.
LOST: Final = """
INSERT INTO emitted (report_id, stream, part, event_version, published, addressee, body_digest)
SELECT report_id, $1, part, version, false, '', '00000000-0000-0000-0000-000000000000'
FROM unnest($2::uuid[], $3::text[], $4::integer[]) AS a (report_id, part, version)
ON CONFLICT (report_id, stream, part) DO NOTHING
"""
# From here on a reader of before is sent behind what it can no longer go on from.
END: Final = """
WITH ended AS (
    UPDATE stream_history SET told = true WHERE stream = $1 RETURNING partition, begins
)
INSERT INTO stream_floor (stream, partition, seq) SELECT $1, partition, begins FROM ended
ON CONFLICT (stream, partition) DO UPDATE SET seq = greatest(stream_floor.seq, EXCLUDED.seq)
"""
UNTOLD: Final = "SELECT count(*) FROM stream_history WHERE stream = $1 AND NOT told"
COUNT: Final = "SELECT count(*) FROM emitted WHERE stream = $1"
