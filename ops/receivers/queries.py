"""SQL of the push receivers, named. What a leader writes carries its epoch: the fence."""

from __future__ import annotations

from typing import Final

RECEIVER_COLUMNS: Final = """
    r.receiver_id, r.name, r.kind, r.stream, r.url, r.options::text AS options, r.secret_version,
    r.old_secret_version, r.old_secret_until, r.state, r.state_reason, r.trouble, r.failing_since,
    r.answered_at, r.last_code, r.revision, r.added_at
"""
# One whose stream is paused is not served; its own row says nothing of it.
_STANDING: Final = RECEIVER_COLUMNS.replace(
    "r.state, r.state_reason",
    """CASE WHEN p.name IS NULL OR r.state <> 'active' THEN r.state ELSE 'paused' END AS state,
    CASE WHEN p.name IS NULL OR r.state <> 'active' THEN r.state_reason
         ELSE 'the stream is paused' END AS state_reason""",
)
LIST: Final = f"""
SELECT {_STANDING} FROM receiver r
LEFT JOIN pause p ON p.what = 'stream' AND p.name = r.stream
WHERE r.removed_at IS NULL ORDER BY r.name
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
UPDATE delivery SET tried = true, unsure_at = $2 WHERE receiver_id = $1 AND state = 'waiting'
"""
POSITIONS: Final = "SELECT partition, seq FROM receiver_position WHERE receiver_id = $1"

# -------------------------------------------------------------------------------- taking

FENCE: Final = """
SELECT receiver_id FROM receiver WHERE receiver_id = $1 AND epoch = $2 AND state = 'active'
FOR UPDATE
"""

# Takes the next share of each partition out of the outbox. What was taken before (an operator began
# again from the start) is sent again, unless it is older than what is known to have come after it;
# letters ($7) are not sent again.
TAKE: Final = """
INSERT INTO delivery AS d (receiver_id, event_id, partition, seq, report_id, part, event_version,
                           kind, state, taken_at, next_at, ended_at)
SELECT $1, e.event_id, e.partition, e.seq, e.report_id, e.part, e.event_version, e.kind,
       CASE WHEN past.is_past THEN 'superseded' ELSE 'waiting' END,
       $6::timestamptz, $6::timestamptz, CASE WHEN past.is_past THEN $6::timestamptz END
FROM unnest($3::integer[], $4::bigint[], $5::bigint[]) AS asked (partition, after, share)
CROSS JOIN LATERAL (
    SELECT e.event_id, e.partition, e.seq, e.report_id, e.part, e.event_version, e.kind
    FROM stream_event e
    WHERE e.stream = $2 AND e.partition = asked.partition
      AND e.seq > asked.after AND e.seq <= asked.after + asked.share
    ORDER BY e.seq
) AS e
CROSS JOIN LATERAL (SELECT EXISTS (
    SELECT FROM delivery n
    WHERE n.receiver_id = $1 AND n.report_id = e.report_id AND n.part = e.part
      AND n.event_version > e.event_version
) AND NOT ($7::boolean AND e.kind = 'withdrawn') AS is_past) AS past
ON CONFLICT (receiver_id, event_id) DO UPDATE SET
    state = CASE WHEN EXCLUDED.state <> 'waiting' OR $7::boolean OR d.state = 'waiting'
            THEN d.state ELSE EXCLUDED.state END,
    next_at = CASE WHEN EXCLUDED.state <> 'waiting' OR $7::boolean OR d.state = 'waiting'
            THEN d.next_at ELSE EXCLUDED.next_at END,
    ended_at = CASE WHEN EXCLUDED.state <> 'waiting' OR $7::boolean OR d.state = 'waiting'
            THEN d.ended_at ELSE EXCLUDED.ended_at END,
    failures = CASE WHEN EXCLUDED.state <> 'waiting' OR $7::boolean OR d.state = 'waiting'
            THEN d.failures ELSE 0 END
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

# A server that cannot tell versions apart: none is sent while an older one may still arrive there.
# NULL: of all reports that wait.
HOLD_BACK: Final = """
UPDATE delivery d SET next_at = o.until
FROM (SELECT w.event_id, max(o.unsure_at) + $3 * interval '1 second' AS until
      FROM delivery w
      JOIN delivery o ON o.receiver_id = w.receiver_id AND o.report_id = w.report_id
                     AND o.event_version < w.event_version AND o.unsure_at IS NOT NULL
      WHERE w.receiver_id = $1 AND w.state = 'waiting'
        AND ($2::uuid[] IS NULL OR w.report_id = ANY ($2))
      GROUP BY w.event_id) AS o
WHERE d.receiver_id = $1 AND d.event_id = o.event_id AND d.next_at < o.until
"""

# -------------------------------------------------------------------------------- sending

# What is due: of a part of a report the oldest that waits, and none while another of the report is
# under way ($4).
DUE: Final = """
SELECT d.event_id, d.partition, d.seq, d.report_id, d.part, d.event_version, d.kind, d.attempts,
       d.failures, d.tried_at, coalesce(octet_length(e.payload), 0) AS payload_bytes,
       e.message_id
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
SELECT d.report_id, d.part, d.partition, d.seq, d.event_version, d.put
FROM unnest($2::uuid[], $4::text[]) AS asked (report_id, part)
CROSS JOIN LATERAL (
    SELECT o.report_id, o.part, o.partition, o.seq, o.event_version, o.put::text AS put
    FROM delivery o
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
    ended_at = CASE WHEN n.state <> 'waiting' THEN $2::timestamptz END,
    unsure_at = CASE WHEN n.unsure THEN $2::timestamptz ELSE d.unsure_at END,
    put = CASE WHEN n.put = '{}' THEN d.put ELSE n.put::jsonb END
FROM unnest($3::uuid[], $4::text[], $5::integer[], $6::text[], $7::text[], $8::text[],
            $9::timestamptz[], $10::boolean[], $11::text[])
     AS n (event_id, state, failures, protocol, code, detail, next_at, unsure, put)
WHERE d.receiver_id = $1 AND d.event_id = n.event_id AND d.state = 'waiting'
"""

# A newer version is there: what older ones left is said by its row.
LET_GO: Final = """
UPDATE delivery o SET kept = false
FROM unnest($2::uuid[], $3::integer[]) AS n (report_id, event_version)
WHERE o.receiver_id = $1 AND o.report_id = n.report_id AND o.event_version < n.event_version
  AND o.kept
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
# Drops what ended long ago. What may stand at a FHIR server is kept, at whatever age: a withdrawal
# has to know what to take back. It leaves the index of what is looked at here.
SWEEP: Final = """
WITH old AS MATERIALIZED (
    SELECT d.receiver_id, d.event_id,
           r.kind = 'fhir' AND r.removed_at IS NULL AND d.tried AND d.kind <> 'withdrawn'
           AND NOT EXISTS (
               SELECT FROM delivery n
               WHERE n.receiver_id = d.receiver_id AND n.report_id = d.report_id
                 AND n.event_version > d.event_version AND n.state = 'accepted') AS stands
    FROM delivery d JOIN receiver r ON r.receiver_id = d.receiver_id
    WHERE d.state IN ('accepted', 'superseded', 'discarded') AND NOT d.kept AND d.ended_at < $1
    ORDER BY d.ended_at LIMIT $2 FOR UPDATE OF d SKIP LOCKED),
kept AS (
    UPDATE delivery d SET kept = true FROM old
    WHERE old.stands AND d.receiver_id = old.receiver_id AND d.event_id = old.event_id),
gone AS (
    DELETE FROM delivery d USING old
    WHERE NOT old.stands AND d.receiver_id = old.receiver_id AND d.event_id = old.event_id)
SELECT count(*) FROM old
"""
# What is kept for a receiver that was removed since, some at a time.
LET_GO_OF_REMOVED: Final = """
UPDATE delivery SET kept = false WHERE (receiver_id, event_id) IN (
    SELECT d.receiver_id, d.event_id
    FROM receiver r JOIN delivery d ON d.receiver_id = r.receiver_id AND d.kept
    WHERE r.removed_at IS NOT NULL LIMIT $1)
"""
