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
    """Which stream it belongs to."""
    partition: int
    """Where in the stream it stands, from 0; all events of one (report_id, part) are in one."""
    seq: int
    """Gapless per (stream, partition), in commit order, from 1."""
    report_id: UUID
    """Of conditions that are declared anonymously an id of their own: it joins them to nothing."""
    event_version: int
    """Counted for each (report_id, part), from 1."""
    kind: EventKind
    """published (the first of its part), revised (a newer one), withdrawn (it counts no more)."""
    reason: str
    """Stable code: new, new_version, corrected (it is not due any more by what it says now),
    cancelled, no_longer_due (by other rules), moved (to another addressee, or it is another
    patient's), case_changed (another report of the same episode changed what this one says), and
    others."""
    realm: str
    """Whether the hub takes results of patients or of tests; the two are never mixed."""
    rule: str
    """The routing rule by which it is here."""
    rule_version: str
    """The version of the rules then in effect."""
    person_version: int
    """Orders the events about one person across laboratories."""
    emitted_at: datetime
    """When it was decided; of a condition that is declared anonymously only the day."""
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
    """What the person is positive for."""
    result: str
    """What was found; an index case is a positive one."""
    status: str
    """Status of the report (OBR-25, HL7 table 0123)."""
    birth_family: str
    """Family name at birth."""
    birth_given: str
    """First given name at birth."""
    used_family: str
    """Family name in use."""
    birth_date: str
    """Day of birth, as exactly as it is known: a year, a month, or a day."""
    sex: str
    """Administrative sex (PID-8)."""
    phones: tuple[str, ...]
    """Phone numbers at which the person can be reached."""
    emails: tuple[str, ...]
    """Mail addresses at which the person can be reached."""
    address_lines: tuple[str, ...]
    """Lines of the address of residence."""
    postcode: str
    """Postcode of residence."""
    city: str
    """Place of residence."""
    sampled_at: str
    """When the specimen was taken, as exactly as the laboratory said."""
    reported_at: str
    """When the report was validated (OBR-22)."""
    laboratory_name: str
    """The laboratory that made the test."""
    laboratory_finess: str
    """Its FINESS number."""
    prescriber_rpps: str
    """RPPS number of who asked for the test."""
    prescriber_name: str
    """Given and family name of who asked for the test."""
    test_code: str
    """What was tested (LOINC)."""
    method: str
    """How it was tested."""
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
    """Stands for the resolved person within its period."""
    pseudonym_period: str
    """The half-year of sampling, as `2026-H1`: a person has another pseudonym in each."""
    age: int | None
    """Completed years at sampling; null where the birth date is unknown or after sampling."""
    age_class: str
    """Age in tens of years, named by its last, as SI-DEP's cl_age90; empty where age is unknown."""
    sex: str
    """Administrative sex (PID-8); whatever is neither M nor F is U, and stays in totals."""
    residence_commune: str
    """INSEE code of the commune of residence, as given or imputed."""
    residence_department: str
    """Department of residence: of the commune, else of the postcode."""
    residence_imputed: bool
    """The sender gave no commune of residence: commune and department are of the postcode (of
    several communes the largest; of a postcode that no commune has, the department alone)."""
    laboratory_finess: str
    """FINESS number of the laboratory."""
    condition: str
    """What was tested for."""
    case_id: str
    """Stands for the episode: reports of one specimen or one day of sampling share it. Empty for
    analyses that make no case (antibodies)."""
    line: str
    """first: the report that counts in its case; second: another of it (screening, confirmation,
    sequencing); empty where there is no case."""
    test_code: str
    """What was tested (LOINC)."""
    method: str
    """How it was tested."""
    result: str
    """What was found, of a report that counts; empty in a second line."""
    second_line_result: str
    """What a second line has found; empty in every other row."""
    status: str
    """Status of the report (OBR-25, HL7 table 0123)."""
    sampled_on: str
    """The day that counts: of sampling, or of first reception where that is not known."""
    reported_on: str
    """Day of validation (OBR-22)."""
    received_on: str
    """Day of reception of this version, UTC."""
    record: str = "result"
    """What this body is: `result`."""
    sampled_on_imputed: bool = False
    """`sampled_on` is the day of reception: nobody gave one of sampling, or one after reception."""
    new_case: bool | None = None
    """Of a positive first line: no other case of the person was positive in the 60 days before.
    null of everything else."""
    recent_positive: bool | None = None
    """Of a first line, whatever it found: the person was positive in another case of the condition
    in the 60 days before. null where there is no case."""
    variant: str = ""
    """What the lines of the case have found of its variant; on the first line alone."""
    laboratory_department: str = ""
    """Department of the laboratory: of its address, else of its FINESS number."""
    laboratory_commune: str = ""
    """INSEE code of the laboratory's commune."""
    pseudonym_next: str = ""
    """In the last 90 days of a period: the person's pseudonym of the next one."""
    pseudonym_next_period: str = ""
    """The half-year of `pseudonym_next`."""
    dates: str = "day"
    """How exact the dates are: `day`, or `month` (the first day of it stands for all) where the
    condition is declared anonymously."""


class PseudonymReplaced(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=False):
    """Body of `public-health`: two persons were found to be one, so one pseudonym replaces another.

    Published by a merge, withdrawn when it is undone. Read it as: whatever is still held under
    `old` in `period` is about `new`.
    """

    old: str
    """The pseudonym that no row carries any more."""
    new: str
    """The pseudonym that stands for the person now."""
    period: str
    """The half-year in which both were given."""
    record: str = "pseudonym_replaced"
    """What this body is: `pseudonym_replaced`."""


JsonObject = dict[str, Any]
"""A FHIR resource as a plain JSON object: the body of `dossier` is a Bundle (FHIR R4)."""
