"""Merges that stand, and what each kept person was known by before."""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from dedup.review import Rows
from ops.runtime.postgres import Connection

from . import queries


class Edge(msgspec.Struct, frozen=True, kw_only=True):
    """A merge that stands: who was merged into whom, and what the kept one was known by before."""

    event: int
    kept: int
    gone: int
    before: Rows


async def standing_edges(connection: Connection, persons: Collection[int]) -> dict[int, Edge]:
    """Return gone person -> the merge that stands for it."""
    rows = await connection.fetch(queries.STANDING_MERGES, sorted(persons))
    return {
        row["gone_id"]: Edge(
            event=row["link_event_id"],
            kept=row["kept_id"],
            gone=row["gone_id"],
            before=Rows(
                aliases=frozenset(row["kept_aliases"]),
                ins=frozenset(row["kept_ins"]),
                keys=frozenset(row["kept_keys"]),
            ),
        )
        for row in rows
    }
