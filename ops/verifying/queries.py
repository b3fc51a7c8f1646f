"""The SQL of verifying: it reads, locks nothing, and goes by person."""

from __future__ import annotations

from typing import Final

# One page is one snapshot: all of a person is read as it was at one moment.
SNAPSHOT: Final = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"

# The next persons that have reports, with how many.
PERSONS: Final = """
SELECT r.person_id, count(*) AS reports FROM report r WHERE r.person_id > $1
GROUP BY r.person_id ORDER BY r.person_id LIMIT $2
"""
COUNTS: Final = """
SELECT r.person_id, count(*) AS reports FROM report r WHERE r.person_id = ANY ($1::bigint[])
GROUP BY r.person_id ORDER BY r.person_id
"""
# Whose the report behind each of some random ids is: ids are digests, spread evenly.
DRAWN: Final = """
SELECT DISTINCT found.person_id FROM unnest($1::uuid[]) AS asked (at)
CROSS JOIN LATERAL (
    SELECT r.person_id FROM report r WHERE r.report_id >= asked.at ORDER BY r.report_id LIMIT 1
) AS found
"""
FIRST_AT: Final = (
    "SELECT r.report_id, r.first_at FROM report r WHERE r.report_id = ANY ($1::uuid[])"
)

# Of these, the ones that were handled last before the rules of now came into effect.
BEFORE_THE_RULES: Final = """
SELECT r.report_id FROM report r
WHERE r.report_id = ANY ($1::uuid[]) AND r.updated_at < (
    SELECT max(e.effective_at) FROM rule_effect e WHERE e.effective_at <= now())
"""

# Who is still to be emitted again: what the streams hold of them may be old.
PENDING: Final = "SELECT e.person_id FROM reemission e WHERE e.person_id = ANY ($1::bigint[])"

HELD: Final = """
SELECT e.report_id, e.stream, e.event_version, e.published, e.addressee, e.body_digest
FROM emitted e WHERE e.report_id = ANY ($1::uuid[])
"""
HOLDS: Final = """
SELECT h.report_id, h.stream, h.reason FROM hold h WHERE h.report_id = ANY ($1::uuid[])
"""
# What a consumer holds who goes by the one rule: the highest event_version of a report.
FOLD: Final = """
SELECT DISTINCT ON (e.report_id, e.stream) e.report_id, e.stream, e.event_version, e.kind,
       e.event_id, e.rule_version, e.payload
FROM stream_event e WHERE e.report_id = ANY ($1::uuid[])
ORDER BY e.report_id, e.stream, e.event_version DESC
"""
# Whether retention has taken events of a stream.
TAKEN: Final = """
SELECT h.stream FROM stream_head h
WHERE h.last_seq > 0 AND NOT EXISTS (
    SELECT FROM stream_event e
    WHERE e.stream = h.stream AND e.partition = h.partition AND e.seq = 1)
"""
