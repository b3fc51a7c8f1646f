"""The SQL of holds: literal, named, each with what it relies on."""

from __future__ import annotations

from typing import Final

# Of each stream and reason the oldest, by the index hold_oldest: the whole is never sorted.
LIST: Final = """
SELECT h.report_id, h.stream, h.reason, h.since, l.registry_id, r.status, r.person_id
FROM unnest($1::text[], $2::text[]) AS pair (s, r)
CROSS JOIN LATERAL (
    SELECT x.report_id, x.stream, x.reason, x.since FROM hold x
    WHERE x.stream = pair.s AND x.reason = pair.r AND x.since <= $3
      AND (x.since, x.report_id) > (coalesce($6::timestamptz, '-infinity'), $7::uuid)
      AND ($4 = '' OR EXISTS (
          SELECT FROM report y JOIN lab z ON z.lab_id = y.lab_id
          WHERE y.report_id = x.report_id AND z.registry_id = $4))
    ORDER BY x.since, x.report_id LIMIT $5
) AS h
JOIN report r ON r.report_id = h.report_id
JOIN lab l ON l.lab_id = r.lab_id
ORDER BY h.since, h.report_id, h.stream LIMIT $5
"""
# How many, up to a bound, and since when: from the index alone.
FIGURES: Final = """
SELECT pair.s AS stream, pair.r AS reason,
       (SELECT count(*) FROM (SELECT 1 FROM hold x WHERE x.stream = pair.s AND x.reason = pair.r
                              LIMIT $3) AS few) AS n,
       (SELECT x.since FROM hold x WHERE x.stream = pair.s AND x.reason = pair.r
        ORDER BY x.since LIMIT 1) AS oldest
FROM unnest($1::text[], $2::text[]) AS pair (s, r)
"""
REPORT: Final = """
SELECT r.report_id, l.registry_id, r.person_id, r.version, r.status, r.first_at, r.updated_at,
       r.partition, r."offset",
       (SELECT o.message_id FROM outcome o
        WHERE o.partition = r.partition AND o."offset" = r."offset") AS message_id
FROM report r JOIN lab l ON l.lab_id = r.lab_id WHERE r.report_id = $1
"""
HOLDS: Final = """
SELECT h.stream, h.reason, h.parts, h.since FROM hold h WHERE h.report_id = $1 ORDER BY h.stream
"""
RELEASES: Final = """
SELECT x.stream, x.reason, x.actor, x.why, x.at, x.content_digest = r.content_digest AS counts
FROM hold_release x JOIN report r ON r.report_id = x.report_id
WHERE x.report_id = $1 ORDER BY x.at, x.stream
"""
PERSON: Final = "SELECT r.person_id FROM report r WHERE r.report_id = $1"
# After the persons' rows, as dispatch: from here on nobody gives this report another version.
LOCK: Final = """
SELECT r.person_id, r.content_digest FROM report r WHERE r.report_id = $1 FOR UPDATE
"""
HELD: Final = "SELECT h.reason FROM hold h WHERE h.report_id = $1 AND h.stream = $2"
WRITE_RELEASE: Final = """
INSERT INTO hold_release (report_id, stream, reason, content_digest, actor, why, at)
VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING
"""

# ---------------------------------------------------------------- asked again

# One process goes through laboratories' reports at a time. Of the session, not of a transaction:
# between two of its statements the log is appended to, which may take long.
ALONE: Final = "SELECT pg_try_advisory_lock(20261, 31)"
ALONE_NO_MORE: Final = "SELECT pg_advisory_unlock(20261, 31)"
# Not at once: for some seconds doors still map by the table of before.
RECHECK: Final = """
SELECT q.lab_id, q.after_report, q.changed_at FROM hold_recheck q WHERE q.changed_at <= $1
ORDER BY q.changed_at, q.lab_id LIMIT 1
"""
TO_RECHECK: Final = """
SELECT DISTINCT ON (r.report_id) r.report_id, r.partition, r."offset"
FROM hold h JOIN report r ON r.report_id = h.report_id
WHERE r.lab_id = $1 AND h.reason = ANY ($2::text[]) AND h.stream = ANY ($3::text[])
  AND r.report_id > $4
ORDER BY r.report_id LIMIT $5
"""
# Only while the mapping is the one that was asked about: a change in between begins anew.
MOVE: Final = """
UPDATE hold_recheck SET after_report = $3 WHERE lab_id = $1 AND changed_at = $2 RETURNING lab_id
"""
DONE: Final = "DELETE FROM hold_recheck WHERE lab_id = $1 AND changed_at = $2"
