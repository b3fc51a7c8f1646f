"""What was decided: about whom a report is, and where it goes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from enum import StrEnum
from typing import Final
from uuid import UUID

import msgspec

from .topics import Stream


class Realm(StrEnum):
    """A property of the instance, stored at first start: test (loopback only) or production."""

    TEST = "test"
    PRODUCTION = "production"


class ProjectionName(StrEnum):
    """The closed set of what a stream can be given of a report; each belongs to one stream."""

    DOSSIER = "dossier"
    TRACING = "tracing"
    PUBLIC_HEALTH = "public-health"
    PUBLIC_HEALTH_ANONYMOUS = "public-health-anonymous"
    """For conditions that are declared anonymously: joined to nothing, days and places coarse."""

    @property
    def stream(self) -> Stream:
        """The stream whose events hold it."""
        return _STREAM_OF[self]


_STREAM_OF: Final = {
    ProjectionName.DOSSIER: Stream.DOSSIER,
    ProjectionName.TRACING: Stream.CONTACT_TRACING,
    ProjectionName.PUBLIC_HEALTH: Stream.PUBLIC_HEALTH,
    ProjectionName.PUBLIC_HEALTH_ANONYMOUS: Stream.PUBLIC_HEALTH,
}


class Verdict(StrEnum):
    """What the matcher says of a record."""

    LINK = "link"
    NEW = "new"
    REVIEW = "review"
    """A new person, and a review item beside it: the machine does not decide."""
    ISOLATE = "isolate"
    """A person of its own that nothing is ever linked to (guard 1)."""


class CandidateEvidence(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What was found of one candidate: numbers and a guard's name, never a value of a trait."""

    person_id: int
    alias_digest: UUID | None
    """The person's identity that the record was compared with; None where none can be read."""
    levels: tuple[int, ...] = ()
    """By field, as in `dedup.levels`."""
    weights: tuple[int, ...] = ()
    """By field, in thousandths of a bit."""
    total: int = 0
    """Weights less the prior."""
    guard: str = ""
    """The first guard that stops a link to this person; empty where none does."""


class MatchDecision(msgspec.Struct, frozen=True, kw_only=True):
    """The decision about one message's traits, replayable bit for bit.

    It holds agreement levels, weights and guard names only, never a value.
    """

    verdict: Verdict
    person_id: int | None
    """The person linked to; None when a new one is to be made."""
    rule: str
    """Why: same_ins, declared_history, strict_traits, score, new, isolated."""
    model_version: str
    guard: str = ""
    """What stopped the machine, or what a steward should look at beside a link."""
    candidates: tuple[CandidateEvidence, ...] = ()
    """The best of them, best first; bounded."""
    contradicts: int | None = None
    """The person a review item compares with."""
    possible_duplicate: int | None = None
    """A second person above the threshold: perhaps the same as the one linked to."""
    margin: int | None = None
    """Thousandths of a bit between the best and the second; None where there is no second."""
    bridges: tuple[int, ...] = ()
    """Persons that this record shows to be the one linked to (models that bridge only)."""


class RoutedPart(msgspec.Struct, frozen=True, kw_only=True):
    """What is decided of one part of a report in one stream: it is due, or it waits."""

    rule: str
    """Id of the rule that decided."""
    due: bool = False
    hold: str = ""
    """Stable reason for which it waits; where it is due all the same, why the rest of it waits."""
    projection: ProjectionName | None = None
    """What the stream is given of it, where it is due."""
    finding: int | None = None
    """Index of the finding that decides; None where the rule asks for none."""


class RouteDecision(msgspec.Struct, frozen=True, kw_only=True):
    """For one report: where each part of it is due, and where it waits with a reason.

    Says nothing of a person; it is shared by all reports that say the same.
    """

    condition: str
    """Condition code (see schemas/codes) of the decisive finding, or empty."""
    result: str
    """positive, negative, indeterminate, unusable, or empty where none can be said."""
    parts: Mapping[Stream, Mapping[str, RoutedPart]]
    """Stream -> part (a condition; empty: the whole report) -> what is decided of it. What is not
    here is not due, and does not wait."""
    due: frozenset[Stream]
    """Streams in which a part is due at least."""
    holds: Mapping[Stream, str] = {}
    """Stream -> stable reason for which a part waits: of several the first (routing/rules.py)."""
    rule_version: str = ""


class Line(StrEnum):
    """What a report is in its case; a case has one first line at most that stands."""

    FIRST = "first"
    """The report that counts."""
    SECOND = "second"
    """Screening, confirmation, sequencing, or another report of the same specimen or day."""


class Standing(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Where a report stands among the reports of one person and condition."""

    case_id: UUID
    line: Line
    waits: bool = False
    """A second line whose first line has not come, or was taken back: it counts nowhere."""
    again: bool = False
    """Of a first line: the person was positive in another case of the condition in the days of the
    window (60) before this one, so this is no new case."""
    variant: str = ""
    """Of a first line: what the lines of its case have found, in a closed vocabulary."""
    day: date | None = None
    """The day it counts on: of sampling, or of first reception where that is not known or lies
    after it."""
