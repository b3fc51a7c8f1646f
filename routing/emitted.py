"""What each stream holds of each report, and the events that lead to what it should hold.

Corrections, merges, unmerges, new rules and replays all go through `diff`: the same wish twice
gives no second event. A stream holds a report in parts: each condition it tells of, or the whole.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Final, NamedTuple
from uuid import UUID

import msgspec

from ops.runtime.postgres import Connection
from schemas.decision import Realm
from schemas.events import EventKind
from schemas.ids import id_of
from schemas.patient import Phi
from schemas.topics import Stream

from .case import HIDDEN, Projection
from .pseudonym import body_digest
from .rules import NO_RULE

NOTHING: Final = UUID(int=0)
"""The digest of a row whose stream holds no body."""

WITHDRAWAL_REASONS: Final = frozenset(
    {"cancelled", "identity_changed", "opposition", "case_changed", "rules_changed"}
)
REVISION_REASONS: Final = frozenset(
    {"new_version", "cancelled", "identity_changed", "replayed", "case_changed", "rules_changed"}
)

Place = tuple[UUID, Stream]
"""A report in a stream."""
Key = tuple[UUID, Stream, str]
"""A part of a report in a stream."""

# Locks what the streams hold of these reports, always in the same order.
LOAD: Final = """
SELECT report_id, stream, part, event_version, published, addressee, body_digest,
       pseudonym_periods, told_as
FROM emitted WHERE report_id = ANY ($1::uuid[]) ORDER BY report_id, stream, part FOR UPDATE
"""

# The same for who writes nothing: for a look that may be old by the next moment.
READ: Final = LOAD.replace(" FOR UPDATE", "")

# Writes what the streams hold from now on.
STORE: Final = """
INSERT INTO emitted (report_id, stream, part, event_version, published, addressee, body_digest,
                     pseudonym_periods, told_as)
SELECT report_id, stream, part, event_version, published, addressee, body_digest,
       pseudonym_periods, told_as
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::integer[], $5::boolean[], $6::text[],
            $7::uuid[], $8::text[], $9::uuid[])
     AS new (report_id, stream, part, event_version, published, addressee, body_digest,
             pseudonym_periods, told_as)
ON CONFLICT (report_id, stream, part) DO UPDATE SET
    event_version = EXCLUDED.event_version, published = EXCLUDED.published,
    addressee = EXCLUDED.addressee, body_digest = EXCLUDED.body_digest,
    pseudonym_periods = EXCLUDED.pseudonym_periods, told_as = EXCLUDED.told_as
"""


class Due(Phi, frozen=True, kw_only=True):
    """Whether a part of a report is due in a stream, and the rule that said so."""

    due: bool
    rule: str
    rule_version: str


class Wanted(Phi, frozen=True, kw_only=True):
    """What a stream should hold of a part of a report from now on; a projection where it is due."""

    report_id: UUID
    stream: Stream
    part: str = ""
    """A condition; empty: the whole report."""
    partition: int
    person_version: int
    message_id: UUID
    decision: Due
    projection: Projection | None = None
    reason: str = ""
    """Why it is asked: new_version, cancelled, identity_changed or replayed."""
    waits: bool = False
    """It is not due because something about it is doubted."""
    beside: frozenset[str] | None = None
    """Set on the last wish for a version of a report: all parts that were wished for. Of what the
    stream holds beyond them nothing is due any more."""
    partitions: int | None = None
    """Of the stream. What is declared anonymously has the lane of the id it is told under, which
    says nothing of the laboratory."""
    is_version: bool = True
    """The report's own new version asks; else what the hub knows of it has changed."""
    moves: bool = False
    """It is about another patient than before: withdrawn of the one, published of the other."""


class EmittedRow(Phi, frozen=True, kw_only=True):
    """What a stream holds of a part of a report: one row of the table `emitted`."""

    report_id: UUID
    stream: Stream
    part: str = ""
    event_version: int
    published: bool
    addressee: str
    body_digest: UUID
    pseudonym_periods: str = ""
    """Of public health: periods whose pseudonyms it holds, with a space between; or `HIDDEN`."""
    told_as: UUID | None = None
    """The id that its events bear in place of the report's; None: they bear the report's."""


class PendingEvent(Phi, frozen=True, kw_only=True):
    """An event without its place in the stream, which the outbox gives."""

    stream: Stream
    partition: int
    event_id: UUID
    report_id: UUID
    event_version: int
    kind: EventKind
    reason: str
    realm: Realm
    rule: str
    rule_version: str
    person_version: int
    message_id: UUID
    part: str = ""
    body: bytes | None = None
    is_hidden: bool = False
    """Of a row that is declared anonymously: no header of it may be laid beside another's."""


class Changes(NamedTuple):
    """The events to write, in order, and the rows as they are after them."""

    events: list[PendingEvent]
    rows: list[EmittedRow]


def event_id_of(stream: Stream, report_id: UUID, event_version: int, part: str = "") -> UUID:
    """Return the id of an event: the same event never has two, two never share one."""
    told = b"%s\x1f%s%d" % (stream.value.encode(), report_id.bytes, event_version)
    if part:
        told += b"\x1f" + part.encode()
    return id_of(blake2b(told, digest_size=16, person=b"event").digest())


def diff(
    held: Mapping[Key, EmittedRow], wanted: Iterable[Wanted], realm: Realm, secret: bytes
) -> Changes:
    """Return the events that lead from what is held to what is wanted; pure.

    Same body (or what of it is compared) and addressee: nothing. Another addressee, or another
    patient: withdrawn from the old, published to the new (two versions). No longer due, or held and
    no part of the report any more: withdrawn. What has no pseudonym any more leaves the row that
    stands, unless the laboratory changed it. Wishes for one report are met in order.

    Args:
        held: What `load` gave for these reports.
        wanted: At most one wish for each part of a version of a report in a stream, the last of
            which says which there are.
        realm: Marks each event.
        secret: Keys the digests of bodies; it must never change.
    """
    events: list[PendingEvent] = []
    changed: dict[Key, EmittedRow] = {}
    there: dict[Place, set[str]] = {}
    for report_id, stream, part in held:
        there.setdefault((report_id, stream), set()).add(part)
    for wish in wanted:
        place = (wish.report_id, wish.stream)
        if place not in there and not wish.decision.due:
            continue  # nothing is there to be taken back: half of the wishes of new reports
        parts = there.setdefault(place, set())
        for each in (wish, *_left(wish, parts)):
            key = (*place, each.part)
            steps, after = _steps(changed.get(key) or held.get(key), each, realm, secret)
            if after is not None:
                changed[key] = after
                parts.add(each.part)
            events += steps
    return Changes(events, [changed[key] for key in sorted(changed)])


def _left(wish: Wanted, parts: Collection[str]) -> list[Wanted]:
    """Return wishes for what is held and was not wished for: that it be there no more."""
    if wish.beside is None or not parts or wish.beside.issuperset(parts):
        return []
    decision = Due(due=False, rule=NO_RULE, rule_version=wish.decision.rule_version)
    return [
        msgspec.structs.replace(
            wish, part=part, decision=decision, projection=None, waits=False, beside=None
        )
        for part in sorted(set(parts) - wish.beside - {wish.part})
    ]


def _steps(
    row: EmittedRow | None, wish: Wanted, realm: Realm, secret: bytes
) -> tuple[list[PendingEvent], EmittedRow | None]:
    standing = row is not None and row.published
    version = 0 if row is None else row.event_version
    if not wish.decision.due:
        if row is None or not standing:
            return [], None
        gone = _event(wish, version + 1, EventKind.WITHDRAWN, _why_gone(wish), realm, held=row)
        return [gone], _row(wish, version + 1, row.addressee, None, row.told_as)
    projection = wish.projection
    assert projection is not None, "what is due has a projection"
    told_as = projection.told_as
    told = projection.compared
    digest = body_digest(secret, projection.body if told is None else told)
    if row is None or not standing:
        kind, reason = EventKind.PUBLISHED, "new"
    elif _keeps(wish):
        return [], None
    elif _is_elsewhere(row, projection) or (wish.moves and row.body_digest != digest):
        moved = _event(wish, version + 1, EventKind.WITHDRAWN, "moved", realm, held=row)
        new = _event(wish, version + 2, EventKind.PUBLISHED, "moved", realm)
        return [moved, new], _row(wish, version + 2, projection.addressee, digest, told_as)
    elif row.body_digest != digest:
        kind = EventKind.REVISED
        reason = wish.reason if wish.reason in REVISION_REASONS else "new_version"
    else:
        return [], None
    event = _event(wish, version + 1, kind, reason, realm)
    return [event], _row(wish, version + 1, projection.addressee, digest, told_as)


def _why_gone(wish: Wanted) -> str:
    if wish.waits:
        return "on_hold"
    if wish.reason == "new_version":
        return "corrected"
    return wish.reason if wish.reason in WITHDRAWAL_REASONS else "no_longer_due"


def _is_elsewhere(row: EmittedRow, projection: Projection) -> bool:
    """Say whether whoever holds it would see no revision: it is another's, or named otherwise."""
    return row.addressee != projection.addressee or row.told_as != projection.told_as


def _keeps(wish: Wanted) -> bool:
    """Say whether a row that stands is left as it is: its pseudonym could not be made again.

    A new version of the laboratory goes out without one all the same.
    """
    lacks = wish.projection is not None and wish.projection.lacks_pseudonym
    return lacks and not wish.is_version


def _event(
    wish: Wanted,
    version: int,
    kind: EventKind,
    reason: str,
    realm: Realm,
    *,
    held: EmittedRow | None = None,
) -> PendingEvent:
    body = None
    told = wish.projection if held is None else held
    is_hidden = told is not None and told.pseudonym_periods == HIDDEN
    if kind is not EventKind.WITHDRAWN and wish.projection is not None:
        body = wish.projection.body
    report_id = (None if told is None else told.told_as) or wish.report_id
    partition = wish.partition
    if is_hidden and wish.partitions is not None:
        partition = report_id.int % wish.partitions
    return PendingEvent(
        stream=wish.stream,
        partition=partition,
        event_id=event_id_of(wish.stream, report_id, version, wish.part),
        report_id=report_id,
        event_version=version,
        kind=kind,
        reason=reason,
        realm=realm,
        rule=wish.decision.rule,
        rule_version=wish.decision.rule_version,
        person_version=0 if is_hidden else wish.person_version,
        message_id=wish.message_id,
        part=wish.part,
        body=body,
        is_hidden=is_hidden,
    )


def _row(
    wish: Wanted, version: int, addressee: str, digest: UUID | None, told_as: UUID | None
) -> EmittedRow:
    return EmittedRow(
        report_id=wish.report_id,
        stream=wish.stream,
        part=wish.part,
        event_version=version,
        published=digest is not None,
        addressee=addressee,
        body_digest=NOTHING if digest is None else digest,
        pseudonym_periods="" if wish.projection is None else wish.projection.pseudonym_periods,
        told_as=told_as,
    )


async def load(
    conn: Connection, report_ids: Iterable[UUID], *, locks: bool = True
) -> dict[Key, EmittedRow]:
    """Return and lock what the streams hold of these reports; inside a transaction."""
    wanted = sorted(set(report_ids))
    if not wanted:
        return {}
    rows = [
        EmittedRow(
            report_id=row["report_id"],
            stream=Stream(row["stream"]),
            event_version=row["event_version"],
            published=row["published"],
            addressee=row["addressee"],
            body_digest=row["body_digest"],
            pseudonym_periods=row["pseudonym_periods"],
            part=row["part"],
            told_as=row["told_as"],
        )
        for row in await conn.fetch(LOAD if locks else READ, wanted)
    ]
    return {(row.report_id, row.stream, row.part): row for row in rows}


async def store(conn: Connection, rows: Sequence[EmittedRow]) -> None:
    """Write the rows of `Changes`; inside the transaction that loaded them."""
    if not rows:
        return
    ordered = sorted(rows, key=lambda row: (row.report_id, row.stream, row.part))
    await conn.execute(
        STORE,
        [row.report_id for row in ordered],
        [row.stream for row in ordered],
        [row.part for row in ordered],
        [row.event_version for row in ordered],
        [row.published for row in ordered],
        [row.addressee for row in ordered],
        [row.body_digest for row in ordered],
        [row.pseudonym_periods for row in ordered],
        [row.told_as for row in ordered],
    )
