"""What the streams should hold of some persons' reports, computed from scratch.

Out of the reports as they stand and what is known of their persons. No standing that is stored is
leaned on: cases are grouped anew, from nothing. Of the table of cases only facts are taken that a
report's newest version no longer tells: since when it speaks of a condition, that an earlier
version did (a dead row joins others still), and whether it waited for a person by the rules of
before, if it was handled by them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final
from uuid import UUID

import msgspec

from dedup.case_reports import DEAD, DOUBTED, CaseReport, is_tracked
from dedup.case_store import CaseStore
from dedup.cases import rearrange
from dedup.deciding import Known
from dedup.dossier import dossier_ins
from dedup.store import DedupStore
from ops.casework import Casework
from ops.placing import Placed
from ops.publishing import Due
from ops.runtime.postgres import Connection
from ops.sources import ReportRow, Sources, Told
from ops.stewards.queries import STANDING_OPPOSITIONS
from routing.case import PersonView
from routing.findings import findings_of
from schemas.decision import Standing
from schemas.errors import pure_step
from schemas.patient import Phi

from . import queries

Standings = Mapping[UUID, Mapping[str, Standing]]
_CASE_FACTS: Final = (
    "mark",
    "precedence",
    "sampled_on",
    "sampled_at",
    "received_on",
    "numbers",
    "variant",
    "standing",
)


class Cases(Phi, frozen=True, kw_only=True):
    """The cases of some persons, grouped anew."""

    standings: dict[UUID, dict[str, Standing]]
    differ: set[UUID]
    """Reports whose rows in the table say something else."""
    capped: frozenset[int]
    """Persons of more reports than cases are made of: nothing can be said of their cases."""


class Scratch:
    """Computes what the streams should hold; writes and locks nothing.

    Args:
        store: The tables of dedup.
        cases: The table of cases, for facts.
        most: The most reports of one person that cases are made of.
        casework: Says what a report says of conditions.
        sources: Reads reports back.
    """

    def __init__(
        self,
        store: DedupStore,
        cases: CaseStore,
        casework: Casework,
        sources: Sources,
        *,
        most: int,
    ) -> None:
        self._store = store
        self._cases = cases
        self._casework = casework
        self.sources = sources
        self._most = most

    async def persons(self, connection: Connection, numbers: Collection[int]) -> Known:
        """Return what is known of persons, with everybody merged into them."""
        known = Known()
        await self._store.load(connection, numbers, known)
        return known

    async def opposed(self, connection: Connection, numbers: Collection[int]) -> set[int]:
        """Return who of these opposes the dossier."""
        rows = await connection.fetch(STANDING_OPPOSITIONS, sorted(numbers))
        return {row["standing_id"] for row in rows}

    async def said(
        self, connection: Connection, told: Iterable[Told]
    ) -> dict[UUID, dict[str, CaseReport]]:
        """Return what reports say of conditions now; of those that belong to no case nothing."""
        tracked = [each for each in told if is_tracked(each.report)]
        if not tracked:
            return {}
        first_at = {
            row["report_id"]: row["first_at"]
            for row in await connection.fetch(queries.FIRST_AT, [t.row.report_id for t in tracked])
        }
        with pure_step():
            due = {
                each.row.report_id: due_of(
                    each, PersonView(person_id=each.row.person_id, person_version=0)
                )
                for each in tracked
            }
        withheld = await self._casework.withheld(connection, list(due.values()))
        with pure_step():
            return {
                report: self._casework.said(
                    each, first_at[report], withheld.get(report, frozenset())
                )
                for report, each in due.items()
            }

    async def group(
        self,
        connection: Connection,
        numbers: Collection[int],
        said: Mapping[UUID, Mapping[str, CaseReport]],
        read: Collection[UUID],
    ) -> Cases:
        """Group the cases of persons anew, out of all that their reports say.

        Args:
            connection: In the snapshot.
            numbers: The persons, whole.
            said: Of every report of theirs that could be read.
            read: Reports that could be read; of the others the facts of their rows stand.
        """
        held = {
            (row.report_id, row.condition): row
            for row in await self._cases.load(connection, numbers)
        }
        odd = [
            report_id
            for report_id, rows in said.items()
            for condition, row in rows.items()
            if _weighs_otherwise(held.get((report_id, condition)), row)
        ]
        before: set[UUID] = set()
        if odd:
            rows_before = await connection.fetch(queries.BEFORE_THE_RULES, odd)
            before = {row["report_id"] for row in rows_before}
        with pure_step():
            told = {
                report_id: {
                    condition: _as_weighed(row, held.get((report_id, condition)))
                    if report_id in before
                    else row
                    for condition, row in rows.items()
                }
                for report_id, rows in said.items()
            }
            return self._grouped(held, told, set(read))

    def _grouped(
        self,
        held: Mapping[tuple[UUID, str], CaseReport],
        said: Mapping[UUID, Mapping[str, CaseReport]],
        read: set[UUID],
    ) -> Cases:
        now: dict[UUID, dict[str, CaseReport]] = {}
        for report_id, rows in said.items():
            for condition, row in rows.items():
                elder = held.get((report_id, condition))
                now.setdefault(report_id, {})[condition] = _since(row, elder or row)
        for (report_id, condition), row in held.items():
            if condition not in now.get(report_id, {}):
                precedence = DEAD if report_id in read else row.precedence
                kept = msgspec.structs.replace(row, precedence=precedence, standing=None)
                now.setdefault(report_id, {})[condition] = kept
        after = rearrange([], now, window=self._casework.window).after
        standings: dict[UUID, dict[str, Standing]] = {}
        differ = set()
        counts: dict[int, int] = {}
        for row in after.values():
            assert row.standing is not None, "rows were grouped"
            standings.setdefault(row.report_id, {})[row.condition] = row.standing
            counts[row.person_id] = counts.get(row.person_id, 0) + 1
            if not _same(held.get((row.report_id, row.condition)), row):
                differ.add(row.report_id)
        capped = frozenset(person for person, count in counts.items() if count >= self._most)
        return Cases(standings=standings, differ=differ, capped=capped)


def due_of(
    told: Told,
    person: PersonView,
    standings: Mapping[str, Standing] | None = None,
) -> Due:
    """Return what is asked of the streams about a report as it stands."""
    return Due(
        source=told.source,
        message=told.message,
        person=person,
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
        findings=findings_of(told.report),
        standings=standings or {},
    )


def view_of(told: Told, known: Known, opposed: Collection[int]) -> PersonView:
    """Return a report's person as routing needs it, out of what is known now."""
    end = known.ends[told.row.person_id]
    return PersonView(
        person_id=end,
        person_version=0,
        qualified_ins=dossier_ins(told.keys, known.persons[end]),
        opposes_dossier=end in opposed,
    )


def rows_of(found: Sequence[Any]) -> list[ReportRow]:
    """Return rows of the table `report`."""
    return [ReportRow(**row) for row in found]


def _weighs_otherwise(held: CaseReport | None, row: CaseReport) -> bool:
    """Say whether a report waits for a person by one of the two alone."""
    if held is None or DEAD in {held.precedence, row.precedence}:
        return False
    return (held.precedence == DOUBTED) is not (row.precedence == DOUBTED)


def _as_weighed(row: CaseReport, held: CaseReport | None) -> CaseReport:
    """Return what a report says with the weight that rules of before gave it."""
    if held is None or not _weighs_otherwise(held, row):
        return row
    return msgspec.structs.replace(row, precedence=held.precedence, variant=held.variant)


def _since(row: CaseReport, elder: CaseReport) -> CaseReport:
    received = min(row.received_on, elder.received_on)
    return msgspec.structs.replace(row, first_at=elder.first_at, received_on=received)


def _same(held: CaseReport | None, row: CaseReport) -> bool:
    return held is not None and all(
        getattr(held, name) == getattr(row, name) for name in _CASE_FACTS
    )
