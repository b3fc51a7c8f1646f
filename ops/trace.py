"""Where is my message: every station it passed, with its time, and what was decided there.

Shows no nominative value: codes, places, numbers and times only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

import msgspec

from ops.runtime.intake_log import IntakeLog
from ops.runtime.postgres import Connection, Pool, translated
from ops.runtime.vault import Vault
from schemas.envelope import AcceptedMessage, RecordKind, StoredRecord, control_key_of
from schemas.errors import PermanentError

_TAIL_LIMIT: Final = 20_000
_MATCH_LIMIT: Final = 20_000

_COLUMNS: Final = """
    SELECT o.partition, o."offset", o.message_id, o.control_key, o.lab_id, l.registry_id,
           o.ending, o.reason, o.place, o.original, o.report_ids, o.person_id, o.received_at,
           o.decided_at, o.replayed_by
    FROM outcome o LEFT JOIN lab l ON l.lab_id = o.lab_id
"""
BY_ID: Final = (
    _COLUMNS
    + """
WHERE o.message_id = ANY ($1::uuid[]) OR o.control_key = ANY ($2::bigint[])
ORDER BY o.received_at, o.partition, o."offset" LIMIT $3
"""
)
PROGRESS: Final = "SELECT partition, next_offset FROM intake_progress"
LINKS: Final = """
SELECT at, kind, person_id, other_person_id, rule, model_version, evidence, actor
FROM link_event WHERE person_id = $1 AND partition = $2 AND "offset" = $3 ORDER BY link_event_id
"""
VERSIONS: Final = """
SELECT report_id, version, status, position, became_current, decided_at
FROM report_version
WHERE report_id = ANY ($1::uuid[]) AND partition = $2 AND "offset" = $3
ORDER BY position, version
"""
EVENTS: Final = """
SELECT e.stream, e.partition, e.seq, e.event_id, e.report_id, e.part, e.event_version, e.kind,
       e.reason, e.rule, e.person_version, e.emitted_at
FROM stream_event e
WHERE e.message_id = $2 AND e.report_id = ANY (
    SELECT unnest($1::uuid[])
    UNION SELECT m.told_as FROM emitted m
    WHERE m.report_id = ANY ($1::uuid[]) AND m.told_as IS NOT NULL)
ORDER BY e.stream, e.partition, e.seq
"""
PUSHED: Final = """
SELECT r.name AS receiver, r.kind AS receiver_kind, d.event_id, d.report_id, d.part,
       d.event_version, d.state, d.attempts, d.protocol, d.code, d.detail,
       coalesce(d.ended_at, d.tried_at, d.taken_at) AS at
FROM delivery d JOIN receiver r ON r.receiver_id = d.receiver_id
WHERE d.report_id = ANY ($1::uuid[]) AND d.event_id = ANY ($2::uuid[])
ORDER BY r.name, d.report_id, d.part, d.event_version
"""
SAID: Final = """
SELECT r.name AS receiver, w.event_id, w.word, w.code, w.said_at AS at
FROM receiver_word w JOIN receiver r ON r.receiver_id = w.receiver_id
WHERE w.event_id = ANY ($1::uuid[]) ORDER BY w.said_at, w.word
"""
HOLDS: Final = """
SELECT report_id, stream, reason, since FROM hold WHERE report_id = ANY ($1::uuid[])
ORDER BY report_id, stream
"""
# Words of people that a stream need not wait: by whom and when, for what was seen then.
RELEASES: Final = """
SELECT report_id, stream, reason, actor, why, at FROM hold_release
WHERE report_id = ANY ($1::uuid[]) ORDER BY at, report_id, stream
"""


class Trace(msgspec.Struct, frozen=True, kw_only=True):
    """One log record's way, as far as it has come."""

    message_id: UUID
    control_id: str
    """The one that was asked for; empty when the message id was."""
    partition: int
    offset: int
    kind: str
    laboratory: str
    stations: list[dict[str, Any]]


async def trace(pool: Pool, log: IntakeLog, vault: Vault, wanted: Sequence[str]) -> list[Trace]:
    """Return the way of every record with one of these message ids or control ids, oldest first.

    A message that is not dispatched yet is looked for in the log's tail (20,000 records); at most
    20,000 records are returned.

    Raises:
        TransientError: The database or the log is away.
    """
    message_ids = set(filter(None, map(_as_uuid, wanted)))
    asked = {control_key_of(text): text for text in wanted}
    with translated():
        async with pool.acquire() as connection:
            # Progress first: what is handled meanwhile is found twice rather than not at all.
            progress = {r["partition"]: r["next_offset"] for r in await connection.fetch(PROGRESS)}
            tail = await log.read(progress, _TAIL_LIMIT)
            rows = await connection.fetch(BY_ID, list(message_ids), list(asked), _MATCH_LIMIT)
            found = [await _from_outcome(connection, log, vault, row, asked) for row in rows]
    handled = {(held.partition, held.offset) for held in found}
    found += [
        _from_record(vault, record, asked)
        for record in tail.records
        if (record.message_id in message_ids or record.control_key in asked)
        and record.offset_place not in handled
    ]
    return found


async def _from_outcome(
    connection: Connection,
    log: IntakeLog,
    vault: Vault,
    row: Mapping[str, Any],
    asked: Mapping[int, str],
) -> Trace:
    record = await log.fetch(row["partition"], row["offset"])
    stations = [] if record is None else _door(vault, record)
    place = (row["partition"], row["offset"])
    links = await connection.fetch(LINKS, row["person_id"], *place) if row["person_id"] else []
    stations += [{"station": "identity", **_plain(link)} for link in links]
    versions = await connection.fetch(VERSIONS, row["report_ids"], *place)
    stations += [{"station": "report", **_plain(version)} for version in versions]
    stations.append(
        {
            "station": "outcome",
            "at": row["decided_at"],
            "ending": row["ending"],
            "reason": row["reason"],
            "place": row["place"],
            "original": row["original"],
            "person_id": row["person_id"],
            "replayed_by_offset": row["replayed_by"],
        }
    )
    events = await connection.fetch(EVENTS, row["report_ids"], row["message_id"])
    stations += [{"station": "event", **_plain(event)} for event in events]
    event_ids = [event["event_id"] for event in events]
    told_of = list({event["report_id"] for event in events})
    pushed = await connection.fetch(PUSHED, told_of, event_ids) if event_ids else []
    stations += [{"station": "receiver", **_plain(each)} for each in pushed]
    said = await connection.fetch(SAID, event_ids) if pushed else []
    stations += [{"station": "receiver", **_plain(each)} for each in said]
    holds = await connection.fetch(HOLDS, row["report_ids"])
    stations += [{"station": "hold", **_plain(hold)} for hold in holds]
    releases = await connection.fetch(RELEASES, row["report_ids"])
    stations += [{"station": "released", **_plain(release)} for release in releases]
    return Trace(
        message_id=row["message_id"],
        control_id=asked.get(row["control_key"], ""),
        partition=row["partition"],
        offset=row["offset"],
        kind="message" if record is None else record.kind.name.lower(),
        laboratory=row["registry_id"] or "",
        stations=stations,
    )


def _from_record(vault: Vault, record: StoredRecord, asked: Mapping[int, str]) -> Trace:
    return Trace(
        message_id=record.message_id,
        control_id=asked.get(record.control_key, ""),
        partition=record.partition,
        offset=record.offset,
        kind=record.kind.name.lower(),
        laboratory="",
        stations=[*_door(vault, record), {"station": "outcome", "ending": "in flight"}],
    )


def _door(vault: Vault, record: StoredRecord) -> list[dict[str, Any]]:
    received = {"station": "received", "at": record.received_at, "lab_id": record.lab_id}
    if record.kind is RecordKind.REPLAY:
        return [received]
    try:
        held = AcceptedMessage.from_bytes(vault.open(record.payload, record.message_id.bytes))
    except PermanentError as error:
        return [received, {"station": "answered", "unreadable": error.reason}]
    findings = [{"code": f.code, "level": f.level, "place": str(f.place)} for f in held.findings]
    answered = {
        "station": "answered",
        "answer": held.answer,
        "reports": len(held.mapped.reports) if held.mapped else 0,
        "findings": findings,
        "mapping_version": held.mapping_version,
    }
    return [received, answered]


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    return dict(row.items())


def _as_uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
