"""SQL of `labdispatch status`, named: one row a question, each from an index or a small table."""

from __future__ import annotations

from typing import Final

HEAD: Final = """
SELECT p.partition, p.next_offset AS handled, h.next_offset AS head, waits.received_at AS oldest
FROM intake_progress p JOIN intake_head h USING (partition)
LEFT JOIN LATERAL (
    SELECT i.received_at FROM intake i
    WHERE i.partition = p.partition AND i."offset" >= p.next_offset ORDER BY i."offset" LIMIT 1
) AS waits ON true
"""
STREAMS: Final = """
SELECT h.stream, sum(h.last_seq)::bigint AS events,
       sum(greatest(h.last_seq - coalesce(r.seq, 0), 0))::bigint AS behind, min(r.noted_at) AS noted
FROM stream_head h
LEFT JOIN relay_position r ON r.stream = h.stream AND r.partition = h.partition
GROUP BY h.stream ORDER BY h.stream
"""
PARKED: Final = """
SELECT count(*) AS n, count(*) FILTER (WHERE owner IS NULL) AS nobodys, min(parked_at) AS oldest
FROM parked WHERE resolved_at IS NULL
"""
HOLDS: Final = """
SELECT stream, reason, count(*) AS n, min(since) AS oldest FROM hold GROUP BY 1, 2 ORDER BY 4
"""
REVIEW: Final = """
SELECT count(*) AS n, count(*) FILTER (WHERE priority = 1) AS first, min(opened_at) AS oldest
FROM review_item WHERE closed_at IS NULL
"""
RECEIVERS: Final = """
SELECT r.name, r.state, r.state_reason, r.failing_since, r.last_code,
       (SELECT count(*) FROM delivery d WHERE d.receiver_id = r.receiver_id AND d.state = 'dead')
           AS dead
FROM receiver r WHERE r.removed_at IS NULL ORDER BY r.name LIMIT 500
"""
CERTIFICATES: Final = """
SELECT count(*) FILTER (WHERE c.not_after < $1) AS over,
       count(*) FILTER (WHERE c.not_after >= $1 AND c.not_after < $2) AS soon
FROM lab_certificate c JOIN lab l ON l.lab_id = c.lab_id
WHERE c.revoked_at IS NULL AND c.not_after IS NOT NULL AND l.state <> 'suspended'
"""
PURGED: Final = "SELECT found_at FROM purge_state"
SCHEMA: Final = """
SELECT greatest((SELECT max(version) FROM schema_migration),
                (SELECT max(version) FROM schema_expansion)) AS version
"""
# Who is connected, as each process names itself (ops/runtime/schema_version.py): on the cluster no
# book of this machine tells of the others.
SESSIONS: Final = r"""
SELECT m[1] AS role, m[2]::integer AS schema, count(*) AS sessions
FROM pg_stat_activity, regexp_match(application_name, '^labdispatch ([a-z]+) (\d{4})$') AS m
WHERE datname = current_database() AND m IS NOT NULL GROUP BY 1, 2 ORDER BY 1, 2
"""
PROGRESS: Final = "SELECT partition, next_offset FROM intake_progress"
