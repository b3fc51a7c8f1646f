"""SQL of readers' tokens, named."""

from __future__ import annotations

from typing import Final

AUDIT: Final = "SELECT audit_append($1, $2, $3, $4)"

# Two that make one at the same time count one after the other.
ALONE: Final = "LOCK TABLE stream_token IN SHARE ROW EXCLUSIVE MODE"
COUNT: Final = "SELECT count(*) FROM stream_token WHERE revoked_at IS NULL"
ADD: Final = """
INSERT INTO stream_token (name, digest, last4, streams, filter, daily_events, max_connections,
                          expires_at, made_by, made_at)
VALUES ($1, $2, $3, $4::text[], $5::jsonb, $6, $7, $8, $9, $10)
ON CONFLICT DO NOTHING RETURNING token_id
"""
REVOKE: Final = """
UPDATE stream_token SET revoked_at = $2, revoked_by = $3
WHERE name = $1 AND revoked_at IS NULL RETURNING token_id
"""
QUOTA: Final = """
UPDATE stream_token SET daily_events = $2, max_connections = $3
WHERE name = $1 AND revoked_at IS NULL RETURNING token_id
"""

_COLUMNS: Final = """
SELECT t.token_id, t.name, t.last4, t.streams, t.filter::text AS filter, t.daily_events,
       t.max_connections, t.expires_at, t.made_by, t.made_at, t.revoked_by, t.revoked_at,
       coalesce(u.events, 0) AS events, coalesce(u.reads, 0) AS reads,
       coalesce(u.refused, 0) AS refused
FROM stream_token t LEFT JOIN stream_use u ON u.token_id = t.token_id AND u.day = $1
"""
# Live ones first by name; of those that were revoked the newest.
LIST: Final = (
    _COLUMNS
    + """
ORDER BY t.revoked_at IS NOT NULL, CASE WHEN t.revoked_at IS NULL THEN t.name END,
         t.revoked_at DESC LIMIT $2
"""
)
# The live one of a name, else the one of that name that was revoked last.
BY_NAME: Final = (
    _COLUMNS + " WHERE t.name = $2 ORDER BY t.revoked_at IS NOT NULL, t.revoked_at DESC LIMIT 1"
)
DAYS: Final = """
SELECT u.day, u.events, u.reads, u.refused FROM stream_use u
WHERE u.token_id = $1 ORDER BY u.day DESC LIMIT $2
"""

# What a process keeps in memory. Whoever was revoked long ago is a stranger.
KNOWN: Final = """
SELECT t.token_id, t.name, t.digest, t.streams, t.filter::text AS filter, t.daily_events,
       t.max_connections, t.expires_at, t.revoked_at IS NOT NULL AS revoked
FROM stream_token t WHERE t.revoked_at IS NULL OR t.revoked_at > $1
ORDER BY t.revoked_at IS NOT NULL, t.token_id DESC LIMIT $2
"""

TAKE: Final = "SELECT stream_quota_take($1, $2, $3)"
# Rows in the order of the key: two processes that add at once never wait in a circle.
ADD_USE: Final = """
INSERT INTO stream_use AS u (token_id, day, events, reads, refused)
SELECT n.token_id, n.day, n.events, n.reads, n.refused
FROM unnest($1::integer[], $2::date[], $3::bigint[], $4::bigint[], $5::bigint[])
     AS n (token_id, day, events, reads, refused)
ORDER BY n.token_id, n.day
ON CONFLICT (token_id, day) DO UPDATE
SET events = u.events + EXCLUDED.events, reads = u.reads + EXCLUDED.reads,
    refused = u.refused + EXCLUDED.refused
"""
GIVE_BACK: Final = """
UPDATE stream_use SET events = greatest(events - $3, 0) WHERE token_id = $1 AND day = $2
"""
FORGET: Final = "DELETE FROM stream_use WHERE day < $1"

# Ends of reads, in their order; each is an entry of the chain.
AUDIT_ENDS: Final = """
SELECT audit_append(e.actor, 'stream_read_ended', e.subject, e.told)
FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY AS e (actor, subject, told, n)
ORDER BY e.n
"""
