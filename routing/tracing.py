"""The body of `contact-tracing`: an index case, with what decree 2020-551 art. 2 allows. No INS."""

from __future__ import annotations

from typing import Final

from schemas.events import TracingCase
from schemas.patient import Address

from .case import Case
from .findings import ConditionFinding
from .places import finess_of, rpps_of, sampled_at
from .pseudonym import Pseudonyms

PURPOSE: Final = "contact-tracing"


def case_of(case: Case, finding: ConditionFinding, pseudonyms: Pseudonyms) -> TracingCase:
    """Return the index case of a finding.

    `case_id` is that of the episode: of all reports of one specimen or one day of sampling only the
    one that counts is here, so that nobody is called twice.
    """
    report, traits = case.report, case.traits
    condition = finding.analysis.condition.code
    standing = case.standings.get(condition)
    case_id = case.report_id if standing is None else standing.case_id
    address = traits.address or Address()
    prescriber = report.prescriber
    names = () if prescriber is None else (prescriber.given, prescriber.family)
    return TracingCase(
        case_id=pseudonyms.case(case_id, PURPOSE),
        condition=condition,
        result=finding.result.value,
        status=report.status.value,
        birth_family=traits.birth_family,
        birth_given=traits.birth_given,
        used_family=traits.used_family,
        birth_date=traits.birth_date,
        sex=traits.sex,
        phones=traits.phones,
        emails=traits.emails,
        address_lines=address.lines,
        postcode=address.postcode,
        city=address.city,
        sampled_at=sampled_at(report, finding.observation.observed_at),
        reported_at=report.reported_at,
        laboratory_name=case.laboratory.name,
        laboratory_finess=finess_of(case.laboratory),
        prescriber_rpps=rpps_of(prescriber),
        prescriber_name=" ".join(filter(None, names)),
        test_code=finding.analysis.loinc,
        method=finding.analysis.kind.value,
        variant="" if standing is None else standing.variant,
    )
