"""The body of `dossier`: a FHIR R4 collection Bundle of one report.

References are `urn:uuid` derived from the report's id: the same report always gives the same
bytes. Judged by HAPI's validator against base R4 and FR Core's Patient (no national laboratory
profile is released). What is sent, and what is not: docs/dossier.md.
"""

from __future__ import annotations

from typing import Any, Final

from schemas.patient import Ins
from schemas.report import Coded, LabReport, Observation, Organisation, ResultStatus, Specimen

from .case import Case
from .fhir import (
    ENCODER,
    Clean,
    Element,
    Parts,
    catalogued,
    concept,
    date_time_of,
    filled,
    instant_of,
    kept,
    told,
)
from .fhir_actors import organisation_of, practitioner_of, provenance_of
from .fhir_patient import patient_of
from .fhir_statuses import status_of_observation, status_of_report
from .fhir_values import attachment_of, interpretation_of, range_of, value_of
from .grouping import members_of
from .making import Making
from .places import sampled_at

META: Final = "MetaDMPMSS"
"""Coding system of what a sender asks of the national services; no observation of the patient."""
META_TAGS: Final = "urn:labdispatch:dmp-mss"
META_CODES: Final = frozenset(
    {
        "MASQUE_PS", "INVISIBLE_PATIENT", "INVISIBLE_REP_LEGAUX", "CONNEXION_SECRETE",
        "MODIF_CONF_CODE", "DESTDMP", "DESTMSSANTEPS", "DESTMSSANTEPAT", "ACK_RECEPTION",
        "ACK_LECTURE_MSS", "CORPSMAIL_PS", "CORPSMAIL_PATIENT",
    }
)  # fmt: skip
_NO_CODE: Final = "Analyse sans code"


def bundle_of(case: Case, ins: Ins, making: Making) -> tuple[bytes, bytes]:
    """Return the Bundle of a report about a person whose INS is qualified, twice.

    The body, and what of it is compared: the same without its Provenance, which alone names rule
    and versions and is the last entry.
    """
    bundle = _Bundle(case, ins)
    provenance = provenance_of(
        making, bundle.reference(Parts.REPORT), bundle.laboratory, case.received_at
    )
    entry = ENCODER.encode(bundle.entry(Parts.PROVENANCE, provenance))
    # The canonical JSON of a Bundle: its keys are sorted, so its entries come first.
    entries = ENCODER.encode(bundle.entries)
    tail = _TAIL % str(case.report_id).encode()
    body = b'{"entry":%s,%s%s' % (entries[:-1], entry, tail)
    return body, b'{"entry":%s%s' % (entries[:-1], tail)


class _Bundle:
    """The entries of a report's bundle, and what they have in common."""

    __slots__ = (
        "_gone", "_performers", "_report", "_sampled", "_specimen", "_subject", "_urn", "entries",
        "laboratory", "reference",
    )  # fmt: skip

    def __init__(self, case: Case, ins: Ins) -> None:
        report = self._report = case.report
        parts = Parts(case.report_id)
        self._urn, self.reference = parts.urn, parts.reference
        self._gone = report.status.is_retraction
        self._subject = parts.reference(Parts.PATIENT)
        self._sampled = date_time_of(sampled_at(report))
        self._performers: dict[Organisation, Clean | None] = {}
        self.entries: list[Clean] = []
        patient = patient_of(case.traits, ins, with_contacts=not self._gone)
        self._add(Parts.PATIENT, patient)
        self.entries.append({})  # the report, once its parts are known
        self.laboratory = self._organisation(case.laboratory)
        order = self._order()
        self._specimen = self._specimen_of(None if self._gone else report.specimen)
        results = self._observations()
        self.entries[1] = self.entry(Parts.REPORT, self._report_of(order, results))

    def entry(self, number: int, resource: Element) -> Clean:
        """Return an entry of the bundle."""
        return {"fullUrl": self._urn(number), "resource": resource}

    def _add(self, number: int, resource: Element) -> Clean:
        self.entries.append(self.entry(number, resource))
        return self.reference(number)

    def _organisation(self, organisation: Organisation | None) -> Clean | None:
        """Return a reference to an organisation, whose entry is made at first sight."""
        if organisation is None:
            return None
        known = self._performers
        if organisation not in known:
            resource = organisation_of(organisation)
            # Where it lies is told beside some observations only: still one organisation.
            same = next((each for each in known if organisation_of(each) == resource), None)
            if same is not None:
                known[organisation] = known[same]
            else:
                number = Parts.PERFORMERS + len(known) if known else Parts.LABORATORY
                known[organisation] = None if resource is None else self._add(number, resource)
        return known[organisation]

    def _order(self) -> Clean | None:
        report = self._report
        practitioner = practitioner_of(report.prescriber)
        number = told(report.placer_order_number)
        if practitioner is None and not number:
            return None
        requester = None
        if practitioner is not None:
            requester = self._add(Parts.PRESCRIBER, practitioner)
        # Whether an order is still open is known to who placed it, and no message of results says.
        order = {
            "resourceType": "ServiceRequest",
            "identifier": [{"type": _PLACER, "value": number}] if number else None,
            "status": "unknown",
            "intent": "order",
            "code": catalogued(report.code, _NO_CODE),
            "subject": self._subject,
            "requester": requester,
        }
        return self._add(Parts.ORDER, filled(order))

    def _specimen_of(self, specimen: Specimen | None) -> Clean | None:
        if specimen is None:
            return None
        report = self._report
        identifier = told(specimen.identifier)
        collected = date_time_of(specimen.collected_at or report.collected_at)
        resource = {
            "resourceType": "Specimen",
            "identifier": [{"value": identifier}] if identifier else None,
            "type": catalogued(specimen.type),
            "subject": self._subject,
            "receivedTime": date_time_of(specimen.received_at or report.received_at),
            "collection": {"collectedDateTime": collected} if collected else None,
        }
        return self._add(Parts.SPECIMEN, filled(resource))

    def _observations(self) -> list[Clean]:
        seen = [each for each in self._report.observations if _is_observation(each)]
        references = [self.reference(number) for number in _numbers(len(seen))]
        members = {} if self._gone else members_of(seen)
        for index, each in enumerate(seen):
            resource = self._observation(each)
            if index in members:
                resource["hasMember"] = [references[member] for member in members[index]]
            self._add(Parts.OBSERVATIONS + index, resource)
        return references

    def _observation(self, observation: Observation) -> Clean:
        status = self._report.status if self._gone else observation.status
        performer = self._organisation(observation.performer) or self.laboratory
        resource: dict[str, Any] = {
            "resourceType": "Observation",
            "status": status_of_observation(observation, status),
            "category": _OBSERVATIONS,
            "code": catalogued(observation.code, _NO_CODE),
            "subject": self._subject,
            "effectiveDateTime": date_time_of(observation.observed_at) or self._sampled,
            "performer": None if performer is None else [performer],
            **value_of(observation, status),
        }
        if status is ResultStatus.CANCELLED or not status.is_retraction:
            # Why there is no result is what there is to say of a cancelled one.
            resource["note"] = [{"text": text} for n in observation.notes if (text := told(n))]
        if not status.is_retraction:
            found = [interpretation_of(code) for code in observation.interpretations]
            reference_range = range_of(observation)
            resource["interpretation"] = [each for each in found if each is not None]
            if observation.method is not None:
                resource["method"] = catalogued(observation.method)
            resource["referenceRange"] = None if reference_range is None else [reference_range]
            resource["specimen"] = self._specimen
        return filled(resource)

    def _report_of(self, order: Clean | None, results: list[Clean]) -> Clean:
        report = self._report
        performer = self._organisation(report.performer)
        performers = [each for each in (self.laboratory, performer) if each is not None]
        # What was wrong is not repeated; why an analysis was cancelled is what there is to say.
        told_notes = not self._gone or report.status is ResultStatus.CANCELLED
        resource = {
            "resourceType": "DiagnosticReport",
            "meta": _tags_of(report),
            "identifier": _order_numbers(report),
            "basedOn": None if order is None else [order],
            "status": status_of_report(
                report.status, [each for each in report.observations if not _is_meta(each)]
            ),
            "category": _REPORTS,
            "code": catalogued(report.code, _NO_CODE),
            "subject": self._subject,
            "effectiveDateTime": self._sampled,
            "issued": instant_of(report.reported_at),
            "performer": performers[:1] if performer is self.laboratory else performers,
            "specimen": None if self._specimen is None else [self._specimen],
            "result": results,
            "conclusion": told("\n".join(report.notes)) if told_notes else None,
            "presentedForm": None if self._gone else _documents_of(report),
        }
        return filled(resource)


def _numbers(count: int) -> range:
    return range(Parts.OBSERVATIONS, Parts.OBSERVATIONS + count)


def _is_observation(observation: Observation) -> bool:
    return observation.document is None and not _is_meta(observation)


def _is_meta(observation: Observation) -> bool:
    code = observation.code
    return META in (code.system, code.alternate_system)


def _tags_of(report: LabReport) -> Clean | None:
    """Return what the sender asks of the national services, of the closed list, where it says Y."""
    asked = {
        observation.code.code
        for observation in report.observations
        if _is_meta(observation) and _says_yes(observation)
    }
    tags = [{"system": META_TAGS, "code": code} for code in sorted(asked & META_CODES)]
    return {"tag": tags} if tags else None


def _says_yes(observation: Observation) -> bool:
    coded = observation.coded or Coded()
    return (coded.code or observation.value).strip().upper() == "Y"


def _documents_of(report: LabReport) -> list[Clean]:
    return [
        attachment_of(each.code, each.document)
        for each in report.observations
        if each.document is not None and not each.status.is_retraction and not _is_meta(each)
    ]


def _order_numbers(report: LabReport) -> list[Clean]:
    numbers = ((report.filler_order_number, _FILLER), (report.placer_order_number, _PLACER))
    return [{"type": kind, "value": said} for number, kind in numbers if (said := told(number))]


_TAIL: Final = (
    b'],"identifier":{"system":"urn:ietf:rfc:3986","value":"urn:uuid:%s"},'
    b'"resourceType":"Bundle","type":"collection"}'
)
_REPORTS: Final = [
    kept({"coding": [{"system": "http://loinc.org", "code": "26436-6"}]}),
    concept("LAB", "v2-0074"),
]
_OBSERVATIONS: Final = [concept("laboratory", "observation-category")]
_FILLER: Final = concept("FILL", "v2-0203")
_PLACER: Final = concept("PLAC", "v2-0203")
