"""What waits: one row of a report and stream while any part of it waits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final, NamedTuple

from ops.runtime.postgres import Connection

from .emitted import Place

# Puts streams on hold; one that waits already for the same reason keeps its time. Parts come with a
# space between: an array of arrays has no ragged rows.
HOLD: Final = """
INSERT INTO hold (report_id, stream, reason, parts, since)
SELECT report_id, stream, reason, string_to_array(parts, ' '), $5
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[])
     AS new (report_id, stream, reason, parts)
ON CONFLICT (report_id, stream) DO UPDATE SET
    reason = EXCLUDED.reason, parts = EXCLUDED.parts,
    since = CASE WHEN hold.reason = EXCLUDED.reason THEN hold.since ELSE EXCLUDED.since END
WHERE hold.reason <> EXCLUDED.reason OR hold.parts <> EXCLUDED.parts
"""

# Lets streams go that wait no longer.
RELEASE: Final = """
DELETE FROM hold
USING unnest($1::uuid[], $2::text[]) AS gone (report_id, stream)
WHERE hold.report_id = gone.report_id AND hold.stream = gone.stream
"""


class Hold(NamedTuple):
    """Why a stream waits for a report, and for which parts of it."""

    reason: str
    parts: tuple[str, ...] = ()
    """Conditions; none where it waits for the whole report."""


async def write_holds(
    conn: Connection,
    holds: Mapping[Place, Hold],
    cleared: Iterable[Place],
    at: datetime,
) -> None:
    """Put streams on hold with a reason, and release others; what is held is not released."""
    gone = sorted(set(cleared) - holds.keys())
    if gone:
        await conn.execute(RELEASE, [each[0] for each in gone], [each[1] for each in gone])
    if holds:
        keys = sorted(holds)
        await conn.execute(
            HOLD,
            [report_id for report_id, _ in keys],
            [stream for _, stream in keys],
            [holds[key].reason for key in keys],
            [" ".join(holds[key].parts) for key in keys],
            at,
        )
