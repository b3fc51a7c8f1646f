"""SQL of pauses, named."""

from __future__ import annotations

from typing import Final

PAUSE: Final = """
INSERT INTO pause (what, name, lab_id, paused_at, actor, reason)
VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING RETURNING name
"""
# The locks of every batch, in their order: who comes after sees that the pause has ended.
STAND_STILL: Final = "SELECT FROM intake_progress ORDER BY partition FOR UPDATE"
RESUME: Final = "DELETE FROM pause WHERE what = $1 AND name = $2 RETURNING lab_id"
STREAMS: Final = "SELECT name FROM pause WHERE what = 'stream'"
LIST: Final = """
SELECT what, name, paused_at, actor, reason FROM pause
UNION ALL SELECT 'receiver', name, paused_at, '', state_reason FROM receiver
WHERE state = 'paused' AND removed_at IS NULL
ORDER BY 3 NULLS FIRST, 1, 2
"""
LAB: Final = "SELECT lab_id FROM lab WHERE registry_id = $1"
AUDIT: Final = "SELECT audit_append($1, $2, $3, $4)"
# A laboratory is one partition: its offsets are the order in which its messages came. Of a message
# that was dispatched a replay was asked for during the pause.
TO_REPLAY: Final = """
SELECT k.partition, k."offset", k.lab_id, o.message_id, o.control_key
FROM parked k JOIN outcome o ON o.partition = k.partition AND o."offset" = k."offset"
WHERE k.resolved_at IS NULL AND k.reason = 'laboratory_paused' AND k.lab_id = $1
  AND k."offset" > $2
ORDER BY k."offset" LIMIT $3
"""
LEFT: Final = """
SELECT count(*) FROM parked k
WHERE k.resolved_at IS NULL AND k.reason = 'laboratory_paused' AND k.lab_id = $1
  AND k."offset" > $2
"""
