"""SQL of the account by day, named. A day is that of reception, in Europe/Paris."""

from __future__ import annotations

from typing import Final

# All that one count sees belongs to one moment; two that count at once: the second begins again.
SNAPSHOT: Final = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"

# Begins where both the log and the endings can still be read, and has caught up only once it has
# counted what was settled by now. Literal: the one table of two.
BEGIN_INTAKE: Final = """
INSERT INTO account_progress (partition, counted, target, target_at)
SELECT p.partition, b.at, p.next_offset, $1
FROM intake_progress p CROSS JOIN LATERAL (SELECT least(p.next_offset, greatest(
    coalesce((SELECT min(i."offset") FROM intake i WHERE i.partition = p.partition), p.next_offset),
    coalesce((SELECT min(o."offset") FROM outcome o WHERE o.partition = p.partition), p.next_offset)
)) AS at) AS b
ON CONFLICT (partition) DO NOTHING
"""
BEGIN_MESSAGES: Final = BEGIN_INTAKE.replace("FROM intake i", "FROM message i")
PLACES: Final = """
SELECT a.partition, a.counted, a.target, a.target_at, a.caught_up_at, p.next_offset AS settled,
       h.next_offset AS head
FROM account_progress a
JOIN intake_progress p ON p.partition = a.partition
LEFT JOIN intake_head h ON h.partition = a.partition
ORDER BY a.partition FOR UPDATE OF a
"""

# OFFSET 0: each partition's places are read by the primary key, whatever the planner knows of them.
_RECORDS: Final = """
SELECT i.partition, (i.received_at AT TIME ZONE 'Europe/Paris')::date AS day, i.lab_id,
       i.kind = 3 AS is_replay, count(*) AS n
FROM unnest($1::integer[], $2::bigint[], $3::bigint[]) AS r (p, low, high)
CROSS JOIN LATERAL (SELECT partition, received_at, lab_id, kind FROM {table}
    WHERE partition = r.p AND "offset" >= r.low AND "offset" < r.high OFFSET 0) AS i
GROUP BY 1, 2, 3, 4
"""
RECORDS_INTAKE: Final = _RECORDS.format(table="intake")
RECORDS_MESSAGES: Final = _RECORDS.format(table="message")
ENDINGS: Final = """
SELECT (o.received_at AT TIME ZONE 'Europe/Paris')::date AS day, o.lab_id, o.ending, o.reason,
       count(*) AS n
FROM unnest($1::integer[], $2::bigint[], $3::bigint[]) AS r (p, low, high)
CROSS JOIN LATERAL (SELECT received_at, lab_id, ending, reason FROM outcome
    WHERE partition = r.p AND "offset" >= r.low AND "offset" < r.high OFFSET 0) AS o
GROUP BY 1, 2, 3, 4
"""
NOTE_ITEMS: Final = """
INSERT INTO account_item (day, lab_id, partition, "offset")
SELECT (o.received_at AT TIME ZONE 'Europe/Paris')::date, o.lab_id, o.partition, o."offset"
FROM unnest($1::integer[], $2::bigint[], $3::bigint[]) AS r (p, low, high)
CROSS JOIN LATERAL (SELECT received_at, lab_id, partition, "offset" FROM outcome
    WHERE partition = r.p AND "offset" >= r.low AND "offset" < r.high
      AND ending IN ('refused', 'parked') OFFSET 0) AS o
ON CONFLICT DO NOTHING
"""

# What changed of a record that was not counted yet is seen by counting it.
FORGET_CHANGES: Final = """
DELETE FROM account_change c USING unnest($1::integer[], $2::bigint[]) AS r (p, low)
WHERE c.partition = r.p AND c."offset" >= r.low
"""
TAKE_CHANGES: Final = """
DELETE FROM account_change WHERE change_id = ANY (ARRAY(
    SELECT change_id FROM account_change ORDER BY change_id LIMIT $1))
RETURNING change_id, partition, "offset", lab_id,
          (received_at AT TIME ZONE 'Europe/Paris')::date AS day,
          before_ending, before_reason, after_ending, after_reason
"""
ADD_ITEMS: Final = """
INSERT INTO account_item (day, lab_id, partition, "offset")
SELECT d, l, p, o FROM unnest($1::date[], $2::integer[], $3::integer[], $4::bigint[])
    AS new (d, l, p, o)
ON CONFLICT DO NOTHING
"""
DROP_ITEMS: Final = """
DELETE FROM account_item i
USING unnest($1::date[], $2::integer[], $3::integer[], $4::bigint[]) AS old (d, l, p, o)
WHERE i.day = old.d AND i.lab_id = old.l AND i.partition = old.p AND i."offset" = old.o
"""

ADD: Final = """
INSERT INTO account_day (day, lab_id, name, reason, records)
SELECT d, l, n, r, c
FROM unnest($1::date[], $2::integer[], $3::text[], $4::text[], $5::bigint[]) AS a (d, l, n, r, c)
ON CONFLICT (day, lab_id, name, reason)
DO UPDATE SET records = account_day.records + EXCLUDED.records
"""
# A gap that grows alerts again, whoever noted it before.
ADD_GAPS: Final = """
INSERT INTO account_gap (day, lab_id, records, seen_at)
SELECT d, l, c, $4 FROM unnest($1::date[], $2::integer[], $3::bigint[]) AS g (d, l, c)
ON CONFLICT (day, lab_id) DO UPDATE
SET records = account_gap.records + EXCLUDED.records, seen_at = EXCLUDED.seen_at, noted_by = NULL
"""
# A closed day that changes is told to its laboratory again.
DUE_AGAIN: Final = """
INSERT INTO account_due (day, lab_id)
SELECT DISTINCT d, l FROM unnest($1::date[], $2::integer[]) AS a (d, l)
JOIN account_closed c ON c.day = d WHERE l > 0
ON CONFLICT DO NOTHING
"""

NO_IN_FLIGHT: Final = "DELETE FROM account_in_flight"
IN_FLIGHT: Final = """
INSERT INTO account_in_flight (day, lab_id, records)
SELECT (i.received_at AT TIME ZONE 'Europe/Paris')::date, i.lab_id, count(*)
FROM unnest($1::integer[], $2::bigint[], $3::bigint[]) AS r (p, low, high)
CROSS JOIN LATERAL (SELECT received_at, lab_id FROM intake
    WHERE partition = r.p AND "offset" >= r.low AND "offset" < r.high AND kind <> 3 OFFSET 0) AS i
GROUP BY 1, 2
"""
IN_FLIGHT_TOGETHER: Final = """
INSERT INTO account_in_flight (day, lab_id, records)
VALUES (($1::timestamptz AT TIME ZONE 'Europe/Paris')::date, 0, $2)
"""
MOVE: Final = """
UPDATE account_progress a
SET counted = m.c, target = m.t, target_at = m.a, caught_up_at = m.u
FROM unnest($1::integer[], $2::bigint[], $3::bigint[], $4::timestamptz[], $5::timestamptz[])
    AS m (p, c, t, a, u)
WHERE a.partition = m.p
"""

LAST_CLOSED: Final = "SELECT max(day) FROM account_closed"
FIRST_DAY: Final = "SELECT min(day) FROM account_day"
CLOSE: Final = """
INSERT INTO account_closed (day, closed_at, received, gap)
SELECT $1::date, $2,
       coalesce((SELECT sum(records) FROM account_day WHERE day = $1 AND name = 'received'), 0),
       coalesce((SELECT sum(abs(records)) FROM account_gap WHERE day = $1), 0)
ON CONFLICT DO NOTHING
"""
DUE: Final = """
INSERT INTO account_due (day, lab_id)
SELECT DISTINCT day, lab_id FROM account_day WHERE day = $1 AND lab_id > 0
ON CONFLICT DO NOTHING
"""

FIGURES: Final = """
SELECT (SELECT coalesce(sum(abs(records)), 0)::bigint FROM account_gap
        WHERE noted_by IS NULL) AS gap,
       (SELECT coalesce(sum(greatest(p.next_offset - a.counted, 0)), 0)::bigint
        FROM account_progress a JOIN intake_progress p ON p.partition = a.partition) AS behind,
       (SELECT count(*) FROM account_due) AS due,
       (SELECT min(caught_up_at) FROM account_progress) AS caught_up_at
"""

# -------------------------------------------------------------------------------- looking

OF_DAY: Final = """
SELECT name, reason, records FROM account_day
WHERE day = $1 AND lab_id = $2 AND records <> 0 ORDER BY name, reason
"""
OF_DAY_ALL: Final = """
SELECT name, reason, sum(records)::bigint AS records FROM account_day
WHERE day = $1 GROUP BY name, reason HAVING sum(records) <> 0 ORDER BY name, reason
"""
FLYING: Final = """
SELECT coalesce(sum(records), 0)::bigint FROM account_in_flight
WHERE day = $1 AND ($2::integer IS NULL OR lab_id = $2)
"""
GAP: Final = """
SELECT coalesce(sum(records), 0)::bigint FROM account_gap
WHERE day = $1 AND ($2::integer IS NULL OR lab_id = $2)
"""
CLOSED_AT: Final = "SELECT closed_at FROM account_closed WHERE day = $1"
LAB: Final = "SELECT lab_id, registry_id FROM lab WHERE registry_id = $1"
LAB_NAME: Final = "SELECT registry_id FROM lab WHERE lab_id = $1"
LABS_OF_DAY: Final = """
SELECT DISTINCT a.lab_id, l.registry_id FROM account_day a JOIN lab l ON l.lab_id = a.lab_id
WHERE a.day = $1 AND l.registry_id > $2 ORDER BY l.registry_id LIMIT $3
"""
DAYS: Final = """
SELECT a.day, c.closed_at,
       coalesce(sum(a.records) FILTER (WHERE a.name = 'received'), 0)::bigint AS received,
       coalesce(sum(a.records) FILTER (WHERE a.name = 'dispatched'), 0)::bigint AS dispatched,
       coalesce(sum(a.records) FILTER (WHERE a.name = 'duplicate'), 0)::bigint AS duplicate,
       coalesce(sum(a.records) FILTER (WHERE a.name = 'refused'), 0)::bigint AS refused,
       coalesce(sum(a.records) FILTER (WHERE a.name = 'parked'), 0)::bigint AS parked,
       (SELECT coalesce(sum(f.records), 0)::bigint FROM account_in_flight f
        WHERE f.day = a.day AND ($2::integer IS NULL OR f.lab_id = $2)) AS in_flight,
       (SELECT coalesce(sum(abs(g.records)), 0)::bigint FROM account_gap g
        WHERE g.day = a.day AND ($2::integer IS NULL OR g.lab_id = $2)) AS gap
FROM account_day a LEFT JOIN account_closed c ON c.day = a.day
WHERE a.day > $1 AND ($2::integer IS NULL OR a.lab_id = $2)
GROUP BY a.day, c.closed_at ORDER BY a.day
"""
GAPS: Final = """
SELECT g.day, coalesce(l.registry_id, '') AS laboratory, g.records, g.seen_at, g.noted_by
FROM account_gap g LEFT JOIN lab l ON l.lab_id = g.lab_id
WHERE g.records <> 0 ORDER BY g.day DESC, g.lab_id LIMIT $1
"""
NOTE_GAP: Final = """
UPDATE account_gap SET noted_by = $2 WHERE day = $1 AND noted_by IS NULL RETURNING lab_id
"""
AUDIT: Final = "SELECT audit_append($1, $2, $3, $4)"

_ITEMS: Final = """
SELECT i."offset" AS at, o.ending, o.reason, o.place, o.received_at, o.message_id, m.payload
FROM account_item i
JOIN outcome o ON o.partition = i.partition AND o."offset" = i."offset"
LEFT JOIN {table} m ON m.partition = i.partition AND m."offset" = i."offset"
WHERE i.day = $1 AND i.lab_id = $2 AND i."offset" > $3 AND o.ending IN ('refused', 'parked')
ORDER BY i."offset" LIMIT $4
"""
ITEMS_INTAKE: Final = _ITEMS.format(table="intake")
ITEMS_MESSAGES: Final = _ITEMS.format(table="message")

# One process counts at a time. Asked in a statement of its own: a snapshot that is older than the
# lock would collide with what another has counted meanwhile.
COUNTS_ALONE: Final = "SELECT pg_try_advisory_lock(20261, 23)"
COUNTS_NO_MORE: Final = "SELECT pg_advisory_unlock(20261, 23)"
TAKE_DUE: Final = "SELECT day, lab_id FROM account_due ORDER BY day, lab_id LIMIT $1"
NOT_DUE: Final = "DELETE FROM account_due WHERE day = $1 AND lab_id = $2"
# One process writes reports at a time; another leaves it to that one.
ALONE: Final = "SELECT pg_try_advisory_lock(20261, 21)"
ALONE_NO_MORE: Final = "SELECT pg_advisory_unlock(20261, 21)"

FORGET_DAYS: Final = "DELETE FROM account_day WHERE day < $1"
FORGET_ITEMS: Final = "DELETE FROM account_item WHERE day < $1"
