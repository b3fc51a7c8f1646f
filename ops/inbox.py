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
from schemas.envelope import RecordKind, StoredRecord
from schemas.outcome import Parked, ParkReason

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

    What is sent again after a person has ended it, or after it could be read no more, is a message
    of its own from then on: its first one came to nothing. A replay of that one is a duplicate of
    the later, as is a replay of any exact resend: it would stand above what came between the two.
    """
    told = [item for item in items if item.record.kind is RecordKind.MESSAGE]
    again = [item for item in items if _is_done_again(item)]
    if not told and not again:
        return Passed(items=list(items), duplicates={})
    keys = {item.record.inbox_key for item in told} | {item.source.inbox_key for item in again}
    seen = await store.seen(connection, keys, at.date())
    ended = await store.ended(connection, set(seen.values()))
    duplicates: dict[tuple[int, int], UUID] = {}
    fresh: list[StoredRecord] = []
    first: set[UUID] = set()
    for item in items:
        record = item.record
        if record.kind is RecordKind.MESSAGE:
            original = seen.get(record.inbox_key)
            if original is not None and original not in ended:
                duplicates[record.offset_place] = original
                continue
            if original is None:
                first.add(record.message_id)
            seen[record.inbox_key] = record.message_id
            fresh.append(record)
            if _is_unreadable(item):
                ended.add(record.message_id)
        elif _is_done_again(item):
            original = seen.get(item.source.inbox_key, item.source.message_id)
            if original != item.source.message_id:
                duplicates[record.offset_place] = original
            else:
                ended.discard(original)
    last = {record.inbox_key: record.message_id for record in fresh}
    await store.remember(connection, list(last.items()), at.date())
    used = await store.control_ids(connection, {r.control_key for r in fresh}, at)
    reused: set[tuple[int, int]] = set()
    for record in fresh:
        control_id = (record.lab_id, record.control_key)
        if control_id in used and record.message_id in first:
            reused.add(record.offset_place)
        used.add(control_id)
    return Passed(items=[_told(item, reused) for item in items], duplicates=duplicates)


def _is_done_again(item: Prepared) -> bool:
    """Say whether it is the replay of a message that could be read."""
    return item.settles is not None and item.source.kind is RecordKind.MESSAGE


def _is_unreadable(item: Prepared) -> bool:
    parked = item.outcome
    return isinstance(parked, Parked) and parked.reason is ParkReason.UNREADABLE_PAYLOAD


def _told(item: Prepared, reused: set[tuple[int, int]]) -> Prepared:
    if item.record.offset_place not in reused:
        return item
    return msgspec.structs.replace(item, findings=(*item.findings, finding(REUSED)))
