"""Reports to take back from a stream by what is known of them without their content."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final
from uuid import UUID

import msgspec

from ops.runtime.postgres import Connection
from ops.sources import ReportRow

MESSAGE_IDS: Final = """
SELECT o.partition, o."offset", o.message_id
FROM unnest($1::integer[], $2::bigint[]) AS asked (p, o)
JOIN outcome o ON o.partition = asked.p AND o."offset" = asked.o
"""
_NO_MESSAGE: Final = UUID(int=0)


class Withdrawn(msgspec.Struct, frozen=True, kw_only=True):
    """A report to take back from a stream, by what is known of it without its content."""

    report_id: UUID
    partition: int
    person_version: int
    message_id: UUID
    reason: str


async def withdrawn_of(
    connection: Connection,
    rows: Iterable[ReportRow],
    versions: Mapping[int, int],
    reason: str,
) -> list[Withdrawn]:
    """Return what takes some reports back.

    Args:
        connection: Inside the transaction whose reports these are.
        rows: The reports.
        versions: Person -> its version, which the events carry.
        reason: Why: the event's.
    """
    found = list(rows)
    if not found:
        return []
    ids = {
        (row["partition"], row["offset"]): row["message_id"]
        for row in await connection.fetch(
            MESSAGE_IDS, [r.partition for r in found], [r.offset for r in found]
        )
    }
    return [
        Withdrawn(
            report_id=row.report_id,
            partition=row.partition,
            person_version=versions.get(row.person_id, 0),
            message_id=ids.get(row.place, _NO_MESSAGE),
            reason=reason,
        )
        for row in found
    ]
