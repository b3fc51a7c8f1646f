"""What the streams hold of some persons' reports, brought to what they should hold now.

Through `emitted.diff`, as every change: a report of which a stream holds the right thing already
gives no event, so doing it again, or going on after a crash, does no harm.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from dedup.deciding import Known
from dedup.dossier import dossier_ins
from dedup.identity import Candidate
from dedup.store import DedupStore
from ops.casework import REASON, Casework, Worked
from ops.placing import Placed
from ops.publishing import Due, Publisher
from ops.runtime.failpoints import hit
from ops.runtime.postgres import Connection
from ops.sources import REPORTS_OF, ReportRow, Sources, Told, report_rows
from ops.withdrawing import withdrawn_of
from routing.case import PersonView
from routing.emitted import PendingEvent
from schemas.patient import Ins
from schemas.topics import Stream

from . import queries
from .persons import Held
from .replacing import Replacer

NOTHING_YET: Final = UUID(int=0)
IDENTITY_CHANGED: Final = "identity_changed"
"""The reason of what is emitted again because persons are others now."""


class Reemitted(msgspec.Struct, kw_only=True):
    """What was done: events that are not yet numbered, and counts."""

    events: list[PendingEvent] = []
    reports: int = 0
    unreadable: int = 0
    remaining: dict[int, UUID] = {}
    """Persons of whom more is left, and up to which report it was done."""
    worked: list[Worked] = []
    """What became of cases by it, to be counted."""


class _Person(msgspec.Struct, frozen=True, kw_only=True):
    end: int
    version: int
    known: Candidate
    opposes: bool
    has_sealed_ins: bool = False
    """Not all of its INS can be read any more: nobody can tell which dossiers are its own."""


class Reemitter:
    """Holds the reports of persons against the streams again.

    Args:
        store: The tables of dedup.
        sources: Reads reports back.
        publisher: Routes, and writes what the streams hold.
        casework: Groups the cases of those whose reports have changed hands anew.
        replacer: Tells public health which pseudonym stands for which.
        addressee: Gives what stands for the dossier of an INS.
        page: Reports read and diffed at a time.
        most: Reports of one transaction; what is beyond is left to later ones.
    """

    def __init__(
        self,
        store: DedupStore,
        sources: Sources,
        publisher: Publisher,
        casework: Casework,
        replacer: Replacer,
        *,
        addressee: Callable[[Ins], str],
        page: int,
        most: int,
    ) -> None:
        self._store = store
        self._sources = sources
        self._publisher = publisher
        self._casework = casework
        self._replacer = replacer
        self._addressee = addressee
        self._page = page
        self._most = most

    async def reemit(
        self,
        connection: Connection,
        held: Held,
        versions: Mapping[int, int],
        at: datetime,
        *,
        reason: str,
        joined: Collection[int] = (),
        moved: Collection[UUID] = (),
        after: UUID = NOTHING_YET,
    ) -> Reemitted:
        """Bring what the streams hold of the ends' reports to what they should hold.

        Pages go by report id, over all persons together: rows of `emitted` are locked in one order.

        Args:
            connection: Inside the transaction that holds the persons.
            held: As they stand after the change.
            versions: End -> its version, which the events carry.
            at: When it was decided.
            reason: identity_changed, opposition, rules_changed or replayed: what the events say.
            joined: Who was merged into somebody in this transaction.
            moved: Reports whose person is another now: what can be read no more leaves the dossier.
            after: Go on after this report.
        """
        done = Reemitted()
        if after == NOTHING_YET:
            await self._casework.reassign(connection, held.everybody)
            done.events += await self._replacer.settle(connection, held, versions, joined)
        persons = await self._persons(connection, held, versions)
        while done.reports < self._most:
            limit = min(self._page, self._most - done.reports)
            rows = report_rows(
                await connection.fetch(queries.REPORTS_PAGE, sorted(versions), after, limit)
            )
            if not rows:
                return done
            await self._do_page(connection, rows, persons, done, at, reason=reason, moved=moved)
            after = rows[-1].report_id
            hit("stewards.after_page")
        if await connection.fetch(queries.REPORTS_PAGE, sorted(versions), after, 1):
            done.remaining = dict.fromkeys(versions, after)
        return done

    async def reemit_reports(
        self,
        connection: Connection,
        held: Held,
        versions: Mapping[int, int],
        report_ids: Collection[UUID],
        at: datetime,
        *,
        reason: str,
    ) -> Reemitted:
        """Bring what the streams hold of some reports to what they should hold; at most a page.

        Nobody's identity has changed, and the persons' versions stay. What was let go has its
        weight in its case from now on: others of the person follow.
        """
        assert len(report_ids) <= self._page, "a page at most"
        done = Reemitted()
        rows = report_rows(await connection.fetch(REPORTS_OF, sorted(report_ids)))
        persons = await self._persons(connection, held, versions)
        told = await self._sources.read(connection, rows)
        due = _due_of(rows, told, persons, reason)
        worked = await self._casework.settle(connection, due, at)
        published = await self._publisher.prepare(connection, worked.due, at)
        taken = await self._publisher.withdraw(connection, worked.withdrawn, Stream.CONTACT_TRACING)
        done.events += published.events + taken.events
        done.reports += len(rows)
        done.unreadable += len(rows) - len(told)
        done.worked.append(worked)
        return done

    async def _persons(
        self, connection: Connection, held: Held, versions: Mapping[int, int]
    ) -> dict[int, _Person]:
        known = Known()
        await self._store.load(connection, versions, known)
        rows = await connection.fetch(queries.STANDING_OPPOSITIONS, sorted(versions))
        opposed = {row["standing_id"] for row in rows}
        sealed = {
            end
            for end, person in known.persons.items()
            if any(not each.ins.matricule for each in person.ins.values())
        }
        return {
            each: _Person(
                end=end,
                version=versions[end],
                known=known.persons[end],
                opposes=end in opposed,
                has_sealed_ins=end in sealed,
            )
            for end in versions
            for each in held.cluster(end)
        }

    async def _do_page(
        self,
        connection: Connection,
        rows: list[ReportRow],
        persons: Mapping[int, _Person],
        done: Reemitted,
        at: datetime,
        *,
        reason: str,
        moved: Collection[UUID],
    ) -> None:
        told = await self._sources.read(connection, rows)
        due = _due_of(rows, told, persons, reason)
        published = await self._publisher.prepare(connection, due, at)
        done.events += published.events
        lost = [row for row in rows if row.report_id not in told]
        done.reports += len(rows)
        done.unreadable += len(lost)
        if lost:
            done.events += await self._take_back(
                connection, lost, persons, at, reason=reason, moved=moved
            )

    async def _take_back(
        self,
        connection: Connection,
        lost: Sequence[ReportRow],
        persons: Mapping[int, _Person],
        at: datetime,
        *,
        reason: str,
        moved: Collection[UUID],
    ) -> list[PendingEvent]:
        """Take back what streams must not hold of reports that can be read no more.

        From the dossier what is another's now, by whom it was sent to: also where a later
        transaction goes on and knows no more what was moved. From contact tracing what another
        report of its case tells.
        """
        versions = {number: person.version for number, person in persons.items()}
        strangers = set(moved)
        if reason == IDENTITY_CHANGED:
            strangers |= await self._sent_elsewhere(connection, lost, persons)
        gone = [r for r in lost if r.report_id in strangers or persons[r.person_id].opposes]
        withdrawn = await withdrawn_of(connection, gone, versions, reason)
        dossier = await self._publisher.withdraw(connection, withdrawn, Stream.DOSSIER)
        owners = {row.report_id: persons[row.person_id].end for row in lost}
        told = await self._casework.standing_back(connection, owners, at)
        why = reason if reason == IDENTITY_CHANGED else REASON
        withdrawn = await withdrawn_of(
            connection, [row for row in lost if row.report_id in told], versions, why
        )
        tracing = await self._publisher.withdraw(connection, withdrawn, Stream.CONTACT_TRACING)
        return dossier.events + tracing.events

    async def _sent_elsewhere(
        self, connection: Connection, rows: Sequence[ReportRow], persons: Mapping[int, _Person]
    ) -> set[UUID]:
        """Return the reports that stand in a dossier of none of their person's INS."""
        own = {
            number: {self._addressee(held.ins) for held in person.known.ins.values()}
            for number, person in persons.items()
            if not person.has_sealed_ins
        }
        owners = {row.report_id: row.person_id for row in rows if row.person_id in own}
        found = await connection.fetch(queries.ADDRESSEES, sorted(owners))
        return {
            row["report_id"]
            for row in found
            if row["addressee"] not in own[owners[row["report_id"]]]
        }


def _due_of(
    rows: Sequence[ReportRow],
    told: Mapping[UUID, Told],
    persons: Mapping[int, _Person],
    reason: str,
) -> list[Due]:
    """Return what is asked of the streams about those that can be read."""
    return [
        _due(told[row.report_id], persons[row.person_id], reason)
        for row in rows
        if row.report_id in told
    ]


def _due(told: Told, person: _Person, reason: str) -> Due:
    return Due(
        source=told.source,
        message=told.message,
        person=PersonView(
            person_id=person.end,
            person_version=person.version,
            qualified_ins=dossier_ins(told.keys, person.known),
            opposes_dossier=person.opposes,
        ),
        placed=Placed(
            report=told.report,
            report_id=told.row.report_id,
            version_number=told.row.version,
            version=None,
            routes=True,
            is_new=False,
            report_key=told.row.report_key,
            content_digest=told.row.content_digest,
        ),
        reason=reason,
    )
