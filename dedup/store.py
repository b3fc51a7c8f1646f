"""The tables of dedup, spoken to in arrays: one statement a table and batch.

Inbox and reports here; persons in dedup/persons.py.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date, datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec

from ops.runtime.postgres import Connection

from . import queries
from .persons import PersonStore
from .results import HeldReport

INBOX_DAYS: Final = 35


class VersionRow(msgspec.Struct, frozen=True, kw_only=True):
    """A version of a report to write; `is_current` says whether the report's row follows it."""

    report_id: UUID
    report_key: UUID
    lab_id: int
    person_id: int
    version: int
    status: str
    status_rank: int
    content_digest: UUID
    statement_digest: UUID
    sampled_on: str
    partition: int
    offset: int
    position: int
    is_new: bool
    is_current: bool


class DedupStore(PersonStore):
    """Reads and writes of one batch, always on the connection of its transaction."""

    # ------------------------------------------------------------------ inbox

    async def seen(
        self, connection: Connection, keys: Collection[UUID], on: date
    ) -> dict[UUID, UUID]:
        """Return inbox key -> message id of what was handled last in the last 35 days."""
        since = on - timedelta(days=INBOX_DAYS)
        rows = await connection.fetch(queries.SEEN, list(keys), since)
        return {row["inbox_key"]: row["message_id"] for row in rows}

    async def ended(self, connection: Connection, messages: Collection[UUID]) -> set[UUID]:
        """Return which of some messages came to nothing and will not be done again."""
        if not messages:
            return set()
        rows = await connection.fetch(queries.ENDED, list(messages))
        return {row["message_id"] for row in rows}

    async def control_ids(
        self, connection: Connection, keys: Collection[int], at: datetime
    ) -> set[tuple[int, int]]:
        """Return (laboratory, control key) of what came under these keys in the last 35 days."""
        if not keys:
            return set()
        since = at - timedelta(days=INBOX_DAYS)
        rows = await connection.fetch(queries.CONTROL_IDS, list(keys), since)
        return {(row["lab_id"], row["control_key"]) for row in rows}

    async def remember(
        self, connection: Connection, messages: Sequence[tuple[UUID, UUID]], on: date
    ) -> None:
        """Remember (inbox key, message id)."""
        if messages:
            await connection.execute(
                queries.REMEMBER, on, [k for k, _ in messages], [m for _, m in messages]
            )

    # ------------------------------------------------------------------ reports

    async def held_persons(self, connection: Connection, keys: Collection[UUID]) -> set[int]:
        """Return whose the reports are that are held under these keys, to be locked."""
        if not keys:
            return set()
        rows = await connection.fetch(queries.HELD_PERSONS, list(keys))
        return {row["person_id"] for row in rows}

    async def reports_for_update(
        self, connection: Connection, keys: Collection[UUID]
    ) -> dict[UUID, list[HeldReport]]:
        """Return and lock the reports held under these keys."""
        if not keys:
            return {}
        held: dict[UUID, list[HeldReport]] = {}
        for row in await connection.fetch(queries.REPORTS, list(keys)):
            report = HeldReport(
                report_id=row["report_id"],
                report_key=row["report_key"],
                person_id=row["person_id"],
                version=row["version"],
                status=row["status"],
                status_rank=row["status_rank"],
                content_digest=row["content_digest"],
                sampled_on=row["sampled_on"].isoformat() if row["sampled_on"] else "",
                offset=row["offset"],
            )
            held.setdefault(report.report_key, []).append(report)
        return held

    async def known_contents(
        self, connection: Connection, report_ids: Collection[UUID], statements: Collection[UUID]
    ) -> set[tuple[UUID, UUID]]:
        """Return (report id, statement digest) of the versions that say one of these statements."""
        if not report_ids:
            return set()
        rows = await connection.fetch(queries.KNOWN_VERSIONS, list(report_ids), list(statements))
        return {(row["report_id"], row["content_digest"]) for row in rows}

    async def write_reports(
        self, connection: Connection, rows: Sequence[VersionRow], at: datetime
    ) -> None:
        """Write versions in their order, and bring each report's row to its newest current one."""
        if not rows:
            return
        current = {row.report_id: row for row in rows if row.is_current}
        if current:
            await self._write_current(connection, list(current.values()), at)
        numbers = {row.report_id: row.version for row in rows}
        behind = {i: n for i, n in numbers.items() if i not in current or current[i].version < n}
        if behind:
            await connection.execute(queries.COUNT_VERSIONS, list(behind), list(behind.values()))
        await connection.execute(
            queries.WRITE_REPORT_VERSIONS,
            [r.report_id for r in rows],
            [r.version for r in rows],
            [r.partition for r in rows],
            [r.offset for r in rows],
            [r.position for r in rows],
            [r.person_id for r in rows],
            [r.status for r in rows],
            [r.statement_digest for r in rows],
            [r.is_current for r in rows],
            at,
        )

    async def _write_current(
        self, connection: Connection, rows: Sequence[VersionRow], at: datetime
    ) -> None:
        await connection.execute(
            queries.WRITE_REPORTS,
            [r.report_id for r in rows],
            [r.report_key for r in rows],
            [r.lab_id for r in rows],
            [r.person_id for r in rows],
            [r.version for r in rows],
            [r.status for r in rows],
            [r.status_rank for r in rows],
            [r.content_digest for r in rows],
            [date.fromisoformat(r.sampled_on) if r.sampled_on else None for r in rows],
            [r.partition for r in rows],
            [r.offset for r in rows],
            [r.position for r in rows],
            at,
        )
