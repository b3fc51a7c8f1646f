"""The SQL of dedup: literal, named, each with what it relies on."""

from __future__ import annotations

from typing import Final

# Exact resends of the last 35 days; older ones end as "same content" at the report.
SEEN: Final = """
SELECT i.inbox_key, i.message_id FROM inbox i
WHERE i.inbox_key = ANY ($1::uuid[]) AND i.seen_on >= $2
"""

# By control key first: it is the index, and few laboratories share a control id.
CONTROL_IDS: Final = """
SELECT DISTINCT o.lab_id, o.control_key FROM outcome o
WHERE o.control_key = ANY ($1::bigint[]) AND o.received_at >= $2
"""

REMEMBER: Final = """
INSERT INTO inbox (seen_on, inbox_key, message_id)
SELECT $1, m.k, m.i FROM unnest($2::uuid[], $3::uuid[]) AS m (k, i)
ON CONFLICT DO NOTHING
"""

# All keys of the batch in one statement, in the order given (sorted): two batches never wait for
# each other in a circle. It must stay a statement of its own: its snapshot is older than its locks.
LOCK_KEYS: Final = """
SELECT count(pg_advisory_xact_lock(k.key))
FROM (SELECT u.key FROM unnest($1::bigint[]) WITH ORDINALITY AS u (key, place)
      ORDER BY u.place OFFSET 0) AS k
"""

# Persons under each key, at most $2 a key: a key that is shared by more says nothing.
LOOK_UP: Final = """
SELECT asked.key, found.person_id
FROM unnest($1::bigint[]) AS asked (key)
CROSS JOIN LATERAL (
    SELECT pk.person_id FROM person_key pk WHERE pk.key = asked.key
    ORDER BY pk.person_id LIMIT $2
) AS found
"""

# Follows pointers of merges to their end, and gives everybody who leads there: a person is known by
# what all of them are known by. A person that was not merged is its own end.
FOLLOW: Final = """
WITH RECURSIVE way AS (
    SELECT p.person_id, p.merged_into, p.isolated
    FROM person p WHERE p.person_id = ANY ($1::bigint[])
    UNION
    SELECT p.person_id, p.merged_into, p.isolated
    FROM way JOIN person p ON p.person_id = way.merged_into
), down AS (
    SELECT way.person_id AS start, way.person_id, way.isolated FROM way
    WHERE way.merged_into IS NULL
    UNION
    SELECT p.person_id, down.person_id, down.isolated
    FROM down JOIN person p ON p.merged_into = down.start
)
SELECT down.start, down.person_id, down.isolated FROM down ORDER BY down.start
"""

# What the candidates and everybody merged into them are known by.
LOAD_INS: Final = """
SELECT i.person_id, i.ins_digest, i.payload FROM person_ins i
WHERE i.person_id = ANY ($1::bigint[])
"""
LOAD_ALIASES: Final = """
SELECT a.person_id, a.alias_digest, a.payload FROM person_alias a
WHERE a.person_id = ANY ($1::bigint[])
"""

# In the order of their numbers, so that batches that share no key but a person do not deadlock.
LOCK_PERSONS: Final = """
SELECT p.person_id, p.version FROM person p
WHERE p.person_id = ANY ($1::bigint[]) ORDER BY p.person_id FOR UPDATE
"""

NEW_NUMBERS: Final = "SELECT nextval('person_number') AS n FROM generate_series(1, $1)"

WRITE_PERSONS: Final = """
INSERT INTO person (person_id, version, isolated, created_at)
SELECT n.id, n.version, n.isolated, $4
FROM unnest($1::bigint[], $2::bigint[], $3::boolean[]) AS n (id, version, isolated)
"""
WRITE_VERSIONS: Final = """
UPDATE person AS p SET version = v.version
FROM unnest($1::bigint[], $2::bigint[]) AS v (id, version) WHERE p.person_id = v.id
"""
WRITE_INS: Final = """
INSERT INTO person_ins (person_id, ins_digest, oid, payload, first_seen_on, last_seen_on)
SELECT i.p, i.d, i.o, i.b, $5, $5
FROM unnest($1::bigint[], $2::uuid[], $3::text[], $4::bytea[]) AS i (p, d, o, b)
ORDER BY i.p, i.d
ON CONFLICT (person_id, ins_digest) DO UPDATE
SET last_seen_on = EXCLUDED.last_seen_on, payload = EXCLUDED.payload
WHERE person_ins.last_seen_on < EXCLUDED.last_seen_on
"""
WRITE_ALIASES: Final = """
INSERT INTO person_alias (person_id, alias_digest, payload, first_seen_on, last_seen_on)
SELECT a.p, a.d, a.b, $4, $4
FROM unnest($1::bigint[], $2::uuid[], $3::bytea[]) AS a (p, d, b)
ORDER BY a.p, a.d
ON CONFLICT (person_id, alias_digest) DO UPDATE
SET last_seen_on = EXCLUDED.last_seen_on, payload = EXCLUDED.payload
WHERE person_alias.last_seen_on < EXCLUDED.last_seen_on
"""
WRITE_KEYS: Final = """
INSERT INTO person_key (key, person_id)
SELECT k.key, k.p FROM unnest($1::bigint[], $2::bigint[]) AS k (key, p)
ON CONFLICT DO NOTHING
"""
WRITE_LINKS: Final = """
INSERT INTO link_event (at, kind, person_id, other_person_id, partition, "offset", alias_digest,
                        rule, model_version, evidence)
SELECT $10, l.k, l.p, l.x, l.n, l.o, l.a, l.r, l.m, l.e::jsonb
FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::integer[], $5::bigint[], $6::uuid[],
            $7::text[], $8::text[], $9::text[]) AS l (k, p, x, n, o, a, r, m, e)
"""
# One item a pair and guard, for ever: a steward's word on it stands. The pair's own verdict counts
# here too, whatever guard asks.
OPEN_REVIEWS: Final = """
INSERT INTO review_item (opened_at, person_id, other_person_id, guard, evidence, kind, priority,
                         bits, model_version)
SELECT $5, r.p, r.x, r.g, r.e::jsonb, r.k, r.i, r.b, r.m
FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $6::text[], $7::smallint[],
            $8::integer[], $9::text[]) AS r (p, x, g, e, k, i, b, m)
WHERE NOT EXISTS (
    SELECT 1 FROM pair_verdict v
    WHERE v.person_id = least(r.p, r.x) AND v.other_person_id = greatest(r.p, r.x)
      AND v.verdict IN ('same', 'different'))
ON CONFLICT (person_id, other_person_id, guard) DO NOTHING
"""
VERDICTS: Final = """
SELECT v.person_id, v.other_person_id, v.verdict FROM pair_verdict v
WHERE v.person_id = ANY ($1::bigint[]) AND v.other_person_id = ANY ($1::bigint[])
"""

# ---------------------------------------------------------------- reports

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
# A replay of what is already a version makes no second one of the same content.
KNOWN_VERSIONS: Final = """
SELECT v.report_id, v.content_digest FROM report_version v
WHERE v.report_id = ANY ($1::uuid[])
"""
