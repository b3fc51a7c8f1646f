"""The SQL of retention: literal, named, each with what it relies on."""

from __future__ import annotations

from typing import Final

# One purge at a time over all processes, for as long as its connection lives.
TAKE_TURN: Final = "SELECT pg_try_advisory_lock(20261, 20)"
END_TURN: Final = "SELECT pg_advisory_unlock(20261, 20)"

CLOCK: Final = "SELECT now()"

# ---------------------------------------------------------------- what must not go yet

# The oldest record that dispatch has not handled (embedded; on the cluster the log is Kafka's).
WAITING_INTAKE: Final = """
SELECT min(w.received_at) FROM intake_progress p CROSS JOIN LATERAL (
    SELECT i.received_at FROM intake i
    WHERE i.partition = p.partition AND i."offset" >= p.next_offset
    ORDER BY i."offset" LIMIT 1) AS w
"""
# The oldest record that the account has not counted: gone before, it would be a gap that is none.
_UNCOUNTED: Final = """
SELECT min(w.received_at) FROM account_progress a CROSS JOIN LATERAL (
    SELECT i.received_at FROM {table} i
    WHERE i.partition = a.partition AND i."offset" >= a.counted
    ORDER BY i."offset" LIMIT 1) AS w
"""
UNCOUNTED_INTAKE: Final = _UNCOUNTED.format(table="intake")
UNCOUNTED_MESSAGES: Final = _UNCOUNTED.format(table="message")
# What shows why a day does not close is kept until somebody has noted why. The account's day is
# that of Paris, which begins on the day before of UTC.
GAP_NOT_NOTED: Final = """
SELECT min(day) - 1 FROM account_gap WHERE noted_by IS NULL AND records <> 0
"""
# The oldest event that the relay has not published, as it last noted (cluster).
UNPUBLISHED: Final = """
SELECT h.stream, min(e.emitted_at) AS oldest
FROM stream_head h
LEFT JOIN relay_position r ON r.stream = h.stream AND r.partition = h.partition
CROSS JOIN LATERAL (
    SELECT e.emitted_at FROM stream_event e
    WHERE e.stream = h.stream AND e.partition = h.partition AND e.seq > coalesce(r.seq, 0)
    ORDER BY e.seq LIMIT 1) AS e
GROUP BY h.stream
"""
PARKED_BEFORE: Final = """
SELECT count(*) FROM parked WHERE resolved_at IS NULL AND parked_at < $1
"""

# ---------------------------------------------------------------- purges

OPEN_PURGE: Final = """
SELECT purge_id, began_at, actor, why, cuts, keys FROM purge WHERE ended_at IS NULL
"""
BEGIN_PURGE: Final = """
INSERT INTO purge (began_at, actor, why, cuts, keys) VALUES ($1, $2, $3, $4::jsonb, $5)
RETURNING purge_id, began_at, actor, why, cuts, keys
"""
END_PURGE: Final = """
UPDATE purge SET ended_at = $2, certificate = $3, digest = $4, audit_id = $5
WHERE purge_id = $1 AND ended_at IS NULL
"""
PARTS_OF: Final = "SELECT family, part, rows FROM purge_part WHERE purge_id = $1 ORDER BY part"
AUDIT: Final = "SELECT audit_append($1, $2, $3, $4)"
FOUND_GONE: Final = "UPDATE purge_state SET found_at = $1"
FOUND_AT: Final = "SELECT found_at FROM purge_state"

CERTIFICATES: Final = """
SELECT p.purge_id, p.began_at, p.ended_at, p.actor, p.why, cardinality(p.keys) AS keys,
       (SELECT count(*) FROM purge_part t WHERE t.purge_id = p.purge_id) AS parts,
       (SELECT coalesce(sum(t.rows), 0)::bigint FROM purge_part t WHERE t.purge_id = p.purge_id)
           AS rows,
       p.audit_id
FROM purge p ORDER BY p.purge_id DESC LIMIT $1
"""
CERTIFICATE: Final = """
SELECT p.certificate, p.digest, a.action, a.subject, a.reason
FROM purge p LEFT JOIN audit a ON a.audit_id = p.audit_id WHERE p.purge_id = $1
"""

# ---------------------------------------------------------------- local codes

FORGET_CODES: Final = """
DELETE FROM lab_unmapped WHERE last_seen_at < $1 AND payload <> ''
"""
OLD_CODES: Final = """
SELECT lab_id, kind, digest, payload FROM lab_unmapped
WHERE sealed_on(payload) < $1 AND (lab_id, kind, digest) > ($3, $4, $5)
ORDER BY lab_id, kind, digest LIMIT $2
"""
# Only what still is as it was read.
RESEAL_CODES: Final = """
UPDATE lab_unmapped AS held SET payload = n.fresh
FROM unnest($1::integer[], $2::text[], $3::uuid[], $4::bytea[], $5::bytea[])
     AS n (lab_id, kind, digest, old, fresh)
WHERE held.lab_id = n.lab_id AND held.kind = n.kind AND held.digest = n.digest
  AND held.payload = n.old
"""
OLDEST_CODE: Final = "SELECT min(sealed_on(payload)) FROM lab_unmapped WHERE payload <> ''"

# ---------------------------------------------------------------- traits

WALKED: Final = "SELECT person_id, digest, rounds FROM purge_walk WHERE walked = $1"
WALK_ON: Final = """
UPDATE purge_walk SET person_id = $2, digest = $3, rounds = rounds + $4 WHERE walked = $1
"""
# A page of the primary key behind a place; of it what is of age is emptied. The person, the digest
# and the keys stay: a person outlives the traits.
_EMPTY: Final = """
WITH page AS (
    SELECT t.person_id, t.{digest}, t.last_seen_on, t.payload <> '' AS is_full FROM {table} t
    WHERE (t.person_id, t.{digest}) > ($1, $2) ORDER BY t.person_id, t.{digest} LIMIT $4
), emptied AS (
    UPDATE {table} AS t SET payload = '' FROM page p
    WHERE p.is_full AND p.last_seen_on < $3
      AND t.person_id = p.person_id AND t.{digest} = p.{digest} AND t.last_seen_on < $3
    RETURNING 1
)
SELECT (SELECT count(*) FROM emptied) AS emptied, (SELECT count(*) FROM page) AS looked,
       last.person_id, last.{digest} AS digest
FROM (SELECT p.person_id, p.{digest} FROM page p
      ORDER BY p.person_id DESC, p.{digest} DESC LIMIT 1) AS last
"""
EMPTY: Final = {
    "person_alias": _EMPTY.format(table="person_alias", digest="alias_digest"),
    "person_ins": _EMPTY.format(table="person_ins", digest="ins_digest"),
}
