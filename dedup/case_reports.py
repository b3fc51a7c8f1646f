"""What a report says of one condition: its line, its numbers, its day. Pure.

Sources: french-profile 3.2; docs/cases.md.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from hashlib import blake2b
from typing import Final
from uuid import UUID

import msgspec

from schemas.codes import analysis_in, analysis_of, line_of, looked_for
from schemas.days import counted_day
from schemas.decision import Line, Standing
from schemas.report import LabReport

DEAD: Final = -1
"""Precedence of a report that says nothing (any more): taken back, or not answered yet."""
POSITIVE: Final = 0
"""Precedence of a positive answer."""
DOUBTED: Final = 5
"""Precedence of whatever a report says that waits for a person (a doubt, a test in production).
Behind all: it must not keep another positive from being told."""
_SHORTEST_NUMBER: Final = 3
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
    """0 positive, 1 negative, 2 indeterminate, 3 unusable, 4 no answer of these; or `DOUBTED`, or
    `DEAD`."""
    sampled_on: date | None
    sampled_at: datetime | None
    numbers: Numbers
    tie: int
    """Decides between equals, whatever came first (`tie_of`)."""
    first_at: datetime
    received_on: date
    """When the first of its versions was received."""
    variant: str = ""
    """What it has found of the variant itself."""
    standing: Standing | None = None

    @property
    def key(self) -> Key:
        """The row's key."""
        return self.person_id, self.condition, self.report_id

    @property
    def day(self) -> date:
        """The day it counts on: of sampling, or of first reception where that cannot be."""
        return counted_day(self.sampled_on, self.received_on)

    @property
    def is_alive(self) -> bool:
        """Say whether it says anything now."""
        return self.precedence != DEAD


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


def tie_of(report: LabReport, report_key: UUID) -> int:
    """Return what decides between equals: the same analysis everywhere, then the report's key."""
    codes = "\x1f".join([report.code.code, *sorted(o.code.code for o in report.observations)])
    first = blake2b(codes.encode("utf-8", "surrogatepass"), digest_size=4, person=_TIE).digest()
    return int.from_bytes(first + report_key.bytes[:4], "big", signed=True)


def _digest(secret: bytes, number: str) -> int | None:
    if len(number) < _SHORTEST_NUMBER:
        return None
    told = number.encode("utf-8", "surrogatepass")
    digest = blake2b(told, digest_size=8, key=secret, person=_NUMBER).digest()
    return int.from_bytes(digest, "big", signed=True)
