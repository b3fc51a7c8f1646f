"""SQL of ranges that are done again, named."""

from __future__ import annotations

from typing import Final

PROGRESS: Final = """
SELECT partition, next_offset FROM intake_progress
WHERE $1::integer IS NULL OR partition = $1 ORDER BY partition
"""
LOW: Final = 'SELECT min("offset") FROM outcome WHERE partition = $1'
NEAREST: Final = """
SELECT o."offset", o.received_at FROM outcome o
WHERE o.partition = $1 AND o."offset" >= $2 ORDER BY o."offset" LIMIT 1
"""
# Messages alone: what was refused was answered so, and a replay is no message.
PAGE: Final = """
SELECT o."offset", o.received_at, o.lab_id, o.message_id, o.control_key, o.ending, o.reason
FROM outcome o WHERE o.partition = $1 AND o."offset" >= $2 AND o."offset" < $3
ORDER BY o."offset" LIMIT $4
"""
LAB: Final = "SELECT lab_id FROM lab WHERE registry_id = $1"

BEGIN: Final = """
INSERT INTO replay_run (from_at, until_at, lab_id, stream, actor, reason, asked_at)
VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING RETURNING run_id
"""
PLACE: Final = """
INSERT INTO replay_run_place (run_id, partition, next_offset, end_offset)
SELECT $1, p, n, e FROM unnest($2::integer[], $3::bigint[], $4::bigint[]) AS new (p, n, e)
"""
RUNNING: Final = """
SELECT run_id, from_at, until_at, lab_id, stream, actor, reason, asked_at, looked, differ, replayed
FROM replay_run WHERE state = 'running'
"""
PLACES: Final = """
SELECT partition, next_offset, end_offset FROM replay_run_place
WHERE run_id = $1 AND next_offset < end_offset ORDER BY partition
"""
MOVE: Final = """
UPDATE replay_run_place SET next_offset = $3 WHERE run_id = $1 AND partition = $2
"""
COUNT: Final = """
UPDATE replay_run SET looked = looked + $2, differ = differ + $3, replayed = replayed + $4
WHERE run_id = $1
"""
END: Final = """
UPDATE replay_run SET state = $2, ended_at = $3 WHERE run_id = $1 AND state = 'running'
RETURNING run_id
"""
LIST: Final = """
SELECT r.run_id, r.state, r.from_at, r.until_at, coalesce(l.registry_id, '') AS laboratory,
       r.stream, r.actor, r.reason, r.asked_at, r.ended_at, r.looked, r.differ, r.replayed,
       (SELECT coalesce(sum(p.end_offset - p.next_offset), 0)::bigint FROM replay_run_place p
        WHERE p.run_id = r.run_id) AS left_to_look
FROM replay_run r LEFT JOIN lab l ON l.lab_id = r.lab_id
ORDER BY r.run_id DESC LIMIT $1
"""
# A session's lock: two commands never do one run at the same time, and a kill lets go of it.
ALONE: Final = "SELECT pg_try_advisory_lock(20261, 22)"
ALONE_NO_MORE: Final = "SELECT pg_advisory_unlock(20261, 22)"
AUDIT: Final = "SELECT audit_append($1, $2, $3, $4)"
