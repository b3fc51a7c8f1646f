"""One case, several reports: which results of a person tell of the same episode, and which counts.

Pure: the cases of a person are a function of the person's reports as they stand, never of the order
in which they came. Cases are made of first-line reports: of the same day of sampling, or of one
specimen. A second line (screening, confirmation, sequencing) makes none: it hangs on the case of
its first line, or waits for it. Whether a case goes on with an earlier one says `episodes.py`.
Sources: french-profile 3.2; docs/cases.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from hashlib import blake2b
from itertools import pairwise
from typing import Final
from uuid import UUID

import msgspec

from schemas.decision import Line, Standing
from schemas.ids import id_of

from .case_reports import DEAD, POSITIVE, CaseReport, Key
from .episodes import SIXTY_DAYS, Episode, Window, are_again

SPECIMEN_DAYS: Final = 30
"""A specimen number of so many days later is another specimen's: laboratories begin anew."""
_CASE: Final = b"case-id-v1"


class Rearranged(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of the rows: those to write, those to delete, and all as they are then."""

    changed: list[CaseReport]
    gone: list[Key]
    after: dict[Key, CaseReport]
    before: dict[Key, CaseReport]


def rearrange(
    held: Iterable[CaseReport],
    said: Mapping[UUID, Mapping[str, CaseReport]],
    owners: Mapping[UUID, int] | None = None,
    window: Window = SIXTY_DAYS,
    *,
    is_whole: bool = False,
) -> Rearranged:
    """Put what reports say now beside what is held, and group anew where something changes.

    Args:
        held: Every row of the persons concerned.
        said: Report -> condition -> what it says now. A report that says nothing of a condition it
            spoke of before stays in its case as a dead one, unless it is about another person now.
        owners: Report -> person, where it is another than the row's.
        window: How long a positive keeps the next from being a new case.
        is_whole: Group all anew, also where nothing is said: rows of before know less.
    """
    before = {row.key: row for row in held}
    known = {(row.report_id, row.condition): row for row in before.values()}
    after: dict[Key, CaseReport] = {}
    touched: set[tuple[int, str]] = set()
    for row in before.values():
        kept = _kept(row, said, (owners or {}).get(row.report_id, row.person_id))
        if kept is not None:
            after[kept.key] = kept
        if kept is not row:
            touched |= {(each.person_id, each.condition) for each in (row, kept or row)}
    for rows in said.values():
        for row in rows.values():
            elder = known.get((row.report_id, row.condition))
            after[row.key] = row if elder is None else _as_old_as(row, elder)
            touched.add((row.person_id, row.condition))
    if is_whole:
        touched = {(row.person_id, row.condition) for row in after.values()}
    groups: dict[tuple[int, str], list[CaseReport]] = {group: [] for group in touched}
    for row in after.values():
        if (row.person_id, row.condition) in groups:
            groups[row.person_id, row.condition].append(row)
    for group in groups.values():
        standings = regroup(group, window)
        for row in group:
            after[row.key] = msgspec.structs.replace(row, standing=standings[row.report_id])
    return Rearranged(
        changed=[row for key, row in after.items() if before.get(key) != row],
        gone=[key for key in before if key not in after],
        after=after,
        before=before,
    )


def regroup(rows: Sequence[CaseReport], window: Window = SIXTY_DAYS) -> dict[UUID, Standing]:
    """Return where each report of one person and condition stands."""
    if len(rows) == 1:
        (only,) = rows
        is_second = only.mark is Line.SECOND
        line = Line.SECOND if is_second else Line.FIRST
        variant = only.variant if only.precedence == POSITIVE and not is_second else ""
        name = _case_id(only)
        return {only.report_id: Standing(name, line, is_second, False, variant, only.day)}
    cases = _Cases([row for row in rows if row.mark is not Line.SECOND])
    found: dict[UUID, Standing] = {}
    for row in rows:
        if row.mark is Line.SECOND:
            case = cases.of(row)
            waits = case is None or case.lead is None
            name = _case_id(row) if case is None else case.case_id
            found[row.report_id] = Standing(name, Line.SECOND, waits, day=row.day)
            if case is not None and row.is_alive:
                case.seconds.append(row)
    told = list(cases.all)
    for case, again in zip(told, _again(told, window), strict=True):
        for row in case.firsts:
            if case.lead is None:
                found[row.report_id] = Standing(case.case_id, Line.FIRST, day=row.day)
            elif row is case.lead:
                found[row.report_id] = Standing(
                    case.case_id, Line.FIRST, again=again, variant=case.variant, day=row.day
                )
            else:
                found[row.report_id] = Standing(case.case_id, Line.SECOND, day=row.day)
    return found


def _again(cases: Sequence[_CaseOf], window: Window) -> list[bool]:
    """Say of each case whether it goes on with an earlier one; a case of nothing but dead does not.

    Those have no part in it: what was taken back keeps nobody else from being a new case.
    """
    standing = [case for case in cases if case.lead is not None]
    again = are_again([case.as_episode() for case in standing], window)
    goes_on = {case.case_id for case, says in zip(standing, again, strict=True) if says}
    return [case.case_id in goes_on for case in cases]


class _CaseOf:
    """One case: its first-line reports, the eldest of which names it, and the one that counts."""

    def __init__(self, firsts: list[CaseReport]) -> None:
        self.firsts = firsts
        self.eldest = min(firsts, key=lambda row: (row.first_at, row.report_id))
        self.case_id = _case_id(self.eldest)
        self.lead = min((row for row in firsts if row.is_alive), key=_weight, default=None)
        self.seconds: list[CaseReport] = []
        """Second lines that stand, put here as they are found."""

    @property
    def variant(self) -> str:
        """What its lines have found: a lineage before mutations, then what was sampled first.

        Of a positive alone: a lineage of what another laboratory found negative says nothing.
        """
        if self.lead is None or self.lead.precedence != POSITIVE:
            return ""
        told = [row for row in (*self.firsts, *self.seconds) if row.is_alive and row.variant]
        return min(told, key=_telling).variant if told else ""

    def as_episode(self) -> Episode:
        """Return the case as the 60-day rule sees it; only of one that stands."""
        assert self.lead is not None, "what was taken back has no part in the rule"
        return Episode(
            day=self.lead.day,
            is_positive=self.lead.precedence == POSITIVE,
            order=_weight(self.lead),
        )


class _Cases:
    """The cases of one person and condition, grouped by day of sampling and by specimen."""

    def __init__(self, firsts: Sequence[CaseReport]) -> None:
        self._of_day: dict[date, int] = {}
        self._of_number: dict[int, list[int]] = {}
        self._rows = firsts
        self._joined = list(range(len(firsts)))
        for place, row in enumerate(firsts):
            if row.sampled_on is not None:
                self._join(place, self._of_day.setdefault(row.sampled_on, place))
            for number in row.numbers.given:
                self._of_number.setdefault(number, []).append(place)
        for number, places in self._of_number.items():
            told = [place for place in places if firsts[place].numbers.specimen == number]
            told.sort(key=lambda place: firsts[place].sampled_on or date.min)
            for place, following in pairwise(told):
                if _days(firsts[place], firsts[following]) <= SPECIMEN_DAYS:
                    self._join(place, following)
        members: dict[int, list[CaseReport]] = {}
        for place, row in enumerate(firsts):
            members.setdefault(self._end(place), []).append(row)
        self._cases = {end: _CaseOf(rows) for end, rows in members.items()}

    @property
    def all(self) -> Iterable[_CaseOf]:
        """Every case."""
        return self._cases.values()

    def of(self, second: CaseReport) -> _CaseOf | None:
        """Return the case that a second line hangs on.

        One that stands before one that was taken back; then one with a number in common (specimen
        or request) before the day alone; then the nearer one, then the elder.
        """
        by_number = {
            self._end(place)
            for number in second.numbers.given
            for place in self._of_number.get(number, ())
            if _days(second, self._rows[place]) <= SPECIMEN_DAYS
        }
        ends = set(by_number)
        if second.sampled_on in self._of_day:
            ends.add(self._end(self._of_day[second.sampled_on]))
        if not ends:
            return None

        def worth(end: int) -> tuple[bool, bool, int, datetime, UUID]:
            case = self._cases[end]
            days = min(_days(second, row) for row in case.firsts)
            eldest = case.eldest
            return (
                case.lead is None,
                end not in by_number,
                days,
                eldest.first_at,
                eldest.report_id,
            )

        return self._cases[min(ends, key=worth)]

    def _join(self, one: int, other: int) -> None:
        self._joined[self._end(one)] = self._end(other)

    def _end(self, place: int) -> int:
        while self._joined[place] != place:
            self._joined[place] = self._joined[self._joined[place]]
            place = self._joined[place]
        return place


def _kept(
    row: CaseReport, said: Mapping[UUID, Mapping[str, CaseReport]], owner: int
) -> CaseReport | None:
    """Return a held row as it goes on; None where what is said anew takes its place."""
    now = said.get(row.report_id)
    if now is None:
        return row if owner == row.person_id else msgspec.structs.replace(row, person_id=owner)
    if row.condition in now or owner != row.person_id:
        return None
    return row if not row.is_alive else msgspec.structs.replace(row, precedence=DEAD)


def _as_old_as(row: CaseReport, elder: CaseReport) -> CaseReport:
    received = min(row.received_on, elder.received_on)
    return msgspec.structs.replace(row, first_at=elder.first_at, received_on=received)


def _days(row: CaseReport, other: CaseReport) -> int:
    """Return the days between two samplings; a day that nobody gave is no other day."""
    if row.sampled_on is None or other.sampled_on is None:
        return 0
    return abs((row.sampled_on - other.sampled_on).days)


def _weight(row: CaseReport) -> tuple[int, datetime, int, int]:
    """Order by which one report of a case counts: what was found, then what was sampled first."""
    sampled = row.sampled_at or datetime.max.replace(tzinfo=UTC)
    return row.precedence, sampled, row.tie, row.report_id.int


def _telling(row: CaseReport) -> tuple[bool, datetime, int, int]:
    """Order by which one variant speaks for a case: a lineage before mutations (`A0B0C1`)."""
    _, sampled, tie, number = _weight(row)
    is_screened = row.variant[0].isalpha() and row.variant[1:2] in {"0", "1"}
    return is_screened, sampled, tie, number


def _case_id(row: CaseReport) -> UUID:
    told = row.report_id.bytes + row.condition.encode()
    return id_of(blake2b(told, digest_size=16, person=_CASE).digest())
