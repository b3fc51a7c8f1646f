"""What was decided: about whom a report is, and where it goes."""

from __future__ import annotations

from enum import StrEnum
from uuid import UUID

import msgspec

from .topics import Stream


class Realm(StrEnum):
    """A property of the instance, stored at first start: test (loopback only) or production."""

    TEST = "test"
    PRODUCTION = "production"


class Verdict(StrEnum):
    """What the matcher says of a record."""

    LINK = "link"
    NEW = "new"
    REVIEW = "review"
    """A new person, and a review item beside it: the machine does not decide."""
    ISOLATE = "isolate"
    """A person of its own that nothing is ever linked to (guard 1)."""


class MatchDecision(msgspec.Struct, frozen=True, kw_only=True):
    """The decision about one message's traits, replayable bit for bit.

    `evidence` holds agreement levels, weights and guard names only, never a value.
    """

    verdict: Verdict
    person_id: int | None
    """The person linked to; None when a new one is to be made."""
    rule: str
    model_version: str
    guard: str = ""
    candidates: tuple[int, ...] = ()
    contradicts: int | None = None
    """The person a review item compares with."""
    evidence: dict[str, str] = {}


class RouteDecision(msgspec.Struct, frozen=True, kw_only=True):
    """For one report: the streams it is due in, and those that wait with a reason."""

    condition: str
    """Condition code (see schemas/codes) or empty."""
    result: str
    """positive, negative, indeterminate, unusable, or empty where none can be said."""
    due: frozenset[Stream]
    holds: dict[Stream, str] = {}
    """Stream -> stable reason for which it waits."""
    rules: dict[Stream, str] = {}
    """Stream -> id of the rule that decided."""
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
