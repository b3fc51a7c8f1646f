"""What streams hold of some reports: by the table `emitted`, by the events, and what waits."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any
from uuid import UUID

from ops.runtime.postgres import Connection
from ops.runtime.vault import Vault
from routing.emitted import EmittedRow, Place
from routing.holds import Hold
from schemas.errors import PermanentError
from schemas.events import EventKind
from schemas.patient import Phi
from schemas.topics import Stream

from . import queries
from .differences import Folded


class Holding(Phi, frozen=True, kw_only=True):
    """What is held, by report and stream, and what of it by part."""

    table: dict[Place, dict[str, EmittedRow]]
    folds: dict[Place, dict[str, Folded]]
    holds: dict[Place, Hold]

    def parts(self, place: Place) -> set[str]:
        """Return the parts of which anything is known."""
        return {*self.table.get(place, ()), *self.folds.get(place, ())}


async def holding_of(connection: Connection, vault: Vault, ids: Collection[UUID]) -> Holding:
    """Return what streams hold of these reports; without a lock, in the snapshot."""
    asked = sorted(ids)
    table: dict[Place, dict[str, EmittedRow]] = {}
    told_as = {each: each for each in asked}
    for row in await connection.fetch(queries.HELD, asked):
        stream, part = Stream(row["stream"]), row["part"]
        table.setdefault((row["report_id"], stream), {})[part] = EmittedRow(
            report_id=row["report_id"],
            stream=stream,
            part=part,
            event_version=row["event_version"],
            published=row["published"],
            addressee=row["addressee"],
            body_digest=row["body_digest"],
            told_as=row["told_as"],
        )
        if row["told_as"] is not None:
            told_as[row["told_as"]] = row["report_id"]
    folds: dict[Place, dict[str, Folded]] = {}
    for row in await connection.fetch(queries.FOLD, sorted(told_as)):
        place = (told_as[row["report_id"]], Stream(row["stream"]))
        known = folds.setdefault(place, {})
        fold, held = _folded(vault, row), known.get(row["part"])
        # Of a part that was told under two ids, what stands at last.
        if held is None or held.event_version < fold.event_version:
            known[row["part"]] = fold
    holds = {
        (row["report_id"], Stream(row["stream"])): Hold(row["reason"], tuple(row["parts"]))
        for row in await connection.fetch(queries.HOLDS, asked)
    }
    return Holding(table=table, folds=folds, holds=holds)


def _folded(vault: Vault, row: Any) -> Folded:
    body = None
    if row["payload"] is not None:
        body = _opened(vault, row["payload"], row["event_id"])
    return Folded(
        event_version=row["event_version"],
        kind=EventKind(row["kind"]),
        rule_version=row["rule_version"],
        body=body,
        is_destroyed=row["payload"] is not None and body is None,
    )


def _opened(vault: Vault, payload: bytes, event_id: UUID) -> bytes | None:
    """Return the body of an event; None where its key was destroyed."""
    try:
        return vault.open(payload, event_id.bytes)
    except PermanentError as error:
        if error.reason != "key_destroyed":
            raise
        return None
