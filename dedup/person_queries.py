"""The SQL of persons: literal, named, each with what it relies on."""

from __future__ import annotations

from typing import Final

# The first statement about persons of any transaction: whoever changes the key function waits for
# all that hold this lock, and they wait for it. The numbers come along to save a round trip.
BEGIN: Final = """
SELECT nextval('person_number') AS n
FROM (SELECT pg_advisory_xact_lock_shared(20261, 8) OFFSET 0) AS held, generate_series(1, $1)
"""
HOLD_STATE: Final = "SELECT pg_advisory_xact_lock_shared(20261, 8)"

BEGIN_KEYS: Final = """
INSERT INTO person_key_state (live) VALUES ($1) ON CONFLICT DO NOTHING
"""

KEY_VERSIONS: Final = "SELECT s.live, s.filling FROM person_key_state s"

# All keys of the batch in one statement, in the order given (sorted): two batches never wait for
# each other in a circle. It must stay a statement of its own: its snapshot is older than its locks.
# The state it reads is younger than BEGIN's lock, and that is all it must be.
LOCK_KEYS: Final = """
SELECT count(pg_advisory_xact_lock(k.key)) AS n,
       (SELECT s.live FROM person_key_state s) AS live,
       (SELECT s.filling FROM person_key_state s) AS filling
FROM (SELECT u.key FROM unnest($1::bigint[]) WITH ORDINALITY AS u (key, place)
      ORDER BY u.place OFFSET 0) AS k
"""

# Persons under each key of $1, at most $2 a key; and, without a person, which keys of $3 are hot.
LOOK_UP: Final = """
SELECT asked.key, found.person_id
FROM unnest($1::bigint[]) AS asked (key)
CROSS JOIN LATERAL (
    SELECT pk.person_id FROM person_key pk WHERE pk.key = asked.key
    ORDER BY pk.person_id LIMIT $2
) AS found
UNION ALL
SELECT h.key, NULL FROM hot_key h WHERE h.key = ANY ($3::bigint[])
"""

# Follows pointers of merges to their end, and gives everybody who was merged into these ends: what
# they are known by is what the end is known by. Nearly nobody was merged.
FOLLOW: Final = """
WITH RECURSIVE up AS (
    SELECT p.person_id AS start, p.person_id, p.merged_into, p.isolated
    FROM person p WHERE p.person_id = ANY ($1::bigint[])
    UNION ALL
    SELECT up.start, p.person_id, p.merged_into, p.isolated
    FROM up JOIN person p ON p.person_id = up.merged_into
), down AS (
    SELECT DISTINCT up.person_id AS root, up.person_id, up.isolated
    FROM up WHERE up.merged_into IS NULL
    UNION ALL
    SELECT down.root, p.person_id, down.isolated
    FROM down JOIN person p ON p.merged_into = down.person_id
)
SELECT d.person_id AS start, d.root AS person_id, d.isolated FROM down d
"""

# The merges that stand of these persons, and what the kept one was known by then.
MERGES: Final = """
SELECT m.gone_id, m.kept_id, m.kept_aliases, m.kept_ins FROM person_merge m
WHERE m.gone_id = ANY ($1::bigint[]) AND m.undone_by IS NULL
"""

# What these persons are known by: INS, and the $2 sets of traits that were seen last.
LOAD_INS: Final = """
SELECT i.person_id, i.ins_digest, i.oid, i.payload, i.strict_digest, i.last_seen_on, i.replaced_on
FROM person_ins i
WHERE i.person_id = ANY ($1::bigint[]) ORDER BY i.person_id, i.ins_digest
"""
LOAD_ALIASES: Final = """
SELECT a.person_id, a.alias_digest, a.payload, a.last_seen_on
FROM unnest($1::bigint[]) AS asked (person_id)
CROSS JOIN LATERAL (
    SELECT p.person_id, p.alias_digest, p.payload, p.last_seen_on FROM person_alias p
    WHERE p.person_id = asked.person_id
    ORDER BY p.last_seen_on DESC, p.alias_digest LIMIT $2
) AS a
"""

# What stewards said of pairs of these persons.
VERDICTS: Final = """
SELECT v.person_id, v.other_person_id, v.verdict FROM pair_verdict v
WHERE v.person_id = ANY ($1::bigint[]) AND v.other_person_id = ANY ($1::bigint[])
"""

# In the order of their numbers, so that batches that share no key but a person do not deadlock.
LOCK_PERSONS: Final = """
SELECT p.person_id, p.version FROM person p
WHERE p.person_id = ANY ($1::bigint[]) ORDER BY p.person_id FOR NO KEY UPDATE
"""

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
INSERT INTO person_ins (person_id, ins_digest, oid, payload, first_seen_on, last_seen_on,
                        replaced_on, strict_digest)
SELECT i.p, i.d, i.o, i.b, $5, $5, CASE WHEN i.f THEN $5::date END, i.s
FROM unnest($1::bigint[], $2::uuid[], $3::text[], $4::bytea[], $6::boolean[], $7::uuid[])
     AS i (p, d, o, b, f, s)
ORDER BY i.p, i.d
ON CONFLICT (person_id, ins_digest) DO UPDATE
SET last_seen_on = EXCLUDED.last_seen_on, payload = EXCLUDED.payload,
    replaced_on = coalesce(person_ins.replaced_on, EXCLUDED.replaced_on),
    strict_digest = EXCLUDED.strict_digest
WHERE person_ins.last_seen_on < EXCLUDED.last_seen_on
   OR person_ins.strict_digest IS DISTINCT FROM EXCLUDED.strict_digest
   OR (person_ins.replaced_on IS NULL AND EXCLUDED.replaced_on IS NOT NULL)
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
                        rule, model_version, decision)
SELECT $10, l.k, l.p, l.x, l.n, l.o, l.a, l.r, l.m, l.e
FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::integer[], $5::bigint[], $6::uuid[],
            $7::text[], $8::text[], $9::bytea[]) AS l (k, p, x, n, o, a, r, m, e)
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

# ---------------------------------------------------------------- hot keys

UNDER: Final = """
SELECT asked.key, found.person_id
FROM unnest($1::bigint[]) AS asked (key)
CROSS JOIN LATERAL (
    SELECT pk.person_id FROM person_key pk WHERE pk.key = asked.key AND pk.person_id > $3
    ORDER BY pk.person_id LIMIT $2
) AS found
"""
MARK_HOT: Final = """
INSERT INTO hot_key (key, persons, since)
SELECT h.key, h.persons, $3 FROM unnest($1::bigint[], $2::integer[]) AS h (key, persons)
ON CONFLICT DO NOTHING
"""
LIST_HOT: Final = """
SELECT h.key, h.persons, h.since FROM hot_key h ORDER BY h.since DESC, h.key LIMIT $1
"""

# ---------------------------------------------------------------- keys of whole persons

HOT_OF: Final = "SELECT h.key FROM hot_key h WHERE h.key = ANY ($1::bigint[]) AND h.since <= $2"
KEYS_OF: Final = "SELECT pk.key FROM person_key pk WHERE pk.person_id = ANY ($1::bigint[])"
