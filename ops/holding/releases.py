"""The words of people that a stream need not wait: what routing asks of the table `hold_release`.

A word is about what was seen: it counts for a report as long as that says the same, whichever
message says it, and no longer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from uuid import UUID

from ops.runtime.postgres import Connection
from schemas.topics import Stream

Released = frozenset[tuple[Stream, str]]

RELEASED: Final = """
SELECT r.report_id, r.stream, r.reason
FROM unnest($1::uuid[], $2::uuid[]) AS asked (i, d)
JOIN hold_release r ON r.report_id = asked.i AND r.content_digest = asked.d
"""


async def released_of(connection: Connection, digests: Mapping[UUID, UUID]) -> dict[UUID, Released]:
    """Return what was released of some reports, by report id.

    Args:
        connection: Inside the transaction whose reports these are.
        digests: Report id -> digest of what it says now.
    """
    if not digests:
        return {}
    rows = await connection.fetch(RELEASED, list(digests), list(digests.values()))
    found: dict[UUID, set[tuple[Stream, str]]] = {}
    for row in rows:
        found.setdefault(row["report_id"], set()).add((Stream(row["stream"]), row["reason"]))
    return {report: frozenset(released) for report, released in found.items()}
