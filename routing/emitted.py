"""What each stream holds of each report, and the events that lead to what it should hold.

Corrections, merges, unmerges, new rules and replays all go through `diff`: the same wish twice
gives no second event.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from hashlib import blake2b
from typing import Final, NamedTuple
from uuid import UUID

from ops.runtime.postgres import Connection
from schemas.decision import Realm
from schemas.events import EventKind
from schemas.ids import id_of
from schemas.patient import Phi
from schemas.topics import Stream

from .case import HIDDEN, Projection
from .pseudonym import body_digest

NOTHING: Final = UUID(int=0)
"""The digest of a row whose stream holds no body."""

WITHDRAWAL_REASONS: Final = frozenset(
    {"cancelled", "identity_changed", "opposition", "case_changed", "on_hold"}
)
REVISION_REASONS: Final = frozenset(
    {"new_version", "cancelled", "identity_changed", "replayed", "case_changed"}
)

Key = tuple[UUID, Stream]

# Locks what the streams hold of these reports, always in the same order.
LOAD: Final = """
SELECT report_id, stream, event_version, published, addressee, body_digest, pseudonym_periods
FROM emitted WHERE report_id = ANY ($1::uuid[]) ORDER BY report_id, stream FOR UPDATE
"""

# Writes what the streams hold from now on.
STORE: Final = """
INSERT INTO emitted (report_id, stream, event_version, published, addressee, body_digest,
                     pseudonym_periods)
SELECT report_id, stream, event_version, published, addressee, body_digest, pseudonym_periods
FROM unnest($1::uuid[], $2::text[], $3::integer[], $4::boolean[], $5::text[], $6::uuid[],
            $7::text[])
     AS new (report_id, stream, event_version, published, addressee, body_digest, pseudonym_periods)
ON CONFLICT (report_id, stream) DO UPDATE SET
    event_version = EXCLUDED.event_version, published = EXCLUDED.published,
    addressee = EXCLUDED.addressee, body_digest = EXCLUDED.body_digest,
    pseudonym_periods = EXCLUDED.pseudonym_periods
"""

# Puts streams on hold; one that waits already for the same reason keeps its time.
HOLD: Final = """
INSERT INTO hold (report_id, stream, reason, since)
SELECT report_id, stream, reason, $4
FROM unnest($1::uuid[], $2::text[], $3::text[]) AS new (report_id, stream, reason)
ON CONFLICT (report_id, stream) DO UPDATE SET reason = EXCLUDED.reason, since = EXCLUDED.since
WHERE hold.reason <> EXCLUDED.reason
"""

# Lets streams go that wait no longer.
RELEASE: Final = """
DELETE FROM hold
USING unnest($1::uuid[], $2::text[]) AS gone (report_id, stream)
WHERE hold.report_id = gone.report_id AND hold.stream = gone.stream
"""


class Due(Phi, frozen=True, kw_only=True):
    """Whether a report is due in a stream, and the rule that said so."""

    due: bool
    rule: str
    rule_version: str


class Wanted(Phi, frozen=True, kw_only=True):
    """What a stream should hold of a report from now on. `projection` is set where it is due."""

    report_id: UUID
    stream: Stream
    partition: int
    person_version: int
    message_id: UUID
    decision: Due
    projection: Projection | None = None
    reason: str = ""
    """Why it is asked: new_version, cancelled, identity_changed or replayed."""
    hidden_partition: int | None = None
    """The stream's lane of its events where they are declared anonymously: by the report alone."""
    is_version: bool = True
    """The report's own new version asks; else what the hub knows of it has changed."""
    moves: bool = False
    """It is about another patient than before: withdrawn of the one, published of the other."""


class EmittedRow(Phi, frozen=True, kw_only=True):
    """What a stream holds of a report: one row of the table `emitted`."""

    report_id: UUID
    stream: Stream
    event_version: int
    published: bool
    addressee: str
    body_digest: UUID
    pseudonym_periods: str = ""
    """Of public health: periods whose pseudonyms it holds, with a space between; or `HIDDEN`."""


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
    body: bytes | None = None
    is_hidden: bool = False
    """Of a row that is declared anonymously: no header of it may be laid beside another's."""


class Changes(NamedTuple):
    """The events to write, in order, and the rows as they are after them."""

    events: list[PendingEvent]
    rows: list[EmittedRow]


def event_id_of(stream: Stream, report_id: UUID, event_version: int) -> UUID:
    """Return the id of an event: the same event never has two, two never share one."""
    told = b"%s\x1f%s%d" % (stream.value.encode(), report_id.bytes, event_version)
    return id_of(blake2b(told, digest_size=16, person=b"event").digest())


def diff(
    held: Mapping[Key, EmittedRow], wanted: Iterable[Wanted], realm: Realm, secret: bytes
) -> Changes:
    """Return the events that lead from what is held to what is wanted; pure.

    Same body (or what of it is compared) and addressee: nothing. Another addressee, or another
    patient: withdrawn from the old, published to the new (two versions). No longer due: withdrawn.
    What has no pseudonym any more leaves the row that stands, unless the laboratory changed it.
    Wishes for one report are met in order.

    Args:
        held: What `load` gave for these reports.
        wanted: At most one wish for each version of a report and stream.
        realm: Marks each event.
        secret: Keys the digests of bodies; it must never change.
    """
    events: list[PendingEvent] = []
    changed: dict[Key, EmittedRow] = {}
    for wish in wanted:
        key = (wish.report_id, wish.stream)
        row = changed.get(key) or held.get(key)
        steps, after = _steps(row, wish, realm, secret)
        if after is not None:
            changed[key] = after
        events += steps
    return Changes(events, [changed[key] for key in sorted(changed)])


def _steps(
    row: EmittedRow | None, wish: Wanted, realm: Realm, secret: bytes
) -> tuple[list[PendingEvent], EmittedRow | None]:
    standing = row is not None and row.published
    version = 0 if row is None else row.event_version
    if not wish.decision.due:
        if row is None or not standing:
            return [], None
        reason = wish.reason if wish.reason in WITHDRAWAL_REASONS else "no_longer_due"
        if wish.reason == "new_version":
            reason = "corrected"
        gone = _event(wish, version + 1, EventKind.WITHDRAWN, reason, realm, held=row)
        return [gone], _row(wish, version + 1, row.addressee, None)
    projection = wish.projection
    assert projection is not None, "what is due has a projection"
    told = projection.compared
    digest = body_digest(secret, projection.body if told is None else told)
    if row is None or not standing:
        kind, reason = EventKind.PUBLISHED, "new"
    elif _keeps(wish):
        return [], None
    elif row.addressee != projection.addressee or (wish.moves and row.body_digest != digest):
        moved = _event(wish, version + 1, EventKind.WITHDRAWN, "moved", realm)
        new = _event(wish, version + 2, EventKind.PUBLISHED, "moved", realm)
        return [moved, new], _row(wish, version + 2, projection.addressee, digest)
    elif row.body_digest != digest:
        kind = EventKind.REVISED
        reason = wish.reason if wish.reason in REVISION_REASONS else "new_version"
    else:
        return [], None
    event = _event(wish, version + 1, kind, reason, realm)
    return [event], _row(wish, version + 1, projection.addressee, digest)


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
    told = wish.projection or held
    is_hidden = told is not None and told.pseudonym_periods == HIDDEN
    hidden_partition = wish.partition if wish.hidden_partition is None else wish.hidden_partition
    if kind is not EventKind.WITHDRAWN and wish.projection is not None:
        body = wish.projection.body
    return PendingEvent(
        stream=wish.stream,
        partition=hidden_partition if is_hidden else wish.partition,
        event_id=event_id_of(wish.stream, wish.report_id, version),
        report_id=wish.report_id,
        event_version=version,
        kind=kind,
        reason=reason,
        realm=realm,
        rule=wish.decision.rule,
        rule_version=wish.decision.rule_version,
        person_version=0 if is_hidden else wish.person_version,
        message_id=wish.message_id,
        body=body,
        is_hidden=is_hidden,
    )


def _row(wish: Wanted, version: int, addressee: str, digest: UUID | None) -> EmittedRow:
    return EmittedRow(
        report_id=wish.report_id,
        stream=wish.stream,
        event_version=version,
        published=digest is not None,
        addressee=addressee,
        body_digest=NOTHING if digest is None else digest,
        pseudonym_periods="" if wish.projection is None else wish.projection.pseudonym_periods,
    )


async def load(conn: Connection, report_ids: Iterable[UUID]) -> dict[Key, EmittedRow]:
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
        )
        for row in await conn.fetch(LOAD, wanted)
    ]
    return {(row.report_id, row.stream): row for row in rows}


async def store(conn: Connection, rows: Sequence[EmittedRow]) -> None:
    """Write the rows of `Changes`; inside the transaction that loaded them."""
    if not rows:
        return
    ordered = sorted(rows, key=lambda row: (row.report_id, row.stream))
    await conn.execute(
        STORE,
        [row.report_id for row in ordered],
        [row.stream for row in ordered],
        [row.event_version for row in ordered],
        [row.published for row in ordered],
        [row.addressee for row in ordered],
        [row.body_digest for row in ordered],
        [row.pseudonym_periods for row in ordered],
    )


async def write_holds(
    conn: Connection,
    holds: Iterable[tuple[UUID, Stream, str]],
    cleared: Iterable[Key],
    at: datetime,
) -> None:
    """Put streams on hold with a reason, and release others; the last word on a stream wins."""
    kept = {(report_id, stream): reason for report_id, stream, reason in holds}
    gone = sorted(set(cleared) - kept.keys())
    if gone:
        await conn.execute(RELEASE, [each[0] for each in gone], [each[1] for each in gone])
    if kept:
        keys = sorted(kept)
        await conn.execute(
            HOLD,
            [report_id for report_id, _ in keys],
            [stream for _, stream in keys],
            [kept[key] for key in keys],
            at,
        )
