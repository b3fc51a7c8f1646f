"""Some persons, whole, in one snapshot: what streams hold of them beside what they should."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any
from uuid import UUID

from dedup.case_reports import CaseReport
from dedup.deciding import Known
from ops.publishing import Asked, Publisher
from ops.runtime.postgres import Connection
from ops.runtime.vault import Vault
from ops.sources import ReportRow, Told
from ops.stewards.queries import REPORTS_PAGE
from ops.stewards.reemitting import NOTHING_YET
from routing.emitted import EmittedRow, Wanted
from schemas.errors import PermanentError
from schemas.events import EventKind
from schemas.patient import Phi
from schemas.topics import Stream

from . import queries
from .differences import (
    STREAMLESS,
    Difference,
    Folded,
    Verified,
    What,
    by_hold,
    by_outbox,
    by_table,
    name_of,
)
from .scratch import Cases, Scratch, due_of, rows_of, view_of

Key = tuple[UUID, Stream]


class Parts(Phi, frozen=True, kw_only=True):
    """What a page is looked at with."""

    scratch: Scratch
    """Computes what should be."""
    publisher: Publisher
    """Says what the streams should hold of a report."""
    vault: Vault
    """Opens the bodies of events."""
    page: int
    """Reports that are open at a time, and of persons together."""
    listed: int = 1_000
    """The most differences that are named; the rest is counted."""


class Page:
    """Some persons, whole, in one snapshot.

    Args:
        parts: What it is looked at with.
        connection: In the snapshot.
        streams: Which are looked at.
        taken: Streams of which retention has taken events.
        found: To be added to.
    """

    def __init__(
        self,
        parts: Parts,
        connection: Connection,
        streams: Sequence[Stream],
        taken: frozenset[str],
        found: Verified,
    ) -> None:
        self._parts = parts
        self._connection = connection
        self._streams = streams
        self._taken = taken
        self._found = found
        self._pending: set[int] = set()

    async def look(self, persons: list[int]) -> None:
        """Look at persons with all their reports; of more than a page they are read twice."""
        scratch = self._parts.scratch
        known = await scratch.persons(self._connection, persons)
        opposed = await scratch.opposed(self._connection, set(known.persons))
        self._pending = await self._waited_for(known)
        said: dict[UUID, dict[str, CaseReport]] = {}
        read: set[UUID] = set()
        kept: list[tuple[list[ReportRow], dict[UUID, Told]]] = []
        async for rows in self._rows(persons):
            told = await scratch.sources.read(self._connection, rows)
            said |= await scratch.said(self._connection, told.values())
            read |= told.keys()
            kept = [(rows, told)] if not kept else [*((r, {}) for r, _ in kept), (rows, {})]
        cases = await scratch.group(self._connection, persons, said, read)
        self._found.persons += len(persons)
        self._found.capped += len(cases.capped)
        for rows, once in kept:
            told = once or await scratch.sources.read(self._connection, rows)
            await self._compare(rows, told, known, opposed, cases)

    async def _rows(self, persons: list[int]) -> AsyncIterator[list[ReportRow]]:
        after = NOTHING_YET
        while True:
            rows = rows_of(
                await self._connection.fetch(REPORTS_PAGE, persons, after, self._parts.page)
            )
            if not rows:
                return
            after = rows[-1].report_id
            yield rows

    async def _waited_for(self, known: Known) -> set[int]:
        rows = await self._connection.fetch(queries.PENDING, sorted(known.ends))
        return {known.ends[row["person_id"]] for row in rows}

    async def _compare(
        self,
        rows: list[ReportRow],
        told: Mapping[UUID, Told],
        known: Known,
        opposed: set[int],
        cases: Cases,
    ) -> None:
        due = [
            due_of(
                told[row.report_id],
                view_of(told[row.report_id], known, opposed),
                cases.standings.get(row.report_id),
            )
            for row in rows
            if row.report_id in told
        ]
        asked = await self._parts.publisher.ask(self._connection, due)
        wanted = {(each.report_id, each.stream): each for each in asked.wanted}
        ids = [row.report_id for row in rows]
        table = await self._table(ids)
        holds = {
            (row["report_id"], row["stream"]): row["reason"]
            for row in await self._connection.fetch(queries.HOLDS, ids)
        }
        folds = await self._folds(ids)
        self._found.reports += len(rows)
        self._found.unreadable += len(rows) - len(due)
        for row in rows:
            end = known.ends[row.person_id]
            is_pending = end in self._pending
            if end != row.person_id:
                self._differs(row.report_id, STREAMLESS, What.OWNER, is_pending=is_pending)
            is_capped = row.person_id in cases.capped
            if row.report_id in cases.differ and not is_capped:
                self._differs(row.report_id, STREAMLESS, What.CASE, is_pending=is_pending)
            for stream in self._streams:
                key = (row.report_id, stream)
                wish = wanted.get(key)
                if is_capped and stream is not Stream.DOSSIER:
                    wish = None
                self._stream(key, wish, table, folds, is_pending=is_pending)
                if wish is not None:
                    self._hold(key, holds, asked, is_pending=is_pending)

    def _stream(
        self,
        key: Key,
        wish: Wanted | None,
        table: Mapping[Key, EmittedRow],
        folds: Mapping[Key, Folded],
        *,
        is_pending: bool,
    ) -> None:
        row, fold = table.get(key), folds.get(key)
        digest_of = self._parts.publisher.digest_of
        self._found.published[key[1]] += row is not None and row.published
        if wish is not None:
            self._found.compared[key[1]] += 1
            due = wish.projection
            what = by_table(row, wish, None if due is None else digest_of(due.body))
            if what is not None:
                is_older = fold is not None and fold.rule_version != wish.decision.rule_version
                self._differs(*key, what, is_pending=is_pending, is_older=is_older)
        if fold is None and row is not None and key[1] in self._taken:
            self._found.expired += 1
            return
        body = None if fold is None else fold.body
        self._found.expired += fold is not None and fold.is_destroyed
        what = by_outbox(row, fold, None if body is None else digest_of(body))
        if what is not None:
            self._differs(*key, what)

    def _hold(self, key: Key, holds: Mapping[Key, str], asked: Asked, *, is_pending: bool) -> None:
        held = holds.get(key, "")
        self._found.waiting[key[1]] += bool(held)
        what = by_hold(held, asked.holds.get(key, ""))
        if what is not None:
            self._differs(*key, what, is_pending=is_pending)

    def _differs(
        self,
        report_id: UUID,
        stream: str,
        what: What,
        *,
        is_pending: bool = False,
        is_older: bool = False,
    ) -> None:
        if is_pending:
            self._found.pending += 1
            return
        if is_older:
            self._found.older_rules += 1
            return
        self._found.differ[name_of(stream, what)] += 1
        if len(self._found.listed) < self._parts.listed:
            self._found.listed.append(Difference(report_id=report_id, stream=stream, what=what))

    async def _table(self, ids: list[UUID]) -> dict[Key, EmittedRow]:
        rows = await self._connection.fetch(queries.HELD, ids)
        return {
            (row["report_id"], Stream(row["stream"])): EmittedRow(
                **{**row, "stream": Stream(row["stream"])}
            )
            for row in rows
        }

    async def _folds(self, ids: list[UUID]) -> dict[Key, Folded]:
        found: dict[Key, Folded] = {}
        for row in await self._connection.fetch(queries.FOLD, ids):
            found[row["report_id"], Stream(row["stream"])] = self._folded(row)
        return found

    def _folded(self, row: Any) -> Folded:
        body = None
        if row["payload"] is not None:
            body = _opened(self._parts.vault, row["payload"], row["event_id"])
        return Folded(
            event_version=row["event_version"],
            kind=EventKind(row["kind"]),
            rule_version=row["rule_version"],
            body=body,
            is_destroyed=row["payload"] is not None and body is None,
        )


def _opened(vault: Vault, payload: bytes, event_id: UUID) -> bytes | None:
    """Return the body of an event; None where its key was destroyed."""
    try:
        return vault.open(payload, event_id.bytes)
    except PermanentError as error:
        if error.reason != "key_destroyed":
            raise
        return None
