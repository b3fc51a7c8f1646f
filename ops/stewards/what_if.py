"""What another model would decide of records that came: before it is switched on. Reads only.

Each record is held against what was known when it came, so a change stands alone: what would follow
from it for later records is not followed up. Keys are those of the tables: a model with other
families of keys would find more.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Final

import msgspec

from dedup.model import Model
from dedup.store import DedupStore
from ops.runtime.postgres import Connection
from ops.sources import Sources
from schemas.decision import MatchDecision, Verdict

from .as_of import EVENTS_SINCE, RecordEvent, known_then, last_before, read_event

_PAGE: Final = 200


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """A record that another model would decide otherwise; no value of a trait."""

    event: int
    record: str
    kind: str
    person: int
    would_be: int | None
    guard: str


class WhatIf(msgspec.Struct, kw_only=True):
    """What would change."""

    model: str
    records: int = 0
    unreadable: int = 0
    kinds: dict[str, int] = {}
    changes: list[Change] = []
    """The first of them; `kinds` counts all."""


async def what_if(
    connection: Connection,
    store: DedupStore,
    sources: Sources,
    model: Model,
    *,
    since: datetime,
    limit: int,
    listed: int,
) -> WhatIf:
    """Decide again with a model about what came since; nothing is written.

    Args:
        connection: Any.
        store: Opens identities.
        sources: Reads records back.
        model: That is to be tried.
        since: First moment.
        limit: The most records.
        listed: The most changes to name.
    """
    found = WhatIf(model=model.version, kinds={})
    kinds: Counter[str] = Counter()
    last = await last_before(connection, since)
    while found.records + found.unreadable < limit:
        left = limit - found.records - found.unreadable
        rows = await connection.fetch(EVENTS_SINCE, last, since, min(_PAGE, left))
        if not rows:
            break
        last = rows[-1]["link_event_id"]
        events = [read_event(row) for row in rows]
        records = await sources.records(connection, [event.place for event in events])
        for event in events:
            record = records.get(event.place)
            prepared = None if record is None else await sources.prepared(connection, record, {})
            if prepared is None or prepared.mapped is None:
                found.unreadable += 1
                continue
            keys = sources.keys_of(prepared.mapped.traits)
            then = await known_then(connection, store, sources, keys, event)
            again = then.decide(keys, model)
            kind = kind_of_change(event, again)
            kinds[kind] += 1
            found.records += 1
            if kind != "same" and len(found.changes) < listed:
                found.changes.append(_change(event, again, kind))
    found.kinds = dict(sorted(kinds.items()))
    return found


def kind_of_change(event: RecordEvent, again: MatchDecision) -> str:
    """Return how two decisions about one record differ: `same`, or `link -> new`."""
    before = event.decision
    if before.verdict is not again.verdict:
        return f"{before.verdict.value} -> {again.verdict.value}"
    if before.verdict is Verdict.LINK and before.person_id != again.person_id:
        return "link -> link of another"
    if before.verdict is Verdict.REVIEW and before.contradicts != again.contradicts:
        return "review -> review against another"
    return "same"


def as_text(found: WhatIf) -> str:
    """Return it for a terminal."""
    lines = [
        f"{found.records:,} records decided again by {found.model}"
        + (f"; {found.unreadable:,} can be read no more" if found.unreadable else "")
    ]
    lines += [f"  {n:>10,}  {kind}" for kind, n in found.kinds.items()]
    for each in found.changes:
        to = "" if each.would_be is None else f", would be {each.would_be}"
        guard = f", guard {each.guard}" if each.guard else ""
        lines.append(
            f"  event {each.event}, record {each.record}: {each.kind}; person {each.person}"
            f"{to}{guard}"
        )
    return "\n".join(lines) + "\n"


def _change(event: RecordEvent, again: MatchDecision, kind: str) -> Change:
    return Change(
        event=event.event,
        record=f"{event.place[0]}/{event.place[1]}",
        kind=kind,
        person=event.person_id,
        would_be=again.person_id,
        guard=again.guard,
    )
