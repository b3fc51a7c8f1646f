"""The cases of a batch: where its reports stand among those of their persons, and whom that moves.

Between placing and publishing, in the batch's transaction. The persons' rows are locked before
their cases are read, so that first and second lines meet in every order (docs/cases.md).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

import msgspec

from dedup.case_reports import (
    CaseReport,
    is_tracked,
    mark_of,
    moment_of,
    numbers_of,
    tie_of,
)
from dedup.case_store import CaseStore
from dedup.cases import Rearranged, rearrange
from dedup.episodes import SIXTY_DAYS, Window
from dedup.store import DedupStore
from ops.case_answers import answers_of
from ops.placing import Placed
from ops.publishing import Due
from ops.runtime.failpoints import hit
from ops.runtime.metrics import METRICS
from ops.runtime.postgres import Connection
from ops.sources import REPORTS_OF, Sources, Told, report_rows
from ops.weighing import Weighing
from ops.withdrawing import Withdrawn, withdrawn_of
from routing.case import PersonView
from routing.doubts import doubts_of
from routing.findings import findings_of
from routing.places import day_of, sampled_at
from schemas.decision import Line, Standing
from schemas.errors import pure_step
from schemas.patient import Phi
from schemas.topics import Stream

REASON: Final = "case_changed"
STREAMS: Final = (Stream.CONTACT_TRACING, Stream.PUBLIC_HEALTH)
"""What a stream says of a report's case; the dossier says nothing of it."""


class Worked(Phi, frozen=True, kw_only=True):
    """The batch's reports with where they stand, and others whose standing has changed by them."""

    due: list[Due]
    unread: int = 0
    """Others that can be read no more: what public health holds of them stays as it was."""
    withdrawn: Sequence[Withdrawn] = ()
    """Those of them of whose episode another report tells contact tracing now."""
    moves: Mapping[str, int] = {}

    def count(self) -> None:
        """Count what became of second lines, once it is committed."""
        for what, n in self.moves.items():
            METRICS.second_lines.labels(what).inc(n)
        METRICS.unread_companions.inc(self.unread)


class Casework:
    """Keeps the cases of persons.

    Args:
        store: The table of cases.
        persons: Locks persons.
        sources: Reads reports back.
        weighing: Says what rules keep from being told.
        secret: Keys the digests of numbers.
        window: How long a positive keeps the next from being a new case; the instance's.
    """

    def __init__(
        self,
        store: CaseStore,
        persons: DedupStore,
        sources: Sources,
        weighing: Weighing,
        *,
        secret: bytes,
        window: Window = SIXTY_DAYS,
    ) -> None:
        self._store = store
        self._persons = persons
        self._sources = sources
        self.weighing = weighing
        self._secret = secret
        self.window = window

    async def settle(self, connection: Connection, due: Sequence[Due], at: datetime) -> Worked:
        """Put a batch's reports into their cases; return them with where they stand.

        Others whose standing has changed come behind them, read back from their records.
        """
        versions: dict[int, int] = {}
        met: set[int] = set()
        for each in due:
            number, version = each.person.person_id, each.person.person_version
            versions[number] = max(versions.get(number, 0), version)
            if version > 1 or not each.placed.is_new:
                met.add(number)
        with pure_step():
            due = [_found(each) for each in due]
            concerned = [each for each in due if each.findings is not None]
            owners = {each.placed.report_id: each.person.person_id for each in concerned}
        if not concerned:
            return Worked(due=list(due))
        withheld = await self.weighing.withheld(connection, concerned, at)
        with pure_step():
            said = {
                each.placed.report_id: self.said(
                    each, at, withheld.get(each.placed.report_id, frozenset())
                )
                for each in concerned
            }
        left = {p for p in (each.placed.held_person for each in concerned) if p is not None}
        # A person of one message that has just come has no report but those of it.
        known = met & set(owners.values())
        versions |= await self._persons.lock_persons(connection, left - versions.keys())
        held = await self._store.load(connection, known | left)
        hit("dispatch.after_cases")
        with pure_step():
            change = rearrange(held, said, owners, self.window)
        await self._store.write(connection, change.changed, change.gone)
        return await self._worked(connection, due, change, owners, versions, at=at)

    async def reassign(self, connection: Connection, persons: Collection[int]) -> set[UUID]:
        """Group the cases of persons anew whose reports have changed hands; return what changed.

        For merges, unmerges and whatever is emitted again, inside their transaction: every person
        concerned is locked, and the reports say already whose they are (of a merged person: by its
        pointer).
        """
        held = await self._store.load(connection, persons)
        owners = await self._store.owners(connection, {row.report_id for row in held})
        with pure_step():
            change = rearrange(held, {}, owners, self.window, is_whole=True)
        await self._store.write(connection, change.changed, change.gone)
        return {row.report_id for row in change.changed}

    async def _worked(
        self,
        connection: Connection,
        due: Sequence[Due],
        change: Rearranged,
        owners: Mapping[UUID, int],
        versions: Mapping[int, int],
        *,
        at: datetime,
    ) -> Worked:
        standings: dict[UUID, dict[str, Standing]] = {}
        for row in change.after.values():
            if row.standing is not None:
                standings.setdefault(row.report_id, {})[row.condition] = row.standing
        placed = [
            msgspec.structs.replace(each, standings=standings.get(each.placed.report_id, {}))
            for each in due
        ]
        moved = {
            row.report_id: row
            for row in change.changed
            if row.report_id not in owners
            and row.is_alive
            and row.standing != change.before[row.key].standing
        }
        read = await self._sources.read_reports(connection, moved) if moved else {}
        behind = [
            _due(each, moved[i].person_id, versions, standings[i]) for i, each in read.items()
        ]
        lost = {report: standings[report] for report in moved.keys() - read.keys()}
        return Worked(
            due=placed + behind,
            unread=len(lost),
            withdrawn=await self._withdrawn(connection, lost, versions, at),
            moves=_moves(change),
        )

    async def _withdrawn(
        self,
        connection: Connection,
        lost: Mapping[UUID, Mapping[str, Standing]],
        versions: Mapping[int, int],
        at: datetime,
    ) -> list[Withdrawn]:
        """Take back what another report tells now: one episode has one index case."""
        stream = Stream.CONTACT_TRACING
        gone = await self.weighing.standing_back(connection, lost, stream, at)
        rows = report_rows(await connection.fetch(REPORTS_OF, sorted(gone))) if gone else []
        return await withdrawn_of(connection, rows, versions, REASON)

    async def withheld(
        self, connection: Connection, due: Sequence[Due]
    ) -> dict[UUID, frozenset[str]]:
        """Return report -> conditions that have no weight in its cases, by the rules of now."""
        return await self.weighing.withheld(connection, due, None)

    async def standing_back(
        self, connection: Connection, owners: Mapping[UUID, int], at: datetime
    ) -> set[UUID]:
        """Return those of some reports of whose episode contact tracing is told by another.

        Args:
            connection: Inside the transaction whose reports these are; cases are grouped.
            owners: Report -> person.
            at: By the rules in effect then.
        """
        found = await self._store.standings(connection, set(owners.values()), owners.keys())
        return await self.weighing.standing_back(connection, found, Stream.CONTACT_TRACING, at)

    def said(self, due: Due, at: datetime, withheld: Collection[str] = ()) -> dict[str, CaseReport]:
        """Return what a report says of each condition that it looks for; pure.

        Args:
            due: With its findings, if it can belong to a case, and its report key.
            at: Since when it says so.
            withheld: Conditions of which nothing is told before a person has looked.
        """
        report, placed = due.placed.report, due.placed
        numbers = numbers_of(self._secret, report)
        received = due.source.received_at.astimezone(UTC).date()
        said = {}
        for condition, answer in answers_of(report, due.findings or (), withheld).items():
            moment = sampled_at(report, answer.observed_at)
            said[condition] = CaseReport(
                person_id=due.person.person_id,
                condition=condition,
                report_id=placed.report_id,
                mark=mark_of(report, is_sequence=answer.is_second_line),
                precedence=answer.precedence,
                sampled_on=day_of(moment),
                sampled_at=moment_of(moment),
                numbers=numbers,
                tie=tie_of(report, placed.report_key),
                first_at=at,
                received_on=received,
                variant=answer.variant,
            )
        return said


def _found(due: Due) -> Due:
    """Say what a report that can belong to a case finds; of another nothing is said here."""
    if due.placed.held_person is None and not is_tracked(due.placed.report):
        return due
    report = due.placed.report
    findings = findings_of(report)
    doubts = doubts_of(report, due.message.traits, findings)
    return msgspec.structs.replace(due, findings=findings, doubts=doubts)


def _due(
    told: Told,
    person_id: int,
    versions: Mapping[int, int],
    standings: Mapping[str, Standing],
) -> Due:
    return Due(
        source=told.source,
        message=told.message,
        person=PersonView(person_id=person_id, person_version=versions.get(person_id, 0)),
        placed=Placed(
            report=told.report,
            report_id=told.row.report_id,
            version_number=told.row.version,
            version=None,
            routes=True,
            is_new=False,
            content_digest=told.row.content_digest,
        ),
        reason=REASON,
        standings=standings,
        streams=STREAMS,
    )


def _moves(change: Rearranged) -> Counter[str]:
    """Count what becomes of second lines: attached, waiting, found (it waited) and left."""
    moves: Counter[str] = Counter()
    for row in _second_lines(change.changed):
        assert row.standing is not None
        before = change.before.get(row.key)
        was = before.standing.waits if before is not None and before.standing is not None else None
        if was is None:
            moves["waits" if row.standing.waits else "attached"] += 1
        elif was and not row.standing.waits:
            moves["found"] += 1
        elif not was and row.standing.waits:
            moves["left"] += 1
    return moves


def _second_lines(rows: Iterable[CaseReport]) -> list[CaseReport]:
    return [row for row in rows if row.mark is Line.SECOND]
