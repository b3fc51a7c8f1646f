"""Reports read back from the records they came with, because a case around them has changed.

From the log's table (embedded) or from our own copy (cluster), on the connection of the batch's
transaction. What retention has taken, or whose key is gone, is left out and told by whoever asks.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final, Protocol
from uuid import UUID

from dedup.results import content_digest
from ingest.judge import LabProfile, map_again
from ingest.labs import PostgresLabStore, profile_of
from ops.prepare import Opener
from ops.runtime.postgres import Connection
from schemas.envelope import AcceptedMessage, RecordKind, StoredRecord
from schemas.errors import PermanentError, pure_step
from schemas.patient import Phi
from schemas.report import LabReport, MappedMessage

_COLUMNS: Final = """
SELECT r.report_id, r.version, r.position, r.content_digest, m.partition, m."offset", m.message_id,
       m.lab_id, m.kind, m.received_at, m.inbox_key, m.control_key, m.payload
FROM report r
"""
READ_INTAKE: Final = (
    _COLUMNS
    + """JOIN intake m ON m.partition = r.partition AND m."offset" = r."offset"
WHERE r.report_id = ANY ($1::uuid[])
"""
)
READ_MESSAGES: Final = (
    _COLUMNS
    + """JOIN message m ON m.partition = r.partition AND m."offset" = r."offset"
WHERE r.report_id = ANY ($1::uuid[])
"""
)
_AT_ONCE: Final = 200


class Companion(Phi, frozen=True, kw_only=True):
    """What the version of a report that stands now says, and about whom."""

    report_id: UUID
    version: int
    source: StoredRecord
    message: MappedMessage
    report: LabReport


class CompanionReader(Protocol):
    """What reads reports back."""

    async def read(
        self, connection: Connection, report_ids: Collection[UUID]
    ) -> dict[UUID, Companion]:
        """Return what can still be read, by report id."""
        ...


class Companions:
    """Reads reports back.

    Args:
        opener: The vault.
        labs: The register, for what must be mapped again.
        report_secret: Keys the digests of reports.
        from_copy: Whether our own copy is read (cluster), and not the log's table.
    """

    def __init__(
        self, opener: Opener, labs: PostgresLabStore, *, report_secret: bytes, from_copy: bool
    ) -> None:
        self._opener = opener
        self._labs = labs
        self._secret = report_secret
        self._query = READ_MESSAGES if from_copy else READ_INTAKE

    async def read(
        self, connection: Connection, report_ids: Collection[UUID]
    ) -> dict[UUID, Companion]:
        """Return what can still be read, by report id; some hundred payloads at a time."""
        asked = sorted(report_ids)
        found: dict[UUID, Companion] = {}
        for begin in range(0, len(asked), _AT_ONCE):
            rows = await connection.fetch(self._query, asked[begin : begin + _AT_ONCE])
            for row in rows:
                companion = await self._companion(row)
                if companion is not None:
                    found[companion.report_id] = companion
        return found

    async def _companion(self, row: Any) -> Companion | None:
        record = StoredRecord(
            partition=row["partition"],
            offset=row["offset"],
            message_id=row["message_id"],
            lab_id=row["lab_id"],
            kind=RecordKind(row["kind"]),
            received_at=row["received_at"],
            inbox_key=row["inbox_key"],
            control_key=row["control_key"],
            payload=row["payload"],
        )
        try:
            held = AcceptedMessage.from_bytes(
                self._opener.open(record.payload, record.message_id.bytes)
            )
        except PermanentError:
            return None
        first = self._find(row, record, held.mapped)
        if first is not None and first[1]:
            return first[0]
        # A replay made the version that stands: it was mapped with the profile of its day.
        lab = await self._labs.one(record.lab_id)
        profile = LabProfile() if lab is None else profile_of(lab)
        with pure_step():
            mapped = map_again(held.raw, profile)
        again = self._find(row, record, mapped if isinstance(mapped, MappedMessage) else None)
        chosen = again or first
        return None if chosen is None else chosen[0]

    def _find(
        self, row: Any, source: StoredRecord, mapped: MappedMessage | None
    ) -> tuple[Companion, bool] | None:
        """Return the report at its place, and whether it says what the standing version says."""
        if mapped is None:
            return None
        for report in mapped.reports:
            if report.position == row["position"]:
                digest = content_digest(self._secret, report, mapped.traits)
                companion = Companion(
                    report_id=row["report_id"],
                    version=row["version"],
                    source=source,
                    message=mapped,
                    report=report,
                )
                return companion, digest == row["content_digest"]
        return None
