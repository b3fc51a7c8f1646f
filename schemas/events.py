"""The events of the three streams.

A consumer's rule is one line: the highest `event_version` of a (`report_id`, `part`) wins.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

import msgspec

from .topics import Stream


class EventKind(StrEnum):
    """What an event says of its report in its stream."""

    PUBLISHED = "published"
    REVISED = "revised"
    WITHDRAWN = "withdrawn"


class EventHeader(msgspec.Struct, frozen=True, kw_only=True):
    """What every event carries, in every stream; no personal data."""

    event_id: UUID
    """Digest of (stream, report_id, part, event_version): the same event never has two ids."""
    stream: Stream
    partition: int
    seq: int
    """Gapless per (stream, partition), in commit order, from 1."""
    report_id: UUID
    """Of conditions that are declared anonymously an id of their own: it joins them to nothing."""
    event_version: int
    """Counted for each (report_id, part), from 1."""
    kind: EventKind
    reason: str
    """Stable code: new, new_version, corrected (it is not due any more by what it says now),
    cancelled, no_longer_due (by other rules), moved (to another addressee, or it is another
    patient's), case_changed (another report of the same episode changed what this one says), and
    others."""
    realm: str
    rule: str
    rule_version: str
    person_version: int
    """Orders the events about one person across laboratories."""
    emitted_at: datetime
    part: str = ""
    """What of the report it is about: a condition code, for a report can tell of several; empty in
    the dossier, which has the whole report."""


class StreamEvent(EventHeader, frozen=True, kw_only=True):
    """One line of a stream: header and the stream's own body (null when withdrawn)."""

    body: msgspec.Raw | None = None
    cursor: str | msgspec.UnsetType = msgspec.UNSET
    """Where to read on after this line (HTTP and CLI only)."""


class TracingCase(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=False):
    """Body of `contact-tracing`: an index case with what the decree allows (2020-551 art. 2).

    Dates ISO 8601; codes as in `schemas/codes`; empty text where the laboratory gave none.
    """

    case_id: str
    """Stands for the episode; one report of it is here at a time."""
    condition: str
    result: str
    status: str
    birth_family: str
    birth_given: str
    used_family: str
    birth_date: str
    sex: str
    phones: tuple[str, ...]
    emails: tuple[str, ...]
    address_lines: tuple[str, ...]
    postcode: str
    city: str
    sampled_at: str
    reported_at: str
    laboratory_name: str
    laboratory_finess: str
    prescriber_rpps: str
    prescriber_name: str
    test_code: str
    method: str
    variant: str = ""
    """What the lines of the case have found of its variant; empty while nobody has."""

    def __repr__(self) -> str:
        """Return the type's name alone: a case is personal data."""
        return "<TracingCase withheld>"


class PublicHealthRow(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=False):
    """Body of `public-health`: no identity; the pseudonym stands for the resolved person.

    The stream holds one other body, which `record` tells from this one: `PseudonymReplaced`.
    """

    pseudonym: str
    """Empty where the key of its period was destroyed."""
    pseudonym_period: str
    """The half-year of sampling, as `2026-H1`: a person has another pseudonym in each."""
    age: int | None
    """Completed years at sampling; None where the birth date is unknown or after sampling."""
    age_class: str
    """cl_age90: 09, 19, ... 89, 90; empty where age is unknown. Source: french-profile 4."""
    sex: str
    residence_commune: str
    residence_department: str
    residence_imputed: bool
    """The sender gave no commune of residence: commune and department are of the postcode (of
    several communes the largest; of a postcode that no commune has, the department alone)."""
    laboratory_finess: str
    condition: str
    case_id: str
    """Stands for the episode: reports of one specimen or one day of sampling share it. Empty for
    analyses that make no case (antibodies)."""
    line: str
    """first: the report that counts in its case; second: another of it (screening, confirmation,
    sequencing); empty where there is no case."""
    test_code: str
    method: str
    result: str
    """What was found, of a report that counts; empty in a second line."""
    second_line_result: str
    """What a second line has found; empty in every other row."""
    status: str
    sampled_on: str
    """The day that counts: of sampling, or of first reception where that is not known."""
    reported_on: str
    received_on: str
    record: str = "result"
    """What this body is: `result`."""
    sampled_on_imputed: bool = False
    """`sampled_on` is the day of reception: nobody gave one of sampling, or one after reception."""
    new_case: bool | None = None
    """Of a positive first line: no other case of the person was positive in the 60 days before.
    None of everything else."""
    recent_positive: bool | None = None
    """Of a first line, whatever it found: the person was positive in another case of the condition
    in the 60 days before. None where there is no case."""
    variant: str = ""
    """What the lines of the case have found of its variant; on the first line alone."""
    laboratory_department: str = ""
    laboratory_commune: str = ""
    pseudonym_next: str = ""
    """In the last 90 days of a period: the person's pseudonym of the next one."""
    pseudonym_next_period: str = ""
    dates: str = "day"
    """How exact the dates are: `day`, or `month` (the first day of it stands for all) where the
    condition is declared anonymously."""


class PseudonymReplaced(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=False):
    """Body of `public-health`: two persons were found to be one, so one pseudonym replaces another.

    Published by a merge, withdrawn when it is undone. Read it as: whatever is still held under
    `old` in `period` is about `new`.
    """

    old: str
    new: str
    period: str
    record: str = "pseudonym_replaced"
    """What this body is: `pseudonym_replaced`."""


JsonObject = dict[str, Any]
"""A FHIR resource as a plain JSON object: the body of `dossier` is a Bundle (FHIR R4)."""
