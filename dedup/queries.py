"""The SQL of inbox and reports: literal, named, each with what it relies on."""

from __future__ import annotations

from typing import Final

# Exact resends of the last 35 days; older ones end as "same content" at the report.
SEEN: Final = """
SELECT i.inbox_key, i.message_id FROM inbox i
WHERE i.inbox_key = ANY ($1::uuid[]) AND i.seen_on >= $2
ORDER BY i.seen_on
"""

# By control key first: it is the index, and few laboratories share a control id.
CONTROL_IDS: Final = """
SELECT DISTINCT o.lab_id, o.control_key FROM outcome o
WHERE o.control_key = ANY ($1::bigint[]) AND o.received_at >= $2
"""

# Of the same bytes on one day the last counts: the first has ended for good (`ENDED`).
REMEMBER: Final = """
INSERT INTO inbox (seen_on, inbox_key, message_id)
SELECT $1, m.k, m.i FROM unnest($2::uuid[], $3::uuid[]) AS m (k, i)
ON CONFLICT (inbox_key, seen_on) DO UPDATE SET message_id = EXCLUDED.message_id
"""

# Messages whose bytes nobody will do again: a person has ended them, or they can be read no more.
# One that made a report before is none of them: its results are in the streams.
ENDED: Final = """
SELECT o.message_id FROM outcome o
WHERE o.message_id = ANY ($1::uuid[]) AND o.ending = 'parked'
  AND o.reason IN ('discarded', 'unreadable_payload') AND o.report_ids = '{}'
"""

# ---------------------------------------------------------------- reports

# Whose reports are held under these keys; without a lock, for the locks of persons come first.
HELD_PERSONS: Final = """
SELECT DISTINCT r.person_id FROM report r WHERE r.report_key = ANY ($1::uuid[])
"""
REPORTS: Final = """
SELECT r.report_id, r.report_key, r.person_id, r.version, r.status, r.status_rank,
       r.content_digest, r.sampled_on, r."offset"
FROM report r WHERE r.report_key = ANY ($1::uuid[])
ORDER BY r.report_id FOR UPDATE
"""
WRITE_REPORTS: Final = """
INSERT INTO report (report_id, report_key, lab_id, person_id, version, status, status_rank,
                    content_digest, sampled_on, partition, "offset", position, first_at, updated_at)
SELECT r.i, r.k, r.l, r.p, r.v, r.s, r.n, r.c, r.d, r.a, r.o, r.x, $13, $13
FROM unnest($1::uuid[], $2::uuid[], $3::integer[], $4::bigint[], $5::integer[], $6::text[],
            $7::smallint[], $8::uuid[], $9::date[], $10::integer[], $11::bigint[], $12::smallint[])
     AS r (i, k, l, p, v, s, n, c, d, a, o, x)
ON CONFLICT (report_id) DO UPDATE
SET person_id = EXCLUDED.person_id, version = EXCLUDED.version, status = EXCLUDED.status,
    status_rank = EXCLUDED.status_rank, content_digest = EXCLUDED.content_digest,
    sampled_on = EXCLUDED.sampled_on, "offset" = EXCLUDED."offset",
    position = EXCLUDED.position, updated_at = EXCLUDED.updated_at
"""
# An outranked version counts too: the next one gets the next number.
COUNT_VERSIONS: Final = """
UPDATE report AS held SET version = v.version
FROM unnest($1::uuid[], $2::integer[]) AS v (id, version) WHERE held.report_id = v.id
"""
WRITE_REPORT_VERSIONS: Final = """
INSERT INTO report_version (report_id, version, partition, "offset", position, person_id, status,
                            content_digest, became_current, decided_at)
SELECT v.i, v.v, v.a, v.o, v.x, v.p, v.s, v.c, v.b, $10
FROM unnest($1::uuid[], $2::integer[], $3::integer[], $4::bigint[], $5::smallint[], $6::bigint[],
            $7::text[], $8::uuid[], $9::boolean[]) AS v (i, v, a, o, x, p, s, c, b)
"""
# What was a version already makes no second one (here content_digest is that of the statement:
# content and time of release; in `report` it is that of the content alone).
KNOWN_VERSIONS: Final = """
SELECT DISTINCT v.report_id, v.content_digest FROM report_version v
WHERE v.report_id = ANY ($1::uuid[]) AND v.content_digest = ANY ($2::uuid[])
"""
