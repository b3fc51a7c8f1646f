"""Reports read back from the records they came with, as the version that stands now.

A record is read from the log (embedded) or from our own copy of it (cluster), on the connection of
the transaction. What its retention has taken, or whose key was destroyed, is no error: the report
is then moved without its content (`Unreadable` reports).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, Final
from uuid import UUID

import msgspec

from dedup.identity import PersonKeys
from dedup.narrowing import Ways
from ingest.judge import LabProfile
from ingest.labs import PostgresLabStore, profile_of
from ops.placing import Keyed, key_reports
from ops.prepare import Prepared, Preparer
from ops.runtime.postgres import Connection
from schemas.envelope import RecordKind, StoredRecord
from schemas.patient import Phi, Traits
from schemas.report import LabReport, MappedMessage

Place = tuple[int, int]

REPORTS_OF: Final = """
SELECT r.report_id, r.report_key, r.person_id, r.version, r.content_digest, r.partition, r."offset",
       r.position
FROM report r WHERE r.report_id = ANY ($1::uuid[]) ORDER BY r.report_id
"""
# From the log's own table (embedded), or from our copy (cluster). Mended bytes stand for a
# message's own wherever it is read back, under the same id.
READ_INTAKE: Final = """
SELECT i.partition, i."offset", i.message_id, i.lab_id, i.kind, i.received_at, i.inbox_key,
       i.control_key, coalesce(d.payload, i.payload) AS payload
FROM unnest($1::integer[], $2::bigint[]) AS asked (p, o)
JOIN intake i ON i.partition = asked.p AND i."offset" = asked.o
LEFT JOIN mended d ON d.partition = asked.p AND d."offset" = asked.o
"""
READ_MESSAGES: Final = """
SELECT m.partition, m."offset", m.message_id, m.lab_id, m.kind, m.received_at, m.inbox_key,
       m.control_key, coalesce(d.payload, m.payload) AS payload
FROM unnest($1::integer[], $2::bigint[]) AS asked (p, o)
JOIN message m ON m.partition = asked.p AND m."offset" = asked.o
LEFT JOIN mended d ON d.partition = asked.p AND d."offset" = asked.o
"""
# What stands says which mapping is read back (here content_digest is that of the statement).
STATEMENTS: Final = """
SELECT DISTINCT ON (v.report_id) v.report_id, v.content_digest AS statement FROM report_version v
WHERE v.report_id = ANY ($1::uuid[]) AND v.became_current ORDER BY v.report_id, v.version DESC
"""
_AT_ONCE: Final = 200
"""Payloads that are open at a time."""


class ReportRow(msgspec.Struct, frozen=True, kw_only=True):
    """A report as it stands, and the record its current version came with."""

    report_id: UUID
    report_key: UUID
    person_id: int
    version: int
    content_digest: UUID
    partition: int
    offset: int
    position: int

    @property
    def place(self) -> Place:
        """Partition and offset of the record."""
        return self.partition, self.offset


class Told(Phi, frozen=True, kw_only=True):
    """What the current version of a report says, and about whom."""

    row: ReportRow
    source: StoredRecord
    message: MappedMessage
    report: LabReport
    keys: PersonKeys


class Sources:
    """Reads reports back.

    Args:
        preparer: Opens payloads and derives keys.
        labs: The register, for what must be mapped again.
        report_secret: Keys the digests of reports.
        from_copy: Whether our own copy is read (cluster), and not the log's table.
    """

    def __init__(
        self,
        preparer: Preparer,
        labs: PostgresLabStore,
        *,
        report_secret: bytes,
        from_copy: bool,
    ) -> None:
        self._preparer = preparer
        self._labs = labs
        self._secret = report_secret
        self._records = READ_MESSAGES if from_copy else READ_INTAKE

    async def read_reports(
        self, connection: Connection, report_ids: Collection[UUID]
    ) -> dict[UUID, Told]:
        """Return what can still be read of these reports, by report id."""
        asked = sorted(report_ids)
        found: dict[UUID, Told] = {}
        for begin in range(0, len(asked), _AT_ONCE):
            rows = await connection.fetch(REPORTS_OF, asked[begin : begin + _AT_ONCE])
            found |= await self.read(connection, report_rows(rows))
        return found

    async def read(self, connection: Connection, rows: Sequence[ReportRow]) -> dict[UUID, Told]:
        """Return what can still be read, by report id."""
        records = await self.records(connection, {row.place for row in rows})
        stated = await self._statements(connection, rows) if records else {}
        profiles: dict[int, LabProfile] = {}
        found: dict[UUID, Told] = {}
        for row in rows:
            record = records.get(row.place)
            if record is not None:
                said = stated.get(row.report_id)
                told = await self._told(connection, row, record, said, profiles=profiles)
                if told is not None:
                    found[row.report_id] = told
        return found

    async def records(
        self, connection: Connection, places: Iterable[Place]
    ) -> dict[Place, StoredRecord]:
        """Return the records that are still there, by place."""
        asked = sorted(set(places))
        if not asked:
            return {}
        rows = await connection.fetch(self._records, [p for p, _ in asked], [o for _, o in asked])
        return {
            (row["partition"], row["offset"]): StoredRecord(
                **{**row, "kind": RecordKind(row["kind"])}
            )
            for row in rows
        }

    async def prepared(
        self, connection: Connection, record: StoredRecord, profiles: dict[int, LabProfile]
    ) -> Prepared:
        """Prepare a record as dispatch did when it came."""
        prepared = self._preparer.prepare(record)
        if prepared is None:
            profile = await self._profile(connection, record, profiles)
            prepared = self._preparer.prepare(record, profile)
        assert prepared is not None, "a profile was given"
        return prepared

    async def again(
        self, connection: Connection, record: StoredRecord, profiles: dict[int, LabProfile]
    ) -> Prepared:
        """Prepare a record with today's mapping."""
        profile = await self._profile(connection, record, profiles)
        return self._preparer.prepare_again(record, profile)

    def keys_of(self, traits: Traits, version: int | None = None) -> PersonKeys:
        """Return the keys of a set of traits, of the newest version unless another is asked for."""
        return self._preparer.keys_of(traits, version)

    def all_keys_of(
        self, traits: Traits, versions: Iterable[int], hot: AbstractSet[int]
    ) -> frozenset[int]:
        """Return every key that is kept for a set of traits.

        Args:
            traits: As received.
            versions: Of the key function, that are in use.
            hot: Keys that lead nowhere by themselves: narrower ones are kept beside them.
        """
        found: set[int] = set()
        for version in versions:
            keys = self._preparer.keys_of(traits, version)
            found |= set(keys.blocking) | set(self._preparer.keys.ways(keys, hot).all)
        return frozenset(found)

    def asked_by(self, keys: PersonKeys, hot: AbstractSet[int]) -> Ways:
        """Return the keys by which a record is looked for beside what is hot."""
        return self._preparer.keys.ways(keys, hot)

    async def _statements(
        self, connection: Connection, rows: Sequence[ReportRow]
    ) -> dict[UUID, UUID]:
        """Return what the versions that stand have stated, by report id."""
        found = await connection.fetch(STATEMENTS, [row.report_id for row in rows])
        return {each["report_id"]: each["statement"] for each in found}

    async def _told(
        self,
        connection: Connection,
        row: ReportRow,
        record: StoredRecord,
        stated: UUID | None,
        *,
        profiles: dict[int, LabProfile],
    ) -> Told | None:
        """Find a report in its record: the mapping that the version that stands was made of.

        Of the door's, what the door states is what was stated. A version that a replay made was
        mapped again: then the door's mapping says something else, or the same with other parts, or
        nothing, and today's is taken. Where today's says neither (the mapping has changed since),
        the door's content goes before what nobody has ever said.
        """
        first = await self.prepared(connection, record, profiles)
        keyed = self._find(row, first)
        is_said = keyed is not None and keyed.digest == row.content_digest
        if keyed is not None and is_said and stated in {None, keyed.statement}:
            return _told(row, first, keyed)
        second = await self.again(connection, record, profiles)
        later = self._find(row, second)
        is_door_s = is_said and (later is None or later.digest != row.content_digest)
        if later is not None and not is_door_s:
            return _told(row, second, later)
        return None if keyed is None else _told(row, first, keyed)

    def _find(self, row: ReportRow, prepared: Prepared) -> Keyed | None:
        if prepared.mapped is None:
            return None
        groups = key_reports(prepared.mapped, prepared.source, self._secret)
        fitting = [group for group in groups if group.key == row.report_key]
        exact = [group for group in fitting if group.digest == row.content_digest]
        return next(iter(exact or fitting), None)

    async def _profile(
        self, connection: Connection, record: StoredRecord, profiles: dict[int, LabProfile]
    ) -> LabProfile:
        if record.lab_id not in profiles:
            lab = await self._labs.one_on(connection, record.lab_id)
            profiles[record.lab_id] = LabProfile() if lab is None else profile_of(lab)
        return profiles[record.lab_id]


def report_rows(rows: Iterable[Any]) -> list[ReportRow]:
    """Return rows of the table `report`."""
    return [ReportRow(**row) for row in rows]


def _told(row: ReportRow, prepared: Prepared, keyed: Keyed) -> Told:
    assert prepared.mapped is not None
    assert prepared.keys is not None
    return Told(
        row=row,
        source=prepared.source,
        message=prepared.mapped,
        report=keyed.report,
        keys=prepared.keys,
    )
