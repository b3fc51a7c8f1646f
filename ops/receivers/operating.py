"""SQL of what operators and receivers themselves ask and change, named."""

from __future__ import annotations

from typing import Final

AUDIT: Final = "SELECT audit_append($1, $2, $3, $4)"

# Two that add at once count one after the other.
ALONE: Final = "LOCK TABLE receiver IN SHARE ROW EXCLUSIVE MODE"
COUNT: Final = "SELECT count(*) FROM receiver WHERE removed_at IS NULL"
ADD: Final = """
INSERT INTO receiver (name, kind, stream, url, options, token_digest, secret_version)
VALUES ($1, $2, $3, $4, $5::jsonb, $6, $7) ON CONFLICT DO NOTHING RETURNING receiver_id
"""
PLACE: Final = """
INSERT INTO receiver_position (receiver_id, partition, seq)
SELECT $1, partition, seq FROM unnest($2::integer[], $3::bigint[]) AS new (partition, seq)
ON CONFLICT (receiver_id, partition) DO UPDATE SET seq = EXCLUDED.seq
"""
PAUSE: Final = """
UPDATE receiver SET state = 'paused', state_reason = $2, revision = revision + 1,
                    paused_at = now()
WHERE receiver_id = $1
"""
# Whoever served it until now knows other positions: its epoch is over.
RESUME: Final = """
UPDATE receiver SET state = 'active', state_reason = '', trouble = '', failing_since = NULL,
                    paused_at = NULL,
                    revision = revision + 1, epoch = epoch + 1
WHERE receiver_id = $1
"""
REMOVE: Final = """
UPDATE receiver SET removed_at = now(), revision = revision + 1, epoch = epoch + 1
WHERE receiver_id = $1
"""
DISCARD_ALL: Final = """
UPDATE delivery SET state = 'discarded', ended_at = now()
WHERE receiver_id = $1 AND state IN ('waiting', 'dead')
"""
HOLD: Final = "SELECT FROM receiver WHERE name = $1 AND removed_at IS NULL FOR UPDATE"
ROTATE: Final = """
UPDATE receiver SET secret_version = $2, old_secret_version = $3, old_secret_until = $4,
                    trouble = '', revision = revision + 1
WHERE receiver_id = $1
"""

# -------------------------------------------------------------------------------- dead letters

DEAD: Final = """
SELECT d.event_id, d.report_id, d.part, d.event_version, d.kind, d.attempts, d.protocol, d.code,
       d.detail, d.ended_at
FROM delivery d WHERE d.receiver_id = $1 AND d.state = 'dead'
ORDER BY d.ended_at, d.event_id LIMIT $2
"""
# An older version of a part never follows a newer one that went, that waits, or that the stream
# tells; but a letter that takes back is sent all the same, as always. What is told under another id
# now takes nothing back under the report's own: a withdrawal of that is still to be sent.
RETRY_DEAD: Final = """
UPDATE delivery d SET
    state = CASE WHEN newer.there THEN 'superseded' ELSE 'waiting' END,
    ended_at = CASE WHEN newer.there THEN now() END,
    failures = 0, next_at = now()
FROM delivery k
JOIN receiver r ON r.receiver_id = k.receiver_id
CROSS JOIN LATERAL (SELECT NOT (r.kind = 'mssante' AND k.kind = 'withdrawn') AND (EXISTS (
    SELECT FROM emitted e
    WHERE e.report_id = k.report_id AND e.stream = r.stream AND e.part = k.part
      AND e.event_version > k.event_version AND (e.told_as IS NULL OR k.kind <> 'withdrawn')
) OR EXISTS (
    SELECT FROM emitted e
    WHERE e.told_as = k.report_id AND e.stream = r.stream AND e.part = k.part
      AND e.event_version > k.event_version
) OR EXISTS (
    SELECT FROM delivery n
    WHERE n.receiver_id = k.receiver_id AND n.report_id = k.report_id AND n.part = k.part
      AND n.event_version > k.event_version AND n.state IN ('waiting', 'accepted', 'dead')
      AND (n.state <> 'dead' OR $2::uuid[] IS NULL OR n.event_id = ANY ($2::uuid[]))
)) AS there) AS newer
WHERE d.receiver_id = k.receiver_id AND d.event_id = k.event_id
  AND k.receiver_id = $1 AND k.state = 'dead' AND d.state = 'dead'
  AND ($2::uuid[] IS NULL OR k.event_id = ANY ($2::uuid[]))
RETURNING d.state
"""
DISCARD_DEAD: Final = """
UPDATE delivery d SET state = 'discarded', ended_at = now()
WHERE d.receiver_id = $1 AND d.state = 'dead'
  AND ($2::uuid[] IS NULL OR d.event_id = ANY ($2::uuid[]))
RETURNING d.state
"""

# -------------------------------------------------------------------------------- looking

# Each half by the index of its own state.
COUNTS: Final = """
SELECT d.receiver_id, 'waiting' AS state, count(*) AS n, min(d.taken_at) AS oldest_at
FROM delivery d WHERE d.state = 'waiting' GROUP BY d.receiver_id
UNION ALL
SELECT d.receiver_id, 'dead' AS state, count(*) AS n, min(d.taken_at) AS oldest_at
FROM delivery d WHERE d.state = 'dead' GROUP BY d.receiver_id
"""
BEHIND: Final = """
SELECT p.receiver_id, sum(h.last_seq - p.seq)::bigint AS n
FROM receiver_position p
JOIN receiver r ON r.receiver_id = p.receiver_id AND r.removed_at IS NULL
JOIN stream_head h ON h.stream = r.stream AND h.partition = p.partition
GROUP BY p.receiver_id
"""

# -------------------------------------------------------------------------------- their own words

WHO_SPEAKS: Final = """
SELECT receiver_id FROM receiver WHERE token_digest = $1 AND name = $2 AND removed_at IS NULL
"""
# Which messages a name is of; a control id may be that of very many.
NAMED: Final = """
SELECT message_id FROM outcome WHERE message_id = $1 OR control_key = $2 LIMIT $3
"""
# An event by its own id, or the newest of each part of the reports of a message that it took.
BY_EVENT: Final = """
SELECT d.event_id FROM delivery d WHERE d.receiver_id = $1 AND d.event_id = $2
"""
BY_MESSAGE: Final = """
SELECT DISTINCT ON (o.message_id, d.report_id, d.part) o.message_id, d.report_id, d.event_id
FROM outcome o
JOIN delivery d ON d.receiver_id = $1 AND d.tried AND d.report_id = ANY (
    SELECT unnest(o.report_ids)
    UNION SELECT m.told_as FROM emitted m
    WHERE m.report_id = ANY (o.report_ids) AND m.told_as IS NOT NULL)
WHERE o.message_id = ANY ($2::uuid[])
ORDER BY o.message_id, d.report_id, d.part, d.event_version DESC LIMIT $3
"""
SAY: Final = """
INSERT INTO receiver_word (receiver_id, event_id, word, code)
SELECT $1, event_id, $3, $4 FROM unnest($2::uuid[]) AS said (event_id)
ON CONFLICT DO NOTHING RETURNING event_id
"""
