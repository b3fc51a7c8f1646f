"""Which messages of a batch were handled before, and which reuse a control id for other bytes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from dedup.store import DedupStore
from ingest.catalogue import finding
from ops.prepare import Prepared
from ops.runtime.postgres import Connection
from schemas.envelope import RecordKind

REUSED: Final = "control_id_reused"


class Passed(msgspec.Struct, frozen=True, kw_only=True):
    """A batch after the inbox."""

    items: list[Prepared]
    """All of it, in order; what reuses a control id has a finding more."""
    duplicates: dict[tuple[int, int], UUID]
    """Place of each exact resend -> the message it repeats."""


async def pass_inbox(
    store: DedupStore, connection: Connection, items: Sequence[Prepared], at: datetime
) -> Passed:
    """Tell exact resends from new messages, and remember the new ones.

    A control id that comes again with other bytes is a new message: laboratories restart their
    counters. It goes its way, and its laboratory is told.
    """
    messages = [item.record for item in items if item.record.kind is RecordKind.MESSAGE]
    if not messages:
        return Passed(items=list(items), duplicates={})
    seen = await store.seen(connection, {r.inbox_key for r in messages}, at.date())
    duplicates: dict[tuple[int, int], UUID] = {}
    fresh = []
    for record in messages:
        original = seen.get(record.inbox_key)
        if original is not None:
            duplicates[record.offset_place] = original
        else:
            seen[record.inbox_key] = record.message_id
            fresh.append(record)
    await store.remember(connection, [(r.inbox_key, r.message_id) for r in fresh], at.date())
    used = await store.control_ids(connection, {r.control_key for r in fresh}, at)
    reused: set[tuple[int, int]] = set()
    for record in fresh:
        control_id = (record.lab_id, record.control_key)
        if control_id in used:
            reused.add(record.offset_place)
        used.add(control_id)
    return Passed(items=[_told(item, reused) for item in items], duplicates=duplicates)


def _told(item: Prepared, reused: set[tuple[int, int]]) -> Prepared:
    if item.record.offset_place not in reused:
        return item
    return msgspec.structs.replace(item, findings=(*item.findings, finding(REUSED)))
