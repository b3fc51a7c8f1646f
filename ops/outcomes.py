"""What became of each record: outcomes, parked messages, findings, and the cluster's raw copy."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from ops.runtime.postgres import Connection
from schemas.envelope import RecordKind, StoredRecord
from schemas.finding import Finding
from schemas.outcome import Dispatched, Duplicate, Outcome, Parked, Refused

WRITE_OUTCOMES: Final = """
INSERT INTO outcome (partition, "offset", message_id, lab_id, control_key, ending, reason, place,
                     original, report_ids, person_id, received_at, decided_at)
SELECT o.p, o.o, o.m, o.l, o.c, o.e, o.r, o.w, o.d,
       coalesce(string_to_array(nullif(o.i, ''), ',')::uuid[], '{}'), o.n, o.t, $13
FROM unnest($1::integer[], $2::bigint[], $3::uuid[], $4::integer[], $5::bigint[], $6::text[],
            $7::text[], $8::text[], $9::uuid[], $10::text[], $11::bigint[], $12::timestamptz[])
     AS o (p, o, m, l, c, e, r, w, d, i, n, t)
"""

# A replay settles the record it does again: that record's one outcome changes, and says by whom.
# What reports a message made stays told where it is parked now. Read while its laboratory is
# paused, a replay takes no ending back: it is noted in `parked`, and done when the pause ends.
SETTLE_OUTCOMES: Final = """
UPDATE outcome AS held
SET ending = s.e, reason = s.r, place = s.w,
    original = coalesce(s.d, held.original),
    report_ids = CASE WHEN s.e = 'dispatched'
        THEN coalesce(string_to_array(nullif(s.i, ''), ',')::uuid[], '{}')
        ELSE held.report_ids END,
    person_id = s.n, decided_at = $9, replayed_by = s.b
FROM unnest($1::integer[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[],
            $7::bigint[], $8::bigint[], $10::uuid[]) AS s (p, o, e, r, w, i, n, b, d)
WHERE held.partition = s.p AND held."offset" = s.o
  AND (held.ending = 'parked' OR s.r <> 'laboratory_paused')
"""

WRITE_PARKED: Final = """
INSERT INTO parked (partition, "offset", message_id, lab_id, reason, code, place, parked_at)
SELECT k.p, k.o, k.m, k.l, k.r, k.c, k.w, $8
FROM unnest($1::integer[], $2::bigint[], $3::uuid[], $4::integer[], $5::text[], $6::text[],
            $7::text[]) AS k (p, o, m, l, r, c, w)
ON CONFLICT (partition, "offset") DO UPDATE
SET reason = EXCLUDED.reason, code = EXCLUDED.code, place = EXCLUDED.place, resolved_at = NULL,
    resolution = NULL
"""

# A replay that was in the log when somebody discarded the message is its end all the same.
RESOLVE_PARKED: Final = """
UPDATE parked AS held SET resolved_at = $3, resolution = 'replayed'
FROM unnest($1::integer[], $2::bigint[]) AS k (p, o)
WHERE held.partition = k.p AND held."offset" = k.o
  AND (held.resolved_at IS NULL OR held.resolution = 'discarded')
"""

WRITE_FINDINGS: Final = """
INSERT INTO lab_finding (partition, "offset", position, lab_id, code, level, place)
SELECT f.p, f.o, f.n, f.l, f.c, f.v, f.w
FROM unnest($1::integer[], $2::bigint[], $3::smallint[], $4::integer[], $5::text[], $6::text[],
            $7::text[]) AS f (p, o, n, l, c, v, w)
ON CONFLICT (partition, "offset", position) DO NOTHING
"""

WRITE_MESSAGES: Final = """
INSERT INTO message (partition, "offset", message_id, lab_id, kind, received_at, inbox_key,
                     control_key, payload)
SELECT m.p, m.o, m.i, m.l, m.k, m.r, m.x, m.c, m.b
FROM unnest($1::integer[], $2::bigint[], $3::uuid[], $4::integer[], $5::smallint[],
            $6::timestamptz[], $7::uuid[], $8::bigint[], $9::bytea[])
     AS m (p, o, i, l, k, r, x, c, b)
"""

READ_MESSAGE: Final = """
SELECT partition, "offset", message_id, lab_id, kind, received_at, inbox_key, control_key, payload
FROM message WHERE partition = $1 AND "offset" = $2
"""

MENDED: Final = 'SELECT payload FROM mended WHERE partition = $1 AND "offset" = $2'

_FINDINGS_A_MESSAGE: Final = 20


class OutcomeRow(msgspec.Struct, frozen=True, kw_only=True):
    """A record, how it ended, about whom, and what was found in it.

    `settles` is set on a replay: the place of the record whose outcome this is; the replay record
    itself ends as `replay`.
    """

    record: StoredRecord
    outcome: Outcome
    person_id: int | None = None
    findings: tuple[Finding, ...] = ()
    settles: tuple[int, int] | None = None

    @property
    def place(self) -> tuple[int, int]:
        """Return the place of the record whose outcome this is."""
        return self.settles or self.record.offset_place


class _Said(msgspec.Struct, frozen=True):
    ending: str
    reason: str = ""
    place: str = ""
    original: UUID | None = None
    report_ids: tuple[UUID, ...] = ()

    @property
    def joined(self) -> str:
        return ",".join(str(i) for i in self.report_ids)


def _say(outcome: Outcome) -> _Said:
    match outcome:
        case Dispatched():
            return _Said("dispatched", report_ids=outcome.report_ids)
        case Duplicate():
            return _Said(
                "duplicate",
                outcome.reason,
                original=outcome.original,
                report_ids=outcome.report_ids,
            )
        case Refused():
            return _Said("refused", outcome.reason, str(outcome.place))
        case Parked():
            return _Said("parked", outcome.reason, str(outcome.place))


async def write_outcomes(
    connection: Connection, rows: Sequence[OutcomeRow], *, at: datetime, keep_raw: bool
) -> None:
    """Write the ending of every record of a batch, in the caller's transaction.

    Args:
        connection: Inside the batch's transaction.
        rows: One a record.
        at: When it was decided.
        keep_raw: Whether the sealed record is copied too (cluster: the topic's retention is short).
    """
    await _write_own(connection, rows, at)
    # Of one place the last word counts: a replay may come with its original, or another replay.
    last = list({row.place: row for row in rows}.values())
    await _settle_replayed(connection, [row for row in last if row.settles is not None], at)
    await _write_parked(connection, last, at)
    await _write_findings(connection, rows)
    if keep_raw:
        await _write_raw(connection, [row.record for row in rows])


async def _write_own(connection: Connection, rows: Sequence[OutcomeRow], at: datetime) -> None:
    said = [_say(row.outcome) if row.settles is None else _Said("replay") for row in rows]
    records = [row.record for row in rows]
    await connection.execute(
        WRITE_OUTCOMES,
        [r.partition for r in records],
        [r.offset for r in records],
        [r.message_id for r in records],
        [r.lab_id for r in records],
        [r.control_key for r in records],
        [s.ending for s in said],
        [s.reason for s in said],
        [s.place for s in said],
        [s.original for s in said],
        [s.joined for s in said],
        [row.person_id for row in rows],
        [r.received_at for r in records],
        at,
    )


async def _settle_replayed(
    connection: Connection, rows: Sequence[OutcomeRow], at: datetime
) -> None:
    if not rows:
        return
    said = [_say(row.outcome) for row in rows]
    places = [row.settles for row in rows if row.settles is not None]
    await connection.execute(
        SETTLE_OUTCOMES,
        [p for p, _ in places],
        [o for _, o in places],
        [s.ending for s in said],
        [s.reason for s in said],
        [s.place for s in said],
        [s.joined for s in said],
        [row.person_id for row in rows],
        [row.record.offset for row in rows],
        at,
        [s.original for s in said],
    )
    resolved = [
        place
        for place, row in zip(places, rows, strict=True)
        if not isinstance(row.outcome, Parked)
    ]
    if resolved:
        await connection.execute(
            RESOLVE_PARKED, [p for p, _ in resolved], [o for _, o in resolved], at
        )


async def _write_parked(connection: Connection, rows: Sequence[OutcomeRow], at: datetime) -> None:
    parked = [
        (row.place, row.record, row.outcome) for row in rows if isinstance(row.outcome, Parked)
    ]
    if not parked:
        return
    await connection.execute(
        WRITE_PARKED,
        [place[0] for place, _, _ in parked],
        [place[1] for place, _, _ in parked],
        [record.message_id for _, record, _ in parked],
        [record.lab_id for _, record, _ in parked],
        [outcome.reason for _, _, outcome in parked],
        [outcome.code for _, _, outcome in parked],
        [str(outcome.place) for _, _, outcome in parked],
        at,
    )


async def _write_findings(connection: Connection, rows: Sequence[OutcomeRow]) -> None:
    found = [
        (row.record, position, finding)
        for row in rows
        for position, finding in enumerate(row.findings[:_FINDINGS_A_MESSAGE], 1)
    ]
    if not found:
        return
    await connection.execute(
        WRITE_FINDINGS,
        [record.partition for record, _, _ in found],
        [record.offset for record, _, _ in found],
        [position for _, position, _ in found],
        [record.lab_id for record, _, _ in found],
        [finding.code for _, _, finding in found],
        [finding.level for _, _, finding in found],
        [str(finding.place) for _, _, finding in found],
    )


async def _write_raw(connection: Connection, records: Sequence[StoredRecord]) -> None:
    await connection.execute(
        WRITE_MESSAGES,
        [r.partition for r in records],
        [r.offset for r in records],
        [r.message_id for r in records],
        [r.lab_id for r in records],
        [int(r.kind) for r in records],
        [r.received_at for r in records],
        [r.inbox_key for r in records],
        [r.control_key for r in records],
        [r.payload for r in records],
    )


async def read_raw(connection: Connection, partition: int, offset: int) -> StoredRecord | None:
    """Return the copy of a record that dispatch kept (cluster), or None when there is none."""
    row = await connection.fetchrow(READ_MESSAGE, partition, offset)
    if row is None:
        return None
    return StoredRecord(**{**row, "kind": RecordKind(row["kind"])})


async def with_mended(connection: Connection, record: StoredRecord) -> StoredRecord:
    """Return a record with the bytes that a person mended in place of its own, if there are any."""
    payload = await connection.fetchval(MENDED, *record.offset_place)
    return record if payload is None else msgspec.structs.replace(record, payload=payload)
