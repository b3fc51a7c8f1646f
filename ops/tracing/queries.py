"""SQL of `labdispatch trace`, named. Each goes by an index: none reads a table through."""

from __future__ import annotations

from typing import Final

# ---------------------------------------------------------------- where it is

BY_MESSAGE: Final = """
SELECT o.partition, o."offset", o.message_id AS known FROM outcome o
WHERE o.message_id = ANY ($1::uuid[]) LIMIT $2
"""
BY_CONTROL: Final = """
SELECT o.partition, o."offset", o.message_id AS known FROM outcome o
WHERE o.control_key = ANY ($1::bigint[]) AND ($2::integer IS NULL OR o.lab_id = $2) LIMIT $3
"""
BY_REPORT: Final = """
SELECT v.partition, v."offset", v.report_id AS known FROM report_version v
WHERE v.report_id = ANY ($1::uuid[]) LIMIT $2
"""
# A summary of ranges of pages, of the id's hash (0028_trace_summary.sql), which the planner takes
# for as dear as the table: asked with enable_seqscan off. Of each table some ranges are read for
# nothing; one id is in one table, and the limit leaves the others unread. The id is compared as
# bytes: as an id it would fit the summary of before (0024_trace.sql), too, which reads more.
SUMMARIES_ONLY: Final = "SELECT set_config('enable_seqscan', 'off', true)"
BY_EVENT: Final = """
SELECT e.report_id, e.message_id FROM stream_event e
WHERE uuid_hash_extended(e.event_id, 0)
      = ANY (ARRAY(SELECT uuid_hash_extended(w, 0) FROM unnest($1::uuid[]) AS w))
  AND uuid_send(e.event_id) = ANY (ARRAY(SELECT uuid_send(w) FROM unnest($1::uuid[]) AS w))
LIMIT CASE WHEN cardinality($1::uuid[]) = 1 THEN 1 END
"""
BY_SEQ: Final = """
SELECT e.report_id, e.message_id FROM unnest($1::text[], $2::integer[], $3::bigint[]) AS a (s, p, n)
JOIN stream_event e ON e.stream = a.s AND e.partition = a.p AND e.seq = a.n
"""
TOLD_AS: Final = "SELECT m.report_id FROM emitted m WHERE m.told_as = ANY ($1::uuid[])"
LABORATORY: Final = "SELECT l.lab_id FROM lab l WHERE l.registry_id = $1"
OWN_CODES: Final = """
SELECT c.local FROM lab_code c WHERE c.lab_id = $1 AND c.kind = 'test' ORDER BY 1 LIMIT $2
"""
BY_KEY: Final = """
SELECT r.report_id, r.report_key FROM report r WHERE r.report_key = ANY ($1::uuid[]) LIMIT $2
"""
PROGRESS: Final = "SELECT partition, next_offset FROM intake_progress"
# What waits in the embedded log, without its payloads.
WAITING: Final = """
SELECT w.partition, w."offset", w.message_id, w.control_key, w.lab_id
FROM unnest($1::integer[], $2::bigint[]) AS p (n, o)
CROSS JOIN LATERAL (
    SELECT i.partition, i."offset", i.message_id, i.control_key, i.lab_id FROM intake i
    WHERE i.partition = p.n AND i."offset" >= p.o ORDER BY i."offset" LIMIT $3
) AS w
WHERE w.message_id = ANY ($4::uuid[]) OR w.control_key = ANY ($5::bigint[])
"""

# ---------------------------------------------------------------- what became of it

OUTCOMES: Final = """
SELECT o.partition, o."offset", o.message_id, o.control_key, o.lab_id, l.registry_id,
       o.ending, o.reason, o.place, o.original, o.report_ids, o.person_id, o.received_at,
       o.decided_at, o.replayed_by
FROM unnest($1::integer[], $2::bigint[]) AS a (p, n)
JOIN outcome o ON o.partition = a.p AND o."offset" = a.n
LEFT JOIN lab l ON l.lab_id = o.lab_id
ORDER BY o.received_at, o.partition, o."offset"
"""
_RECORD: Final = """
SELECT r.partition, r."offset", r.message_id, r.lab_id, r.kind, r.received_at, r.inbox_key,
       r.control_key, r.payload
FROM unnest($1::integer[], $2::bigint[]) AS a (p, n)
JOIN {table} r ON r.partition = a.p AND r."offset" = a.n
"""
RECORDS_OF_THE_LOG: Final = _RECORD.format(table="intake")
RECORDS_OF_OUR_COPY: Final = _RECORD.format(table="message")
LINKS: Final = """
SELECT e.partition, e."offset", e.link_event_id, e.at, e.kind, e.person_id, e.other_person_id,
       e.rule, e.model_version, e.evidence, e.actor, e.decision
FROM unnest($1::bigint[], $2::integer[], $3::bigint[]) AS a (who, p, n)
JOIN link_event e ON e.person_id = a.who AND e.partition = a.p AND e."offset" = a.n
ORDER BY e.link_event_id
"""
EVENTS: Final = """
SELECT e.stream, e.partition, e.seq, e.event_id, e.report_id, e.part, e.event_version, e.kind,
       e.reason, e.rule, e.rule_version, e.person_version, e.message_id, e.emitted_at
FROM stream_event e WHERE e.report_id = ANY ($1::uuid[])
ORDER BY e.stream, e.partition, e.seq LIMIT $2
"""
# Rows that are declared anonymously go by an id of their own in the stream.
ALSO_CALLED: Final = """
SELECT m.report_id, m.told_as FROM emitted m
WHERE m.report_id = ANY ($1::uuid[]) AND m.told_as IS NOT NULL
"""
RELAYED: Final = """
SELECT stream, partition, seq, noted_at FROM relay_position
"""
PUSHED: Final = """
SELECT r.name AS receiver, r.kind AS receiver_kind, d.event_id, d.report_id, d.part,
       d.event_version, d.state, d.attempts, d.protocol, d.code, d.detail,
       coalesce(d.ended_at, d.tried_at, d.taken_at) AS at
FROM delivery d JOIN receiver r ON r.receiver_id = d.receiver_id
WHERE d.report_id = ANY ($1::uuid[])
ORDER BY r.name, d.report_id, d.part, d.event_version LIMIT $2
"""
SAID: Final = """
SELECT r.name AS receiver, w.event_id, w.word, w.code, w.said_at AS at
FROM receiver r JOIN receiver_word w ON w.receiver_id = r.receiver_id
WHERE w.event_id = ANY ($1::uuid[]) ORDER BY w.said_at, w.word
"""
HOLDS: Final = """
SELECT report_id, stream, reason, since FROM hold WHERE report_id = ANY ($1::uuid[])
ORDER BY report_id, stream
"""
# Words of people that a stream need not wait: by whom and when, for what was seen then.
RELEASES: Final = """
SELECT report_id, stream, reason, actor, why, at FROM hold_release
WHERE report_id = ANY ($1::uuid[]) ORDER BY at, report_id, stream
"""
PARKED: Final = """
SELECT k.partition, k."offset", k.parked_at AS at, k.reason, k.code, k.place, k.owner,
       k.resolved_at, k.resolution, m.number AS mended, m.mended_at
FROM unnest($1::integer[], $2::bigint[]) AS a (p, n)
JOIN parked k ON k.partition = a.p AND k."offset" = a.n
LEFT JOIN mended m ON m.partition = a.p AND m."offset" = a.n
"""
# What people did to a message: parked, mended, done again; the audit chain has it by its subject.
DONE: Final = """
SELECT a.subject, a.at, a.action, a.actor, a.reason FROM audit a
WHERE a.subject = ANY ($1::text[]) ORDER BY a.audit_id LIMIT $2
"""

# ---------------------------------------------------------------- across messages

VERSIONS: Final = """
SELECT v.report_id, v.version, v.status, v.position, v.became_current, v.decided_at, v.person_id,
       v.partition, v."offset", o.message_id
FROM report_version v
LEFT JOIN outcome o ON o.partition = v.partition AND o."offset" = v."offset"
WHERE v.report_id = ANY ($1::uuid[]) ORDER BY v.report_id, v.version LIMIT $2
"""
REPORTS: Final = """
SELECT r.report_id, r.person_id, r.version, r.status, r.first_at, r.updated_at
FROM report r WHERE r.report_id = ANY ($1::uuid[]) ORDER BY r.first_at, r.report_id
"""
JOINED: Final = """
SELECT e.link_event_id, e.at, e.kind, e.person_id, e.other_person_id, e.rule, e.actor
FROM link_event e
WHERE e.person_id = ANY ($1::bigint[]) AND e.kind IN ('merge', 'unmerge')
ORDER BY e.link_event_id LIMIT $2
"""
CASES: Final = """
SELECT c.report_id, c.condition, c.case_id, c.line, c.waits, c.again
FROM unnest($1::bigint[], $2::uuid[]) AS a (who, report)
JOIN case_report c ON c.person_id = a.who AND c.report_id = a.report
ORDER BY c.report_id, c.condition
"""

AUDIT: Final = "SELECT audit_append($1, $2, $3, $4)"
