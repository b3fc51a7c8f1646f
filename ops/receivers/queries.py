"""SQL of the push receivers, named. What a leader writes carries its epoch: the fence."""

from __future__ import annotations

from typing import Final

RECEIVER_COLUMNS: Final = """
    r.receiver_id, r.name, r.kind, r.stream, r.url, r.options::text AS options, r.secret_version,
    r.old_secret_version, r.old_secret_until, r.state, r.state_reason, r.trouble, r.failing_since,
    r.answered_at, r.last_code, r.revision, r.added_at
"""
LIST: Final = f"""
SELECT {RECEIVER_COLUMNS} FROM receiver r WHERE r.removed_at IS NULL ORDER BY r.name
"""  # noqa: S608 - constants alone
BY_NAME: Final = f"""
SELECT {RECEIVER_COLUMNS} FROM receiver r WHERE r.name = $1 AND r.removed_at IS NULL
"""  # noqa: S608 - constants alone

# -------------------------------------------------------------------------------- who leads

LOCK: Final = "SELECT pg_try_advisory_lock(20262, $1)"
UNLOCK: Final = "SELECT pg_advisory_unlock(20262, $1)"

# Begins to lead: from here on no older epoch writes. Says whether the last one ended in order.
LEAD: Final = """
UPDATE receiver r SET epoch = r.epoch + 1, resigned = false
FROM (SELECT receiver_id, resigned FROM receiver WHERE receiver_id = $1 FOR UPDATE) AS was
WHERE r.receiver_id = was.receiver_id AND r.removed_at IS NULL
RETURNING r.epoch, was.resigned
"""
RESIGN: Final = "UPDATE receiver SET resigned = true WHERE receiver_id = $1 AND epoch = $2"

# Nobody knows what a leader that was killed had under way.
MARK_TRIED: Final = """
UPDATE delivery SET tried = true WHERE receiver_id = $1 AND state = 'waiting' AND NOT tried
"""
POSITIONS: Final = "SELECT partition, seq FROM receiver_position WHERE receiver_id = $1"

# -------------------------------------------------------------------------------- taking

FENCE: Final = """
SELECT receiver_id FROM receiver WHERE receiver_id = $1 AND epoch = $2 AND state = 'active'
FOR UPDATE
"""

# Takes the next share of each partition out of the outbox.
TAKE: Final = """
INSERT INTO delivery (receiver_id, event_id, partition, seq, report_id, part, event_version, kind,
                      state, taken_at, next_at)
SELECT $1, e.event_id, e.partition, e.seq, e.report_id, e.part, e.event_version, e.kind,
       'waiting', $6, $6
FROM unnest($3::integer[], $4::bigint[], $5::bigint[]) AS asked (partition, after, share)
CROSS JOIN LATERAL (
    SELECT e.event_id, e.partition, e.seq, e.report_id, e.part, e.event_version, e.kind
    FROM stream_event e
    WHERE e.stream = $2 AND e.partition = asked.partition
      AND e.seq > asked.after AND e.seq <= asked.after + asked.share
    ORDER BY e.seq
) AS e
RETURNING report_id
"""
MOVE: Final = """
UPDATE receiver_position p SET seq = asked.after + asked.share
FROM unnest($2::integer[], $3::bigint[], $4::bigint[]) AS asked (partition, after, share)
WHERE p.receiver_id = $1 AND p.partition = asked.partition
"""

# Only the newest version of a part of a report is sent. $4: under way, they end by their answers.
# $5: where a receiver keeps every word (letters), a withdrawal is never passed over.
SUPERSEDE: Final = """
UPDATE delivery d SET state = 'superseded', ended_at = $3
FROM (SELECT report_id, part, max(event_version) AS newest FROM delivery
      WHERE receiver_id = $1 AND state = 'waiting' AND report_id = ANY ($2::uuid[])
      GROUP BY report_id, part) AS n
WHERE d.receiver_id = $1 AND d.state = 'waiting' AND d.report_id = n.report_id AND d.part = n.part
  AND d.event_version < n.newest AND NOT d.event_id = ANY ($4::uuid[])
  AND (NOT $5::boolean OR d.kind <> 'withdrawn')
RETURNING d.event_id
"""

# -------------------------------------------------------------------------------- sending

# What is due: of a part of a report the oldest that waits, and none while another of the report is
# under way ($4).
DUE: Final = """
SELECT d.event_id, d.partition, d.seq, d.report_id, d.part, d.event_version, d.kind, d.attempts,
       d.failures, d.tried_at, coalesce(octet_length(e.payload), 0) AS payload_bytes
FROM delivery d
LEFT JOIN stream_event e ON e.stream = $2 AND e.partition = d.partition AND e.seq = d.seq
WHERE d.receiver_id = $1 AND d.state = 'waiting' AND d.next_at <= $3
  AND NOT d.report_id = ANY ($4::uuid[])
  AND NOT EXISTS (
      SELECT FROM delivery o
      WHERE o.receiver_id = $1 AND o.report_id = d.report_id AND o.part = d.part
        AND o.state = 'waiting' AND o.event_version < d.event_version)
ORDER BY d.next_at, d.partition, d.seq LIMIT $5
"""

# Earlier versions of some parts of reports that may be at the receiver, the newest first.
EARLIER: Final = """
SELECT d.report_id, d.part, d.partition, d.seq, d.event_version
FROM unnest($2::uuid[], $4::text[]) AS asked (report_id, part)
CROSS JOIN LATERAL (
    SELECT o.report_id, o.part, o.partition, o.seq, o.event_version FROM delivery o
    WHERE o.receiver_id = $1 AND o.report_id = asked.report_id AND o.part = asked.part AND o.tried
    ORDER BY o.event_version DESC LIMIT $3
) AS d
"""
STANDING: Final = """
SELECT count(*) AS waiting, min(d.next_at) AS next_at, min(d.taken_at) AS oldest_at
FROM delivery d WHERE d.receiver_id = $1 AND d.state = 'waiting'
"""

# The fence of a note: also where the receiver was paused meanwhile, for what was sent was sent.
ANSWERED: Final = """
UPDATE receiver SET
    answered_at = coalesce($3::timestamptz, answered_at),
    failing_since = CASE WHEN $3::timestamptz IS NOT NULL THEN NULL
                         WHEN $6::boolean THEN coalesce(failing_since, $4::timestamptz)
                         ELSE failing_since END,
    last_code = $5, trouble = ''
WHERE receiver_id = $1 AND epoch = $2
RETURNING receiver_id
"""
NOTE: Final = """
UPDATE delivery d SET
    state = n.state, tried = true, attempts = d.attempts + 1, failures = n.failures,
    protocol = n.protocol, code = n.code, detail = n.detail, tried_at = $2::timestamptz,
    next_at = n.next_at,
    ended_at = CASE WHEN n.state <> 'waiting' THEN $2::timestamptz END
FROM unnest($3::uuid[], $4::text[], $5::integer[], $6::text[], $7::text[], $8::text[],
            $9::timestamptz[]) AS n (event_id, state, failures, protocol, code, detail, next_at)
WHERE d.receiver_id = $1 AND d.event_id = n.event_id AND d.state = 'waiting'
"""

# -------------------------------------------------------------------------------- states

STOP: Final = """
UPDATE receiver SET state = $3, state_reason = $4, revision = revision + 1
WHERE receiver_id = $1 AND epoch = $2 AND state = 'active'
"""
TROUBLE: Final = """
UPDATE receiver SET trouble = $2, failing_since = coalesce(failing_since, $3)
WHERE receiver_id = $1
"""
DEAD: Final = "SELECT count(*) FROM delivery WHERE receiver_id = $1 AND state = 'dead'"
DEAD_OF_ALL: Final = """
SELECT receiver_id, count(*) AS dead FROM delivery WHERE state = 'dead' GROUP BY receiver_id
"""
SWEEP: Final = """
DELETE FROM delivery WHERE (receiver_id, event_id) IN (
    SELECT d.receiver_id, d.event_id FROM delivery d
    WHERE d.state IN ('accepted', 'superseded', 'discarded') AND d.ended_at < $1
    ORDER BY d.ended_at LIMIT $2 FOR UPDATE SKIP LOCKED)
"""
