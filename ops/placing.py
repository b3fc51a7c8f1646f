"""Which report each OBR group of a batch is, and as which version it goes on; no database."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import date
from typing import Final
from uuid import UUID

import msgspec

from dedup.resolver import Resolution
from dedup.results import (
    HeldReport,
    Incoming,
    Placement,
    PlacementKind,
    code_of,
    content_digest,
    place,
    replayed_digest,
    report_id,
    report_key,
    statement_digest,
)
from dedup.store import VersionRow
from ingest.catalogue import finding
from schemas.envelope import StoredRecord
from schemas.finding import Finding
from schemas.patient import Phi
from schemas.place import Place
from schemas.report import LabReport, MappedMessage

NO_KEY: Final = UUID(int=0)


class Keyed(Phi, frozen=True, kw_only=True):
    """An OBR group with the key that its versions share and the digest of what it says."""

    report: LabReport
    key: UUID
    digest: UUID
    statement: UUID
    replayed: UUID | None = None
    """Its statement as a replay, where that says the door's content with other parts."""

    @property
    def statements(self) -> tuple[UUID, ...]:
        """By which of these it may be known already."""
        return (self.statement,) if self.replayed is None else (self.statement, self.replayed)


class Placed(Phi, frozen=True, kw_only=True):
    """An OBR group in its place.

    `version` is what is to be written (None where nothing is new); `routes` says whether the
    streams must be looked at again.
    """

    report: LabReport
    report_id: UUID
    version_number: int
    version: VersionRow | None
    routes: bool
    is_new: bool
    report_key: UUID = NO_KEY
    content_digest: UUID = NO_KEY
    """Of what it says; what a person has released is released for this alone."""
    held_person: int | None = None
    """About whom it was before this version; None where it is new."""
    finding: Finding | None = None
    is_unheard: bool = False
    """No stream can hold anything of it: its id is made of a message that is done for the first
    time."""


def key_reports(
    message: MappedMessage,
    source: StoredRecord,
    secret: bytes,
    door: MappedMessage | None = None,
) -> tuple[Keyed, ...]:
    """Return the reports of a message with their keys; pure.

    Args:
        message: As it is mapped now.
        source: The record it came with.
        secret: Key of the digests.
        door: What the door made of it, where a replay maps it otherwise.
    """
    firsts = () if door is None else key_reports(door, source, secret)
    times: Counter[tuple[str, str]] = Counter()
    keyed = []
    for report in message.reports:
        same = (report.order_number, code_of(report.code))
        digest = content_digest(secret, report, message.traits)
        one = Keyed(
            report=report,
            key=report_key(secret, source.lab_id, report, source.message_id, times[same]),
            digest=digest,
            statement=statement_digest(digest, report),
        )
        times[same] += 1
        if door is not None and _has_other_parts(one, message, firsts, door):
            other = replayed_digest(secret, one.statement, message, report)
            one = msgspec.structs.replace(one, replayed=other)
        keyed.append(one)
    return tuple(keyed)


def _has_other_parts(
    one: Keyed, message: MappedMessage, firsts: tuple[Keyed, ...], door: MappedMessage
) -> bool:
    """Say whether the door made the same content of it, but not the same report."""
    bare, first = (msgspec.structs.replace(each, reports=()) for each in (message, door))
    return any(
        each.key == one.key
        and each.digest == one.digest
        and (each.report != one.report or bare != first)
        for each in firsts
    )


class Shelf:
    """The reports held under a batch's keys, kept up to date while the batch is placed.

    Args:
        held: What the tables hold, by report key.
        known: (report id, statement digest) of versions of what is held; at least those that the
            batch says again.
    """

    def __init__(
        self, held: Mapping[UUID, list[HeldReport]], known: set[tuple[UUID, UUID]]
    ) -> None:
        self._held = {key: list(reports) for key, reports in held.items()}
        self._known = set(known)

    def put(
        self, keyed: Keyed, source: StoredRecord, resolution: Resolution, *, is_replay: bool
    ) -> Placed:
        """Place one OBR group; what comes later in the batch sees it there."""
        incoming = Incoming(
            report_key=keyed.key,
            person_id=resolution.person_id,
            status=keyed.report.status,
            content_digest=keyed.digest,
            statement_digest=keyed.statement,
            sampled_on=sampled_on(keyed.report),
            offset=source.offset,
            is_dated=bool(keyed.report.reported_at),
            is_replay=is_replay,
            own_id=_own_id(keyed, source) if is_replay else None,
        )
        found = self._settle(place(self._held.get(keyed.key, ()), incoming), incoming)
        found, incoming = self._as_replayed(found, incoming, keyed)
        number = 1 if found.held is None else found.held.version
        row = None
        if found.kind is not PlacementKind.SAME_CONTENT:
            number += found.held is not None
            row = self._row(keyed, source, incoming, found, number)
            self._keep(row, found.held)
        return Placed(
            report=keyed.report,
            report_id=_id_of(found, row),
            version_number=number,
            version=row,
            routes=_routes(found, row, incoming),
            is_new=found.held is None,
            report_key=keyed.key,
            content_digest=keyed.digest,
            held_person=None if found.held is None else found.held.person_id,
            finding=_finding(found, keyed.report),
            is_unheard=found.held is None and not is_replay,
        )

    def _settle(self, found: Placement, incoming: Incoming) -> Placement:
        """Let a replay move a report to another person, and never write a version twice."""
        held = found.held
        if held is None:
            return found
        moves = incoming.is_replay and held.person_id != incoming.person_id
        if found.kind is PlacementKind.SAME_CONTENT:
            return Placement(kind=PlacementKind.VERSION, held=held) if moves else found
        is_known = (held.report_id, incoming.statement_digest) in self._known
        is_resent = incoming.is_dated and not incoming.is_replay
        if is_known and (found.kind is PlacementKind.OUTRANKED or is_resent):
            # What was said before and has been replaced since, resent after the inbox forgot it.
            return Placement(kind=PlacementKind.SAME_CONTENT, held=held)
        return found

    def _as_replayed(
        self, found: Placement, incoming: Incoming, keyed: Keyed
    ) -> tuple[Placement, Incoming]:
        """Make what a replay says otherwise than the door a version: that mapping stands then."""
        if keyed.replayed is None or found.kind is PlacementKind.OUTRANKED:
            return found, incoming
        if found.kind is PlacementKind.SAME_CONTENT:
            held = found.held
            assert held is not None, "the same content as what is held"
            is_known = (held.report_id, keyed.replayed) in self._known
            if is_known or not _stands(held, incoming):
                return found, incoming
            found = Placement(kind=PlacementKind.VERSION, held=held)
        return found, msgspec.structs.replace(incoming, statement_digest=keyed.replayed)

    def _row(
        self,
        keyed: Keyed,
        source: StoredRecord,
        incoming: Incoming,
        found: Placement,
        number: int,
    ) -> VersionRow:
        held = found.held
        position = keyed.report.position
        return VersionRow(
            report_id=_own_id(keyed, source) if held is None else held.report_id,
            report_key=keyed.key,
            lab_id=source.lab_id,
            person_id=incoming.person_id,
            version=number,
            status=incoming.status.value,
            status_rank=incoming.status.rank,
            content_digest=incoming.content_digest,
            statement_digest=incoming.statement_digest,
            sampled_on=incoming.sampled_on,
            partition=source.partition,
            offset=source.offset,
            position=position,
            is_new=held is None,
            is_current=found.kind is not PlacementKind.OUTRANKED,
        )

    def _keep(self, row: VersionRow, held: HeldReport | None) -> None:
        self._known.add((row.report_id, row.statement_digest))
        if held is not None and not row.is_current:
            after = msgspec.structs.replace(held, version=row.version)
        else:
            after = HeldReport(
                report_id=row.report_id,
                report_key=row.report_key,
                person_id=row.person_id,
                version=row.version,
                status=row.status,
                status_rank=row.status_rank,
                content_digest=row.content_digest,
                sampled_on=row.sampled_on,
                offset=row.offset,
            )
        others = [r for r in self._held.get(row.report_key, ()) if r.report_id != row.report_id]
        self._held[row.report_key] = [*others, after]


def sampled_on(report: LabReport) -> str:
    """Return the day of sampling (ISO 8601) if the sender gave a whole date, else nothing."""
    day = (report.collected_at or (report.specimen.collected_at if report.specimen else ""))[:10]
    try:
        return date.fromisoformat(day).isoformat()
    except ValueError:
        return ""


def _own_id(keyed: Keyed, source: StoredRecord) -> UUID:
    return report_id(keyed.key, source.message_id, keyed.report.position)


def _stands(held: HeldReport, incoming: Incoming) -> bool:
    """Say whether the version that stands came with this record and says this."""
    return held.content_digest == incoming.content_digest and held.offset == incoming.offset


def _routes(found: Placement, row: VersionRow | None, incoming: Incoming) -> bool:
    """Say whether the streams must be looked at again: they hold what the standing record says."""
    if row is not None:
        return row.is_current
    return incoming.is_replay and found.held is not None and _stands(found.held, incoming)


def _id_of(found: Placement, row: VersionRow | None) -> UUID:
    if row is not None:
        return row.report_id
    assert found.held is not None, "what is not written is held"
    return found.held.report_id


def _finding(found: Placement, report: LabReport) -> Finding | None:
    where = Place(segment="OBR", sequence=report.position)
    if found.kind is PlacementKind.SPLIT:
        return finding("order_number_reused", where)
    if found.kind is PlacementKind.OUTRANKED:
        return finding("version_outranked", where)
    if not report.order_number:
        return finding("no_order_number", where)
    return None
