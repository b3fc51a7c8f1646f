"""The body of `dossier`: a FHIR R4 collection Bundle of one report.

References are `urn:uuid` derived from the report's id: the same report always gives the same
bytes. Validated in shape against base R4 (no national laboratory profile is released).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from schemas.events import JsonObject
from schemas.patient import Ins
from schemas.report import LabReport, Observation, ResultStatus, Specimen

from .case import Case
from .fhir import (
    TERMINOLOGY,
    Clean,
    Parts,
    catalogued,
    date_time_of,
    filled,
    instant_of,
    interpretation_of,
    laboratory_of,
    organisation_reference,
    practitioner_reference,
    told,
    value_of,
)
from .fhir_patient import patient_of
from .places import sampled_at

# After HL7's v2-to-FHIR maps of tables 0123 (reports) and 0085 (observations).
REPORT_STATUS: Final = {
    ResultStatus.ORDERED: "registered",
    ResultStatus.IN_PROCESS: "registered",
    ResultStatus.SCHEDULED: "registered",
    ResultStatus.RESULTS_ENTERED: "partial",
    ResultStatus.PARTIAL: "partial",
    ResultStatus.PRELIMINARY: "preliminary",
    ResultStatus.FINAL: "final",
    ResultStatus.UNCHANGED: "final",
    ResultStatus.CORRECTED: "corrected",
    ResultStatus.CANCELLED: "cancelled",
    ResultStatus.NOT_ASKED: "cancelled",
    ResultStatus.DELETED: "entered-in-error",
    ResultStatus.WRONG: "entered-in-error",
}
OBSERVATION_STATUS: Final = {
    **REPORT_STATUS,
    ResultStatus.RESULTS_ENTERED: "preliminary",
    ResultStatus.PARTIAL: "preliminary",
}


def bundle_of(case: Case, ins: Ins) -> JsonObject:
    """Return the Bundle of a report about a person whose INS is qualified."""
    report, parts = case.report, Parts(case.report_id)
    context = _Context(parts, report)
    entries = [
        {"fullUrl": parts.urn(Parts.PATIENT), "resource": patient_of(case.traits, ins)},
        {"fullUrl": parts.urn(Parts.REPORT), "resource": _report(case, context)},
    ]
    for number, each in enumerate(report.observations, Parts.OBSERVATIONS):
        entries.append({"fullUrl": parts.urn(number), "resource": _observation(each, context)})
    if report.specimen is not None:
        resource = _specimen(report, report.specimen, context)
        entries.append({"fullUrl": parts.urn(Parts.SPECIMEN), "resource": resource})
    return {
        "resourceType": "Bundle",
        "identifier": {"system": "urn:ietf:rfc:3986", "value": f"urn:uuid:{case.report_id}"},
        "type": "collection",
        "entry": entries,
    }


class _Context:
    """What the resources of one bundle have in common, made once."""

    __slots__ = ("parts", "sampled", "specimen", "subject")

    def __init__(self, parts: Parts, report: LabReport) -> None:
        self.parts = parts
        self.subject = parts.reference(Parts.PATIENT)
        self.sampled = date_time_of(sampled_at(report))
        self.specimen = None if report.specimen is None else parts.reference(Parts.SPECIMEN)


def _report(case: Case, context: _Context) -> JsonObject:
    report = case.report
    order = _order(report, context)
    contained = [laboratory_of(case.laboratory)]
    if order is not None:
        contained.append(order)
    reference = context.parts.reference
    count = len(report.observations)
    results = range(Parts.OBSERVATIONS, Parts.OBSERVATIONS + count)
    performer = organisation_reference(report.performer)
    return filled(
        {
            "resourceType": "DiagnosticReport",
            "contained": contained,
            "identifier": _order_numbers(report),
            "basedOn": None if order is None else _TO_ORDER,
            "status": REPORT_STATUS[report.status],
            "category": _REPORTS,
            "code": catalogued(report.code, "Analyse sans code"),
            "subject": context.subject,
            "effectiveDateTime": context.sampled,
            "issued": instant_of(report.reported_at),
            "performer": [_TO_LABORATORY] if performer is None else [_TO_LABORATORY, performer],
            "specimen": None if context.specimen is None else [context.specimen],
            "result": [reference(number) for number in results],
            "conclusion": told("\n".join(report.notes)),
        }
    )


def _order(report: LabReport, context: _Context) -> Clean | None:
    requester = practitioner_reference(report.prescriber)
    if requester is None:
        return None
    return Clean(
        resourceType="ServiceRequest",
        id="order",
        status="unknown",
        intent="order",
        subject=context.subject,
        requester=requester,
    )


def _observation(observation: Observation, context: _Context) -> JsonObject:
    performer = organisation_reference(observation.performer)
    return filled(
        {
            "resourceType": "Observation",
            "status": OBSERVATION_STATUS[observation.status],
            "category": _OBSERVATIONS,
            "code": catalogued(observation.code, "Analyse sans code"),
            "subject": context.subject,
            "effectiveDateTime": date_time_of(observation.observed_at) or context.sampled,
            "performer": None if performer is None else [performer],
            **value_of(observation),
            "interpretation": _present(map(interpretation_of, observation.interpretations)),
            "note": _texts(observation.notes),
            "method": catalogued(observation.method),
            "referenceRange": _texts((observation.reference_range,)),
            "specimen": context.specimen,
        }
    )


def _specimen(report: LabReport, specimen: Specimen, context: _Context) -> JsonObject:
    identifier = told(specimen.identifier)
    collected = date_time_of(specimen.collected_at or report.collected_at)
    return filled(
        {
            "resourceType": "Specimen",
            "identifier": [Clean(value=identifier)] if identifier else None,
            "type": catalogued(specimen.type),
            "subject": context.subject,
            "receivedTime": date_time_of(specimen.received_at or report.received_at),
            "collection": Clean(collectedDateTime=collected) if collected else None,
        }
    )


def _present(elements: Iterable[Clean | None]) -> list[Clean]:
    return [each for each in elements if each is not None]


def _texts(texts: Iterable[str]) -> list[Clean]:
    return [Clean(text=text) for each in texts if (text := told(each))]


def _order_numbers(report: LabReport) -> list[Clean]:
    numbers = ((report.filler_order_number, _FILLER), (report.placer_order_number, _PLACER))
    return [Clean(type=kind, value=said) for number, kind in numbers if (said := told(number))]


def _concept(code: str, system: str) -> Clean:
    return Clean(coding=[{"system": f"{TERMINOLOGY}/{system}", "code": code}])


_REPORTS: Final = [_concept("LAB", "v2-0074")]
_OBSERVATIONS: Final = [_concept("laboratory", "observation-category")]
_TO_ORDER: Final = [Clean(reference="#order")]
_TO_LABORATORY: Final = Clean(reference="#laboratory")
_FILLER: Final = _concept("FILL", "v2-0203")
_PLACER: Final = _concept("PLAC", "v2-0203")
