"""Some persons, whole, in one snapshot: what streams hold of them beside what they should."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from typing import Final
from uuid import UUID

from dedup.case_reports import CaseReport
from dedup.deciding import Known
from ops.publishing import Due, Publisher
from ops.runtime.postgres import Connection
from ops.runtime.vault import Vault
from ops.sources import ReportRow, Told
from ops.stewards.queries import REPORTS_PAGE
from ops.stewards.reemitting import NOTHING_YET
from ops.stewards.replacing import Replacer
from ops.weighing import Weighing
from routing.emitted import Wanted
from routing.making import compared_of
from schemas.patient import Phi
from schemas.topics import Stream

from . import queries
from .differences import (
    STREAMLESS,
    Difference,
    Verified,
    What,
    by_hold,
    by_outbox,
    by_table,
    name_of,
)
from .held import Holding, Key, holding_of
from .older import older_of
from .renamed import renamed
from .scratch import Cases, Scratch, due_of, rows_of, view_of

_TRACING: Final = Stream.CONTACT_TRACING


class Parts(Phi, frozen=True, kw_only=True):
    """What a page is looked at with."""

    scratch: Scratch
    """Computes what should be."""
    publisher: Publisher
    """Says what the streams should hold of a report."""
    weighing: Weighing
    """Says of which reports contact tracing is told nothing as they stand."""
    replacer: Replacer
    """Says what public health should hold of replaced pseudonyms."""
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
        await self._replaced(known)

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
        publisher = self._parts.publisher
        asked = await publisher.ask(self._connection, due)
        wanted = {(each.report_id, each.stream): each for each in asked.wanted}
        held = await holding_of(self._connection, self._parts.vault, [r.report_id for r in rows])
        self._found.reports += len(rows)
        self._found.unreadable += len(rows) - len(due)
        by_rules: list[tuple[Key, What]] = []
        for row in rows:
            self._by_report(row, known, cases)
            for stream in self._streams:
                key = (row.report_id, stream)
                is_capped = row.person_id in cases.capped and stream is not Stream.DOSSIER
                wish = None if is_capped else wanted.get(key)
                self._by_outbox(key, held)
                if wish is not None:
                    self._found.compared[stream] += 1
                    by_rules += [(key, what) for what in self._by_rules(wish, asked.holds, held)]
        waited_for = {r.report_id for r in rows if known.ends[r.person_id] in self._pending}
        lost = {r.report_id for r in rows} - told.keys()
        for report in await self._told_by_another(lost, cases, held):
            is_pending = report in waited_for
            self._differs(report, _TRACING, What.NOT_WITHDRAWN, is_pending=is_pending)
        settled = [each for each in by_rules if each[0][0] not in waited_for]
        self._found.pending += len(by_rules) - len(settled)
        if settled:
            await self._tell(settled, due, wanted, held)

    def _by_report(self, row: ReportRow, known: Known, cases: Cases) -> None:
        is_pending = known.ends[row.person_id] in self._pending
        if known.ends[row.person_id] != row.person_id:
            self._differs(row.report_id, STREAMLESS, What.OWNER, is_pending=is_pending)
        if row.report_id in cases.differ and row.person_id not in cases.capped:
            self._differs(row.report_id, STREAMLESS, What.CASE, is_pending=is_pending)

    async def _told_by_another(
        self, lost: Collection[UUID], cases: Cases, held: Holding
    ) -> list[UUID]:
        """Find index cases that can be read no more, and whose episode another report tells."""
        if _TRACING not in self._streams:
            return []
        standing = {
            report: cases.standings[report]
            for report in lost
            if report in cases.standings
            and (row := held.table.get((report, _TRACING))) is not None
            and row.published
        }
        weighing = self._parts.weighing
        return sorted(await weighing.standing_back(self._connection, standing, _TRACING, None))

    def _by_rules(self, wish: Wanted, holds: Mapping[Key, str], held: Holding) -> Iterator[What]:
        """Give how a stream differs from what rules want of a report."""
        key = (wish.report_id, wish.stream)
        due = wish.projection
        digest = None
        if due is not None:
            compared = due.body if due.compared is None else due.compared
            digest = self._parts.publisher.digest_of(compared)
        for what in (
            by_table(held.table.get(key), wish, digest),
            by_hold(held.holds.get(key, ""), holds.get(key, "")),
        ):
            if what is not None:
                yield what

    async def _tell(
        self,
        by_rules: list[tuple[Key, What]],
        due: list[Due],
        wanted: Mapping[Key, Wanted],
        held: Holding,
    ) -> None:
        """Count what differs; what rules of before would have wanted so is told apart."""
        publisher = self._parts.publisher
        older = await older_of(self._connection, publisher, due, {k[0] for k, _ in by_rules})
        for key, what in by_rules:
            fold, now = held.folds.get(key), wanted[key].decision.rule_version
            is_unknown = fold is not None and fold.rule_version not in {now, *older.known}
            is_older = is_unknown or any(
                key[0] in one.reports
                and next(self._by_rules(one.wanted[key], one.holds, held), None) is None
                for one in older.judged
            )
            self._differs(*key, what, is_older=is_older)

    def _by_outbox(self, key: Key, held: Holding) -> None:
        """Hold the table against the fold of the events."""
        row, fold = held.table.get(key), held.folds.get(key)
        self._found.published[key[1]] += row is not None and row.published
        self._found.waiting[key[1]] += key in held.holds
        if fold is None and row is not None and key[1] in self._taken:
            self._found.expired += 1
            return
        self._found.expired += fold is not None and fold.is_destroyed
        body = None if fold is None else fold.body
        digest = None
        if body is not None:
            digest = self._parts.publisher.digest_of(compared_of(key[1], body))
        what = by_outbox(row, fold, digest)
        if what is not None:
            self._differs(*key, what)

    async def _replaced(self, known: Known) -> None:
        """Hold what public health was told of replaced pseudonyms against the pointers of now."""
        if Stream.PUBLIC_HEALTH not in self._streams:
            return
        wishes = await renamed(self._connection, self._parts.replacer, known)
        held = await holding_of(self._connection, self._parts.vault, wishes)
        for number, wish in wishes.items():
            key = (number, Stream.PUBLIC_HEALTH)
            for what in self._by_rules(wish, {}, held):
                self._differs(*key, what)
            self._by_outbox(key, held)

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
