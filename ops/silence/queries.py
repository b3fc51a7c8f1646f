"""SQL of silent laboratories, named."""

from __future__ import annotations

from typing import Final

DUE: Final = """
SELECT l.lab_id, count(*) OVER () AS due
FROM lab l LEFT JOIN lab_past p ON p.lab_id = l.lab_id
WHERE l.state = 'live' AND (p.lab_id IS NULL OR p.learned_day < $1 OR p.form <> $2)
ORDER BY p.learned_day NULLS FIRST, l.lab_id LIMIT $3
"""
# Walks the primary key: one laboratory's hours lie together.
HOURS: Final = """
SELECT lab_id,
       array_agg((extract(epoch FROM hour) / 3600)::bigint) AS hours,
       array_agg(received) AS received,
       array_agg(least(1, greatest(0, 1 - extract(epoch FROM last_at - hour) / 3600))::float8)
           AS rests
FROM lab_hour
WHERE lab_id = ANY ($1::integer[]) AND hour >= $2 AND received > 0 AND last_at IS NOT NULL
GROUP BY lab_id
"""
KEEP: Final = """
INSERT INTO lab_past AS held (lab_id, learned_day, form, past)
SELECT t.l, $2, $3, t.p FROM unnest($1::integer[], $4::bytea[]) AS t (l, p) ORDER BY t.l
ON CONFLICT (lab_id) DO UPDATE
SET learned_day = EXCLUDED.learned_day, form = EXCLUDED.form, past = EXCLUDED.past
"""
PASTS: Final = """
SELECT l.registry_id, p.lab_id, p.past FROM lab_past p JOIN lab l ON l.lab_id = p.lab_id
WHERE p.past IS NOT NULL AND p.form = $1 AND l.state = 'live' ORDER BY p.lab_id LIMIT $2
"""
CLOSED: Final = """
SELECT lab_id, first_day, last_day FROM lab_closure WHERE last_day >= $1
ORDER BY last_day DESC LIMIT $2
"""

ADD_CLOSURE: Final = """
INSERT INTO lab_closure (lab_id, first_day, last_day, actor, noted_at) VALUES ($1, $2, $3, $4, $5)
"""
OVERLAPS: Final = """
SELECT first_day, last_day FROM lab_closure
WHERE lab_id = $1 AND first_day <= $3 AND last_day >= $2 ORDER BY first_day LIMIT 1
"""
REMOVE_CLOSURE: Final = """
DELETE FROM lab_closure WHERE lab_id = $1 AND first_day = $2 RETURNING last_day
"""
LEARN_ANEW: Final = "UPDATE lab_past SET learned_day = 0 WHERE lab_id = $1"
CLOSURES: Final = """
SELECT l.registry_id, c.first_day, c.last_day, c.actor, c.noted_at
FROM lab_closure c JOIN lab l ON l.lab_id = c.lab_id
WHERE c.last_day >= $1 AND ($2::integer IS NULL OR c.lab_id = $2)
ORDER BY c.first_day, l.registry_id LIMIT $3
"""
LAB: Final = "SELECT lab_id, registry_id FROM lab WHERE registry_id = $1"
LOCK_LAB: Final = "SELECT lab_id, registry_id FROM lab WHERE registry_id = $1 FOR NO KEY UPDATE"
FORGET: Final = """
DELETE FROM lab_closure WHERE (lab_id, first_day) IN
    (SELECT lab_id, first_day FROM lab_closure WHERE last_day < $1 LIMIT 10000)
"""
AUDIT: Final = "SELECT audit_append($1, $2, $3, $4)"
