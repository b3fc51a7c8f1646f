"""The way of a message, station by station, and that of its reports across messages and persons.

Shows no nominative value: codes, places, numbers, names of rules and times only.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from dedup.evidence import unpack
from dedup.levels import FIELDS, LEVELS, MISSING
from ops.bootstrap import Hub
from ops.runtime.postgres import Connection
from ops.runtime.vault import Vault
from schemas.envelope import AcceptedMessage, RecordKind, StoredRecord
from schemas.errors import PermanentError

from . import queries
from .finding import Place

_AT_ONCE: Final = 200
"""Messages that are looked up at a time."""
_ROWS: Final = 20_000
"""Of one kind, for so many messages."""
_CANDIDATES: Final = 3
Station = dict[str, Any]


class ReportWay(msgspec.Struct, frozen=True, kw_only=True):
    """A report across the messages that brought its versions, and whose it was and is."""

    report_id: UUID
    person_id: int
    """Whose it is now."""
    version: int
    status: str
    first_at: datetime
    updated_at: datetime
    versions: list[Station]
    joined: list[Station]
    """Merges and unmerges of the persons that it was decided to be of."""
    cases: list[Station]
    events: list[Station]
    """All of them, whichever message brought them."""


class Trace(msgspec.Struct, frozen=True, kw_only=True):
    """One log record's way, as far as it has come."""

    message_id: UUID
    control_id: str
    """The one that was asked for; empty when the message id was."""
    partition: int
    offset: int
    kind: str
    laboratory: str
    received_at: datetime
    stations: list[Station]
    reports: list[ReportWay] = []


async def ways_of(
    hub: Hub, connection: Connection, places: Sequence[Place], asked: Mapping[int, str]
) -> list[Trace]:
    """Return the ways of records that dispatch has handled, oldest first."""
    found: list[Trace] = []
    for begin in range(0, len(places), _AT_ONCE):
        found += await _some(hub, connection, places[begin : begin + _AT_ONCE], asked)
    return found


def way_of_waiting(vault: Vault, record: StoredRecord, asked: Mapping[int, str]) -> Trace:
    """Return the way of a record that waits for dispatch."""
    return Trace(
        message_id=record.message_id,
        control_id=asked.get(record.control_key, ""),
        partition=record.partition,
        offset=record.offset,
        kind=record.kind.name.lower(),
        laboratory="",
        received_at=record.received_at,
        stations=[*_door(vault, record), {"station": "outcome", "ending": "in flight"}],
    )


async def _some(
    hub: Hub, connection: Connection, places: Sequence[Place], asked: Mapping[int, str]
) -> list[Trace]:
    at = [p for p, _ in places], [o for _, o in places]
    rows = await connection.fetch(queries.OUTCOMES, *at)
    records = await _records(hub, connection, places)
    report_ids = list({each for row in rows for each in row["report_ids"]})
    about = await _About.read(connection, rows, at, report_ids)
    found = []
    for row in rows:
        place = row["partition"], row["offset"]
        record = records.get(place)
        stations = [] if record is None else _door(hub.vault, record)
        stations += about.of(row)
        found.append(
            Trace(
                message_id=row["message_id"],
                control_id=asked.get(row["control_key"], ""),
                partition=place[0],
                offset=place[1],
                kind=_kind(row, record),
                laboratory=row["registry_id"] or "",
                received_at=row["received_at"],
                stations=stations,
                reports=[about.reports[r] for r in row["report_ids"] if r in about.reports],
            )
        )
    return found


async def _records(
    hub: Hub, connection: Connection, places: Sequence[Place]
) -> dict[Place, StoredRecord]:
    statement = queries.RECORDS_OF_OUR_COPY if hub.is_cluster else queries.RECORDS_OF_THE_LOG
    rows = await connection.fetch(statement, [p for p, _ in places], [o for _, o in places])
    return {
        (row["partition"], row["offset"]): StoredRecord(
            **{**dict(row), "kind": RecordKind(row["kind"])}
        )
        for row in rows
    }


def _kind(row: Mapping[str, Any], record: StoredRecord | None) -> str:
    if record is not None:
        return record.kind.name.lower()
    return {"replay": "replay", "refused": "refused"}.get(row["ending"], "message")


class _About:
    """What is known of some messages, read once for all of them."""

    def __init__(self) -> None:
        self.links: dict[Place, list[Station]] = defaultdict(list)
        self.versions: dict[Place, list[Station]] = defaultdict(list)
        self.events: dict[UUID, list[Station]] = defaultdict(list)
        self.pushed: dict[UUID, list[Station]] = defaultdict(list)
        self.said: dict[UUID, list[Station]] = defaultdict(list)
        self.holds: dict[UUID, list[Station]] = defaultdict(list)
        self.releases: dict[UUID, list[Station]] = defaultdict(list)
        self.parked: dict[Place, Station] = {}
        self.done: dict[str, list[Station]] = defaultdict(list)
        self.reports: dict[UUID, ReportWay] = {}
        self.real: dict[UUID, UUID] = {}

    @classmethod
    async def read(
        cls,
        connection: Connection,
        rows: Sequence[Any],
        at: tuple[list[int], list[int]],
        report_ids: list[UUID],
    ) -> _About:
        """Read all of it: a statement a kind, whatever the number of messages."""
        about = cls()
        await about._read_decisions(connection, rows)
        await about._read_reports(connection, report_ids)
        await about._read_streams(connection, report_ids)
        for row in await connection.fetch(queries.PARKED, *at):
            about.parked[row["partition"], row["offset"]] = _named("parked", row, _PLACE)
        subjects = [f"message {row['message_id']}" for row in rows]
        for row in await connection.fetch(queries.DONE, subjects, _ROWS):
            about.done[row["subject"]].append(_named("done", row, {"subject"}))
        return about

    def of(self, row: Any) -> list[Station]:
        """Return the stations of one message behind the door."""
        place = row["partition"], row["offset"]
        again = row["partition"], row["replayed_by"]
        ids = row["report_ids"]
        events = [
            event
            for r in ids
            for event in self.events[r]
            if event["message_id"] == row["message_id"]
        ]
        sent = {event["event_id"] for event in events}
        stations = [*self.links[place], *(self.links[again] if again[1] is not None else [])]
        stations += self.versions[place]
        stations.append(_outcome(row))
        if place in self.parked:
            stations.append(self.parked[place])
        stations += self.done[f"message {row['message_id']}"]
        stations += [{k: v for k, v in event.items() if k != "message_id"} for event in events]
        stations += [push for r in ids for push in self.pushed[r] if push["event_id"] in sent]
        stations += [word for event_id in sent for word in self.said[event_id]]
        stations += [hold for r in ids for hold in self.holds[r]]
        return stations + [release for r in ids for release in self.releases[r]]

    async def _read_decisions(self, connection: Connection, rows: Sequence[Any]) -> None:
        asked = []
        for row in rows:
            if row["person_id"] is not None:
                offsets = {row["offset"], row["replayed_by"]} - {None}
                asked += [(row["person_id"], row["partition"], offset) for offset in offsets]
        if asked:
            columns = [list(column) for column in zip(*asked, strict=True)]
            for link in await connection.fetch(queries.LINKS, *columns):
                self.links[link["partition"], link["offset"]].append(_identity(link))

    async def _read_streams(self, connection: Connection, report_ids: list[UUID]) -> None:
        pushed = await connection.fetch(queries.PUSHED, self._called(report_ids), _ROWS)
        for row in pushed:
            self.pushed[self.real.get(row["report_id"], row["report_id"])].append(
                _named("receiver", row)
            )
        if pushed:
            for row in await connection.fetch(queries.SAID, [r["event_id"] for r in pushed]):
                self.said[row["event_id"]].append(_named("receiver", row))
        for row in await connection.fetch(queries.HOLDS, report_ids):
            self.holds[row["report_id"]].append(_named("hold", row))
        for row in await connection.fetch(queries.RELEASES, report_ids):
            self.releases[row["report_id"]].append(_named("released", row))

    async def _read_reports(self, connection: Connection, report_ids: list[UUID]) -> None:
        rows = await connection.fetch(queries.REPORTS, report_ids)
        versions = await connection.fetch(queries.VERSIONS, report_ids, _ROWS)
        for row in versions:
            if row["partition"] is not None:
                place = row["partition"], row["offset"]
                self.versions[place].append(_named("report", row, {*_PLACE, "message_id"}))
        for row in await connection.fetch(queries.ALSO_CALLED, report_ids):
            self.real[row["told_as"]] = row["report_id"]
        relayed = {
            (r["stream"], r["partition"]): r for r in await connection.fetch(queries.RELAYED)
        }
        for row in await connection.fetch(queries.EVENTS, self._called(report_ids), _ROWS):
            event = _event(row, relayed.get((row["stream"], row["partition"])))
            self.events[self.real.get(row["report_id"], row["report_id"])].append(event)
        cases = await connection.fetch(
            queries.CASES, [r["person_id"] for r in rows], [r["report_id"] for r in rows]
        )
        persons = {r["person_id"] for r in [*rows, *versions]}
        joined = await connection.fetch(queries.JOINED, list(persons), _ROWS)
        for row in rows:
            mine = row["report_id"]
            own = [v for v in versions if v["report_id"] == mine]
            whose = {row["person_id"], *(v["person_id"] for v in own)}
            self.reports[mine] = ReportWay(
                **dict(row),
                versions=[_plain(v, {"report_id"}) for v in own],
                joined=[
                    _plain(j) for j in joined if {j["person_id"], j["other_person_id"]} & whose
                ],
                cases=[_plain(c, {"report_id"}) for c in cases if c["report_id"] == mine],
                events=[_plain(e, {"station", "report_id"}) for e in self.events[mine]],
            )

    def _called(self, report_ids: Iterable[UUID]) -> list[UUID]:
        return [*report_ids, *self.real]


_PLACE: Final = frozenset({"partition", "offset"})


def _door(vault: Vault, record: StoredRecord) -> list[Station]:
    received: Station = {"station": "received", "at": record.received_at, "lab_id": record.lab_id}
    if record.kind is RecordKind.REPLAY:
        return [received]
    try:
        held = AcceptedMessage.from_bytes(vault.open(record.payload, record.message_id.bytes))
    except PermanentError as error:
        return [received, {"station": "answered", "unreadable": error.reason}]
    findings = [{"code": f.code, "level": f.level, "place": str(f.place)} for f in held.findings]
    answered: Station = {
        "station": "answered",
        "answer": held.answer,
        "reports": len(held.mapped.reports) if held.mapped else 0,
        "findings": findings,
        "mapping_version": held.mapping_version,
    }
    return [received, answered]


def _identity(link: Any) -> Station:
    """Return a decision with its reason: rule, guard, and of the best candidates what agreed."""
    station = _named("identity", link, {*_PLACE, "decision"})
    if link["decision"] is None:
        return station
    try:
        decision = unpack(link["decision"])
    except ValueError:
        return {**station, "unreadable": "a decision of another release"}
    station |= {
        "verdict": decision.verdict.value,
        "guard": decision.guard,
        "margin_millibits": decision.margin,
        "candidates": [
            {
                "person": each.person_id,
                "millibits": each.total,
                "guard": each.guard,
                "levels": {
                    FIELDS[n]: LEVELS[n][1][level]
                    for n, level in enumerate(each.levels)
                    if level != MISSING
                },
            }
            for each in decision.candidates[:_CANDIDATES]
        ],
    }
    return station


def _outcome(row: Any) -> Station:
    return {
        "station": "outcome",
        "at": row["decided_at"],
        "ending": row["ending"],
        "reason": row["reason"],
        "place": row["place"],
        "original": row["original"],
        "person_id": row["person_id"],
        "replayed_by_offset": row["replayed_by"],
    }


def _event(row: Any, relayed: Any) -> Station:
    event = _named("event", row)
    if relayed is not None:
        # As far as the relay has noted: what it wrote since, it notes within its period.
        event["in_kafka"] = row["seq"] <= relayed["seq"]
    return event


def _named(station: str, row: Any, but: Iterable[str] = ()) -> Station:
    return {"station": station, **_plain(row, but)}


def _plain(row: Any, but: Iterable[str] = ()) -> Station:
    left_out = set(but)
    return {name: value for name, value in dict(row).items() if name not in left_out}
