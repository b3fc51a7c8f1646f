"""What streams hold of some reports: by the table `emitted`, by the events, and what waits."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any
from uuid import UUID

from ops.runtime.postgres import Connection
from ops.runtime.vault import Vault
from routing.emitted import EmittedRow
from schemas.errors import PermanentError
from schemas.events import EventKind
from schemas.patient import Phi
from schemas.topics import Stream

from . import queries
from .differences import Folded

Key = tuple[UUID, Stream]


class Holding(Phi, frozen=True, kw_only=True):
    """What is held, by report and stream."""

    table: dict[Key, EmittedRow]
    folds: dict[Key, Folded]
    holds: dict[Key, str]


async def holding_of(connection: Connection, vault: Vault, ids: Collection[UUID]) -> Holding:
    """Return what streams hold of these reports; without a lock, in the snapshot."""
    asked = sorted(ids)
    table = {
        (row["report_id"], Stream(row["stream"])): EmittedRow(
            report_id=row["report_id"],
            stream=Stream(row["stream"]),
            event_version=row["event_version"],
            published=row["published"],
            addressee=row["addressee"],
            body_digest=row["body_digest"],
        )
        for row in await connection.fetch(queries.HELD, asked)
    }
    folds = {
        (row["report_id"], Stream(row["stream"])): _folded(vault, row)
        for row in await connection.fetch(queries.FOLD, asked)
    }
    holds = {
        (row["report_id"], Stream(row["stream"])): row["reason"]
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
