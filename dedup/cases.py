"""One case, several reports: which results of a person tell of the same episode, and which counts.

Pure: the cases of a person are a function of the person's reports as they stand, never of the order
in which they came. Cases are made of first-line reports: of the same day of sampling, or of one
specimen. A second line (screening, confirmation, sequencing) makes none: it hangs on the case of
its first line, or waits for it. Sources: french-profile 3.2; docs/cases.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from hashlib import blake2b
from itertools import pairwise
from typing import Final
from uuid import UUID

import msgspec

from schemas.codes import analysis_in, analysis_of, line_of, looked_for
from schemas.decision import Line, Standing
from schemas.ids import id_of
from schemas.report import LabReport

SPECIMEN_DAYS: Final = 30
"""A specimen number of so many days later is another specimen's: laboratories begin anew."""
DEAD: Final = -1
"""Precedence of a report that says nothing (any more): taken back, or not answered yet."""
_SHORTEST_NUMBER: Final = 3
_CASE: Final = b"case-id-v1"
_TIE: Final = b"case-tie"
_NUMBER: Final = b"case-number-v1"

Key = tuple[int, str, UUID]
"""Person, condition, report."""


class Numbers(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Digests of the numbers by which two laboratories speak of one specimen or one request."""

    specimen: int | None = None
    filler: int | None = None
    placer: int | None = None

    @property
    def given(self) -> frozenset[int]:
        """All of them: what is one laboratory's request is another's specimen."""
        return frozenset(n for n in (self.specimen, self.filler, self.placer) if n is not None)


class CaseReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a report says of one condition, and where it stands: a row of `case_report`."""

    person_id: int
    condition: str
    report_id: UUID
    mark: Line | None
    """What the report itself says of its line; a second line never counts."""
    precedence: int
    """0 positive, 1 negative, 2 indeterminate, 3 unusable, 4 no answer of these; or `DEAD`."""
    sampled_on: date | None
    sampled_at: datetime | None
    numbers: Numbers
    tie: int
    """Decides between equals, whatever came first (`tie_of`)."""
    first_at: datetime
    standing: Standing | None = None

    @property
    def key(self) -> Key:
        """The row's key."""
        return self.person_id, self.condition, self.report_id

    @property
    def is_alive(self) -> bool:
        """Say whether it says anything now."""
        return self.precedence != DEAD


class Rearranged(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of the rows: those to write, those to delete, and all as they are then."""

    changed: list[CaseReport]
    gone: list[Key]
    after: dict[Key, CaseReport]
    before: dict[Key, CaseReport]


def numbers_of(secret: bytes, report: LabReport) -> Numbers:
    """Return the digests of a report's numbers; of very short ones none, for they say nothing."""
    specimen = report.specimen.identifier if report.specimen is not None else ""
    return Numbers(
        specimen=_digest(secret, specimen),
        filler=_digest(secret, report.filler_order_number),
        placer=_digest(secret, report.placer_order_number),
    )


def is_tracked(report: LabReport) -> bool:
    """Say whether a report can belong to a case at all; cheap, for most reports cannot."""
    if analysis_of(report.code) is not None:
        return True
    if any(analysis_in(each) is not None for each in report.observations):
        return True
    # An order for any germ (a culture) speaks for what its own local codes name.
    return looked_for(report.code) is not None and any(
        analysis_in(each, report.code) is not None for each in report.observations
    )


def mark_of(report: LabReport, *, is_sequence: bool) -> Line | None:
    """Return what a report says of its own line: by its analyses, else by its notes (NTE).

    Args:
        report: With its notes.
        is_sequence: It holds nothing but second lines (sequence, screening) of the condition.
    """
    if is_sequence:
        return Line.SECOND
    said = line_of(report.notes)
    if said is None:
        said = line_of(note for each in report.observations for note in each.notes)
    return said


def moment_of(text: str) -> datetime | None:
    """Return a moment in UTC; a whole day is its beginning, None where there is no whole day."""
    try:
        found = datetime.fromisoformat(text)
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def rearrange(
    held: Iterable[CaseReport],
    said: Mapping[UUID, Mapping[str, CaseReport]],
    owners: Mapping[UUID, int] | None = None,
) -> Rearranged:
    """Put what reports say now beside what is held, and group anew where something changes.

    Args:
        held: Every row of the persons concerned.
        said: Report -> condition -> what it says now. A report that says nothing of a condition it
            spoke of before stays in its case as a dead one, unless it is about another person now.
        owners: Report -> person, where it is another than the row's.
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
    groups: dict[tuple[int, str], list[CaseReport]] = {group: [] for group in touched}
    for row in after.values():
        if (row.person_id, row.condition) in groups:
            groups[row.person_id, row.condition].append(row)
    for group in groups.values():
        standings = regroup(group)
        for row in group:
            after[row.key] = msgspec.structs.replace(row, standing=standings[row.report_id])
    return Rearranged(
        changed=[row for key, row in after.items() if before.get(key) != row],
        gone=[key for key in before if key not in after],
        after=after,
        before=before,
    )


def regroup(rows: Sequence[CaseReport]) -> dict[UUID, Standing]:
    """Return where each report of one person and condition stands."""
    if len(rows) == 1:
        (only,) = rows
        is_second = only.mark is Line.SECOND
        line = Line.SECOND if is_second else Line.FIRST
        return {only.report_id: Standing(_case_id(only), line, waits=is_second)}
    cases = _Cases([row for row in rows if row.mark is not Line.SECOND])
    found: dict[UUID, Standing] = {}
    for row in rows:
        if row.mark is Line.SECOND:
            case = cases.of(row)
            if case is None:
                found[row.report_id] = Standing(_case_id(row), Line.SECOND, waits=True)
            else:
                found[row.report_id] = Standing(case.case_id, Line.SECOND, waits=case.lead is None)
    for case in cases.all:
        for row in case.firsts:
            counts = case.lead is None or row.report_id == case.lead.report_id
            line = Line.FIRST if counts else Line.SECOND
            found[row.report_id] = Standing(case.case_id, line)
    return found


class _CaseOf:
    """One case: its first-line reports, the eldest of which names it, and the one that counts."""

    def __init__(self, firsts: list[CaseReport]) -> None:
        self.firsts = firsts
        self.eldest = min(firsts, key=lambda row: (row.first_at, row.report_id))
        self.case_id = _case_id(self.eldest)
        self.lead = min((row for row in firsts if row.is_alive), key=_weight, default=None)


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
    return msgspec.structs.replace(row, first_at=elder.first_at)


def _days(row: CaseReport, other: CaseReport) -> int:
    """Return the days between two samplings; a day that nobody gave is no other day."""
    if row.sampled_on is None or other.sampled_on is None:
        return 0
    return abs((row.sampled_on - other.sampled_on).days)


def _weight(row: CaseReport) -> tuple[int, datetime, int, int]:
    """Order by which one report of a case counts: what was found, then what was sampled first."""
    sampled = row.sampled_at or datetime.max.replace(tzinfo=UTC)
    return row.precedence, sampled, row.tie, row.report_id.int


def tie_of(report: LabReport, report_key: UUID) -> int:
    """Return what decides between equals: the same analysis everywhere, then the report's key."""
    codes = "\x1f".join([report.code.code, *sorted(o.code.code for o in report.observations)])
    first = blake2b(codes.encode("utf-8", "surrogatepass"), digest_size=4, person=_TIE).digest()
    return int.from_bytes(first + report_key.bytes[:4], "big", signed=True)


def _case_id(row: CaseReport) -> UUID:
    told = row.report_id.bytes + row.condition.encode()
    return id_of(blake2b(told, digest_size=16, person=_CASE).digest())


def _digest(secret: bytes, number: str) -> int | None:
    if len(number) < _SHORTEST_NUMBER:
        return None
    told = number.encode("utf-8", "surrogatepass")
    digest = blake2b(told, digest_size=8, key=secret, person=_NUMBER).digest()
    return int.from_bytes(digest, "big", signed=True)
