"""The body of `public-health`: no identity. The schema is the allow-list; dates are days."""

from __future__ import annotations

from datetime import UTC, date
from typing import Final

from schemas.decision import Line
from schemas.events import PublicHealthRow

from .ages import age_at
from .case import Case
from .findings import ConditionFinding
from .places import commune_of, day_of, department_of, finess_of, sampled_at
from .pseudonym import case_of, period_of, pseudonym_of

PURPOSE: Final = "public-health"


def row_of(case: Case, finding: ConditionFinding, secret: bytes) -> PublicHealthRow:
    """Return the row of a finding, under the person's pseudonym of the quarter of sampling.

    `result` is the answer of the report that counts in its case; any other's answer stands in
    `second_line_result`, so that whoever counts results never counts an episode twice.
    """
    report, traits = case.report, case.traits
    received = case.received_at.astimezone(UTC).date()
    sampled = day_of(sampled_at(report, finding.observation.observed_at))
    reported = day_of(report.reported_at)
    reference = sampled or reported or received
    age = age_at(traits.birth_date, reference)
    period = period_of(reference)
    condition = finding.analysis.condition.code
    standing = case.standings.get(condition)
    counts = standing is None or standing.line is Line.FIRST
    return PublicHealthRow(
        pseudonym=pseudonym_of(secret, case.person.person_id, PURPOSE, period),
        pseudonym_period=period,
        age=age,
        age_class=age_class(age),
        sex=traits.sex if traits.sex in {"M", "F"} else "U",
        residence_commune=commune_of(traits.address),
        residence_department=department_of(traits.address),
        residence_imputed=False,
        laboratory_finess=finess_of(case.laboratory),
        condition=condition,
        case_id="" if standing is None else case_of(secret, standing.case_id, PURPOSE),
        line="" if standing is None else standing.line.value,
        test_code=finding.analysis.loinc,
        method=finding.analysis.kind.value,
        result=finding.result.value if counts else "",
        second_line_result="" if counts else finding.result.value,
        status=report.status.value,
        sampled_on=_text(sampled),
        reported_on=_text(reported),
        received_on=received.isoformat(),
    )


def age_class(age: int | None) -> str:
    """Return cl_age90: 09, 19, ... 89, 90; empty where the age is unknown."""
    if age is None:
        return ""
    return "90" if age >= 90 else f"{age // 10}9"


def _text(day: date | None) -> str:
    return "" if day is None else day.isoformat()
