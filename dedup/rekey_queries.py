"""The SQL of a re-keying: literal, named, each with what it relies on."""

from __future__ import annotations

from typing import Final

# Alone: every transaction that goes by the state as it was has ended, and none begins meanwhile.
PATIENCE: Final = "SET LOCAL lock_timeout = '500ms'"
ALONE: Final = "SELECT pg_advisory_xact_lock(20261, 8)"

STATE: Final = """
SELECT s.live, s.filling, s.dropping, s.fill_until, s.filled_person, s.dropped_key, s.unreadable
FROM person_key_state s
"""

# Whoever was made before the lock was held has a number up to this; later ones have both keys.
START: Final = """
UPDATE person_key_state SET filling = $1, filled_person = 0, unreadable = 0, changed_at = $2,
       fill_until = (SELECT coalesce(max(p.person_id), 0) FROM person p)
"""
SWITCH: Final = """
UPDATE person_key_state SET dropping = live, live = filling, filling = NULL, changed_at = $1,
       dropped_key = -9223372036854775808
WHERE filling = $2 AND filled_person >= fill_until
"""
FINISH: Final = """
UPDATE person_key_state SET dropping = NULL, changed_at = $1 WHERE dropping IS NOT NULL
"""

# The next persons of the job, isolated ones left out: they have no keys. One more row says where
# the page ends even where all of it is isolated.
PAGE: Final = """
SELECT p.person_id, p.isolated FROM person p
WHERE p.person_id > $1 AND p.person_id <= $2 ORDER BY p.person_id LIMIT $3
"""
ALIASES: Final = """
SELECT a.person_id, a.alias_digest, a.payload FROM person_alias a
WHERE a.person_id = ANY ($1::bigint[])
"""
INS: Final = """
SELECT i.person_id, i.ins_digest, i.payload FROM person_ins i WHERE i.person_id = ANY ($1::bigint[])
"""
# The cursor moves with what was written, and only if nobody else moved it.
FILLED: Final = """
UPDATE person_key_state SET filled_person = $2, unreadable = unreadable + $3
WHERE filled_person = $1 AND filling = $4
"""

# A stretch of keys in their order, with the keys that more than $3 persons share; the last key of
# the stretch may go on in the next one, which begins with it.
STRETCH: Final = """
SELECT t.key, count(*) AS persons
FROM (SELECT pk.key FROM person_key pk WHERE pk.key >= $1 ORDER BY pk.key LIMIT $2) AS t
GROUP BY t.key HAVING count(*) > $3 OR t.key = (
    SELECT max(e.key)
    FROM (SELECT pk.key FROM person_key pk WHERE pk.key >= $1 ORDER BY pk.key LIMIT $2) AS e)
ORDER BY t.key
"""

END_OF_STRETCH: Final = """
SELECT max(e.key) FROM (
    SELECT pk.key FROM person_key pk WHERE pk.key > $1 ORDER BY pk.key LIMIT $2) AS e
"""
# Keys of an INS carry no version (0) and stay.
DROP: Final = """
DELETE FROM person_key pk
WHERE pk.key > $1 AND pk.key <= $2 AND (pk.key & 15) <> 0 AND (pk.key & 15) <> $3
"""
DROPPED: Final = "UPDATE person_key_state SET dropped_key = $1 WHERE dropping IS NOT NULL"
DROP_HOT: Final = "DELETE FROM hot_key h WHERE (h.key & 15) <> $1"
