"""SQL of parked messages, named. Locks: rows of `outcome`, then of `parked`, as dispatch does."""

from __future__ import annotations

from typing import Final

_COLUMNS: Final = """
SELECT o.message_id, k.partition, k."offset", k.lab_id, l.registry_id AS laboratory, k.reason,
       k.code, k.place, coalesce(k.owner, '') AS owner, k.parked_at, k.resolved_at,
       coalesce(k.resolution, CASE WHEN k.resolved_at IS NOT NULL THEN 'replayed' END, '')
           AS resolution,
       o.received_at, o.control_key, o.ending, coalesce(m.number, 0) AS mended
FROM parked k
JOIN outcome o ON o.partition = k.partition AND o."offset" = k."offset"
LEFT JOIN lab l ON l.lab_id = k.lab_id
LEFT JOIN mended m ON m.partition = k.partition AND m."offset" = k."offset"
"""
LIST: Final = (
    _COLUMNS
    + """
WHERE k.resolved_at IS NULL
  AND ($1 = '' OR k.reason = $1) AND ($2 = '' OR l.registry_id = $2) AND ($3 = '' OR k.code = $3)
  AND ($4 = '' OR k.owner = $4 OR ($4 = '-' AND k.owner IS NULL))
  AND ($5::timestamptz IS NULL OR k.parked_at >= $5)
  AND ($6::timestamptz IS NULL OR k.parked_at < $6)
  AND ($7::uuid[] IS NULL OR o.message_id = ANY ($7))
ORDER BY k.parked_at, k.partition, k."offset" LIMIT $8
"""
)
ONE: Final = f"""{_COLUMNS}
WHERE o.message_id = $1
"""
# How many there are of each kind, beyond what a list shows.
KINDS: Final = """
SELECT k.reason, k.code, coalesce(l.registry_id, '') AS laboratory, count(*) AS messages,
       min(k.parked_at) AS oldest_at
FROM parked k LEFT JOIN lab l ON l.lab_id = k.lab_id
WHERE k.resolved_at IS NULL
GROUP BY 1, 2, 3 ORDER BY 4 DESC, 1, 2, 3 LIMIT $1
"""
FINDINGS: Final = """
SELECT code, level, place FROM lab_finding WHERE partition = $1 AND "offset" = $2 ORDER BY position
"""
ASSIGN: Final = """
UPDATE parked k SET owner = nullif($3, '')
FROM unnest($1::integer[], $2::bigint[]) AS w (p, o)
WHERE k.partition = w.p AND k."offset" = w.o AND k.resolved_at IS NULL
RETURNING k.partition, k."offset"
"""
# Of one that was settled meanwhile the ending is another, and stays; so it does of a message that
# was dispatched and waits for a replay which a pause holds up: that replay alone is discarded.
LOCK_ENDINGS: Final = """
SELECT o.partition, o."offset" FROM outcome o
JOIN unnest($1::integer[], $2::bigint[]) AS w (p, o)
    ON o.partition = w.p AND o."offset" = w.o
ORDER BY 1, 2 FOR UPDATE OF o
"""
DISCARD: Final = """
UPDATE parked k SET resolved_at = $3, resolution = 'discarded'
FROM unnest($1::integer[], $2::bigint[]) AS w (p, o)
WHERE k.partition = w.p AND k."offset" = w.o AND k.resolved_at IS NULL
RETURNING k.partition, k."offset"
"""
END: Final = """
UPDATE outcome o SET reason = 'discarded', decided_at = $3
FROM unnest($1::integer[], $2::bigint[]) AS w (p, o)
WHERE o.partition = w.p AND o."offset" = w.o AND o.ending = 'parked'
"""
AUDIT_ALL: Final = """
SELECT audit_append($1, $2, 'message ' || m::text, $3) FROM unnest($4::uuid[]) AS m
"""
AUDIT: Final = "SELECT audit_append($1, $2, $3, $4)"
LOCK_PARKED: Final = """
SELECT FROM parked WHERE partition = $1 AND "offset" = $2 AND resolved_at IS NULL FOR UPDATE
"""
MEND: Final = """
INSERT INTO mended (partition, "offset", number, mended_at, payload) VALUES ($1, $2, 1, $3, $4)
ON CONFLICT (partition, "offset") DO UPDATE
SET number = mended.number + 1, mended_at = EXCLUDED.mended_at, payload = EXCLUDED.payload
RETURNING number
"""
