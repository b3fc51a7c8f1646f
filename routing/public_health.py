"""The body of `public-health`: no identity. The schema is the allow-list; dates are days."""

from __future__ import annotations

from datetime import UTC, date
from typing import Final

import msgspec

from schemas.codes import Result
from schemas.days import counted_day
from schemas.decision import Line
from schemas.events import PublicHealthRow

from .ages import age_at
from .case import Case
from .findings import ConditionFinding
from .places import (
    day_of,
    finess_of,
    place_of,
    residence_of,
    sampled_at,
)
from .pseudonym import Pseudonyms, next_period_of, period_of

PURPOSE: Final = "public-health"


def row_of(case: Case, finding: ConditionFinding, pseudonyms: Pseudonyms) -> PublicHealthRow:
    """Return the row of a finding, under the person's pseudonym of the half-year of sampling.

    `result` is the answer of the report that counts in its case; any other's answer stands in
    `second_line_result`, so that whoever counts results never counts an episode twice.
    """
    return _row(case, finding, pseudonyms, PURPOSE)


def anonymous_row_of(
    case: Case, finding: ConditionFinding, pseudonyms: Pseudonyms
) -> PublicHealthRow:
    """Return the row of a condition that is declared anonymously (HIV: french-profile 3.4).

    Its pseudonym and case are of a purpose of the condition alone, and what would let the row be
    laid beside the same person's other rows (age, commune, laboratory, days) is coarser or gone.
    """
    row = _row(case, finding, pseudonyms, anonymous_purpose(finding.analysis.condition.code))
    return msgspec.structs.replace(
        row,
        age=None,
        residence_commune="",
        laboratory_finess="",
        laboratory_commune="",
        sampled_on=_month(row.sampled_on),
        reported_on=_month(row.reported_on),
        received_on=_month(row.received_on),
        dates="month",
    )


def anonymous_purpose(condition: str) -> str:
    """Return the purpose of the pseudonyms of a condition that is declared anonymously."""
    return f"{PURPOSE}.{condition}"


def _row(
    case: Case, finding: ConditionFinding, pseudonyms: Pseudonyms, purpose: str
) -> PublicHealthRow:
    report, traits = case.report, case.traits
    received = case.received_at.astimezone(UTC).date()
    sampled = day_of(sampled_at(report, finding.observation.observed_at))
    analysis = finding.analysis
    standing = case.standings.get(analysis.condition.code)
    day = standing.day if standing is not None else None
    if day is None:
        day = counted_day(sampled, received)
    age = age_at(traits.birth_date, day)
    period = period_of(day)
    following = next_period_of(day)
    counts = standing is None or standing.line is Line.FIRST
    leads = standing is not None and counts
    person = case.person.person_id
    residence = residence_of(traits.address)
    department, commune = place_of(case.laboratory)
    return PublicHealthRow(
        pseudonym=pseudonyms.person(person, purpose, period),
        pseudonym_period=period,
        age=age,
        age_class=age_class(age),
        sex=traits.sex if traits.sex in {"M", "F"} else "U",
        residence_commune=residence.commune,
        residence_department=residence.department,
        residence_imputed=residence.is_imputed,
        laboratory_finess=finess_of(case.laboratory),
        condition=analysis.condition.code,
        case_id="" if standing is None else pseudonyms.case(standing.case_id, purpose),
        line="" if standing is None else standing.line.value,
        # Our own codes of the French screening are no LOINC: the schema has no place for them, and
        # `method` says what it was.
        test_code=analysis.loinc if analysis.system == "LN" else "",
        method=analysis.kind.value,
        result=finding.result.value if counts else "",
        second_line_result="" if counts else finding.result.value,
        status=report.status.value,
        sampled_on=day.isoformat(),
        reported_on=_text(day_of(report.reported_at)),
        received_on=received.isoformat(),
        sampled_on_imputed=day != sampled,
        new_case=_new_case(case, finding) if leads else None,
        recent_positive=standing.again if standing is not None and counts else None,
        variant=standing.variant if standing is not None and counts else "",
        laboratory_department=department,
        laboratory_commune=commune,
        pseudonym_next=pseudonyms.person(person, purpose, following) if following else "",
        pseudonym_next_period=following,
    )


def _new_case(case: Case, finding: ConditionFinding) -> bool | None:
    """Say whether a first line is a new case; None where it is no positive that makes one."""
    if finding.result is not Result.POSITIVE or not finding.analysis.makes_index_case:
        return None
    return not case.standings[finding.analysis.condition.code].again


def _month(day: str) -> str:
    return f"{day[:7]}-01" if day else ""


def age_class(age: int | None) -> str:
    """Return cl_age90: 09, 19, ... 89, 90; empty where the age is unknown."""
    if age is None:
        return ""
    return "90" if age >= 90 else f"{age // 10}9"


def _text(day: date | None) -> str:
    return "" if day is None else day.isoformat()
