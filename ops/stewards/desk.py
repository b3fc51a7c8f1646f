"""What a steward looks at: the queue, an item with both sides, a person's history. Reads only.

No value of a trait unless it is asked for; who asks is audited by the caller, before it is given.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import msgspec

from dedup.deciding import Known
from dedup.identity import Candidate
from dedup.model import SERVICE_MODEL, load_model
from dedup.sides import Comparison, compare_persons
from dedup.store import DedupStore
from ops.runtime.postgres import Connection
from schemas.errors import PermanentError

from .persons import look

_HISTORY: Final = 100
MAX_ITEMS: Final = 1_000

# Put off goes last within its priority, however old.
LIST: Final = """
SELECT r.review_item_id, r.opened_at, r.kind, r.priority, r.guard, r.person_id, r.other_person_id,
       r.bits, r.postponed_at, r.proposed_by
FROM review_item r
WHERE r.closed_at IS NULL AND ($1 = '' OR r.guard = $1) AND ($2 = 0 OR r.priority = $2)
ORDER BY r.priority, r.postponed_at NULLS FIRST, r.opened_at, r.review_item_id
LIMIT $3 OFFSET $4
"""
ITEM: Final = """
SELECT r.review_item_id, r.opened_at, r.kind, r.priority, r.guard, r.person_id, r.other_person_id,
       r.bits, r.postponed_at, r.proposed_by, r.closed_at, r.closed_by, r.verdict, r.model_version
FROM review_item r WHERE r.review_item_id = $1
"""
# Decisions of the machine by the person they are about; acts of stewards by either person.
HISTORY: Final = """
WITH found AS (
    (SELECT e.link_event_id FROM link_event e WHERE e.person_id = ANY ($1::bigint[])
     ORDER BY e.link_event_id DESC LIMIT $2)
    UNION
    (SELECT s.link_event_id FROM steward_event s WHERE s.person_id = ANY ($1::bigint[])
     ORDER BY s.link_event_id DESC LIMIT $2)
)
SELECT e.link_event_id, e.at, e.kind, e.person_id, e.other_person_id, e.rule, e.model_version,
       e.actor, e.partition, e."offset"
FROM found JOIN link_event e USING (link_event_id)
ORDER BY e.link_event_id DESC LIMIT $2
"""
REPORTS: Final = "SELECT count(*) FROM report WHERE person_id = $1"


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """An item of the queue, without values."""

    item: int
    opened_at: datetime
    kind: str
    priority: int
    guard: str
    person: int
    other: int
    bits: float | None
    postponed_at: datetime | None = None
    proposed_by: str | None = None


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """A line of a history: a decision of the machine, or an act of a steward."""

    event: int
    """What `labdispatch identity undo` takes, of merges, unmerges, verdicts and oppositions."""
    at: datetime
    kind: str
    person: int
    other: int | None
    rule: str
    model: str
    actor: str
    record: str
    """Partition and offset, where it is about one record."""


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """One side: a person, without values but the INS where they may be shown."""

    person: int
    stands_for: int
    isolated: bool
    merged: tuple[int, ...]
    """Everybody merged into whom it stands for."""
    reports: int
    identities: int
    ins_oids: tuple[str, ...]
    ins: tuple[str, ...] = ()


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """An item with both sides field by field, and what was decided about them so far."""

    item: Item
    closed_at: datetime | None
    closed_by: str | None
    verdict: str | None
    one: Person
    other: Person
    comparison: Comparison | None
    """None where traits of one side can be read no more, or both are one person by now."""
    history: list[Event]


async def list_items(
    connection: Connection, *, guard: str = "", priority: int = 0, limit: int = 50, skip: int = 0
) -> list[Item]:
    """Return open items, the most urgent first."""
    rows = await connection.fetch(LIST, guard, priority, min(limit, MAX_ITEMS), skip)
    return [_item(row) for row in rows]


async def pair_of_item(connection: Connection, item: int) -> tuple[int, int]:
    """Return the two persons that an item is about.

    Raises:
        PermanentError: There is no such item.
    """
    row = await connection.fetchrow(ITEM, item)
    if row is None:
        raise PermanentError("no_such_item", "`labdispatch review list` shows the open ones")
    return row["person_id"], row["other_person_id"]


async def show_item(
    connection: Connection, store: DedupStore, item: int, *, with_values: bool, most: int
) -> Shown:
    """Return an item with both sides.

    Args:
        connection: Any.
        store: Opens identities.
        item: Its number.
        with_values: Whether values are shown; the caller has audited it.
        most: The most persons merged together.

    Raises:
        PermanentError: There is no such item.
    """
    row = await connection.fetchrow(ITEM, item)
    if row is None:
        raise PermanentError("no_such_item", "`labdispatch review list` shows the open ones")
    pair = (row["person_id"], row["other_person_id"])
    held = await look(connection, pair, most=most)
    ends = [held.pointers.end_of(each) for each in pair]
    joined = ends[0] == ends[1]
    # One person by now: what the item asked about is shown, each side by itself.
    if joined:
        known = await store.each_alone(connection, pair)
        sides = [known[each] for each in pair]
    else:
        persons = Known()
        await store.load(connection, pair, persons)
        sides = [persons.persons[each] for each in ends]
    one, other = [
        Person(
            person=number,
            stands_for=end,
            isolated=number in held.isolated,
            merged=tuple(each for each in held.cluster(end) if each != end),
            reports=await connection.fetchval(REPORTS, end),
            identities=len(side.aliases),
            ins_oids=tuple(sorted(number.ins.oid for number in side.ins.values())),
            ins=_numbers(side) if with_values else (),
        )
        for number, end, side in zip(pair, ends, sides, strict=True)
    ]
    model = load_model(SERVICE_MODEL)
    return Shown(
        item=_item(row),
        closed_at=row["closed_at"],
        closed_by=row["closed_by"],
        verdict=row["verdict"],
        one=one,
        other=other,
        comparison=compare_persons(sides[0], sides[1], model, with_values=with_values),
        history=await history_of(connection, held.everybody),
    )


async def history_of(connection: Connection, persons: list[int]) -> list[Event]:
    """Return the newest link events of some persons, the newest first."""
    return [
        Event(
            event=row["link_event_id"],
            at=row["at"],
            kind=row["kind"],
            person=row["person_id"],
            other=row["other_person_id"],
            rule=row["rule"],
            model=row["model_version"],
            actor=row["actor"],
            record="" if row["partition"] is None else f"{row['partition']}/{row['offset']}",
        )
        for row in await connection.fetch(HISTORY, persons, _HISTORY)
    ]


def _numbers(person: Candidate) -> tuple[str, ...]:
    held = (each.ins for each in person.ins.values() if each.ins.matricule)
    return tuple(sorted(f"{ins.matricule} {ins.oid}" for ins in held))


def _item(row: Any) -> Item:
    return Item(
        item=row["review_item_id"],
        opened_at=row["opened_at"],
        kind=row["kind"],
        priority=row["priority"],
        guard=row["guard"],
        person=row["person_id"],
        other=row["other_person_id"],
        bits=None if row["bits"] is None else row["bits"] / 1000,
        postponed_at=row["postponed_at"],
        proposed_by=row["proposed_by"],
    )
