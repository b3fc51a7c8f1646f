"""Small FHIR R4 pieces out of HL7 v2 ones: codes, times, quantities, texts. Empty ones vanish."""

from __future__ import annotations

import re
from decimal import Decimal
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Final
from uuid import UUID

from schemas.codes import is_loinc, is_snomed
from schemas.events import JsonObject
from schemas.report import Coded, Observation, Organisation, Practitioner, ResultStatus

from .places import finess_of, rpps_of

_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_DATE: Final = re.compile(r"\d{4}(-\d{2}(-\d{2})?)?")
_TIME: Final = re.compile(
    r"(?P<minute>\d{4}-\d{2}-\d{2}T\d{2}:\d{2})(?P<second>:\d{2}(\.\d+)?)?"
    r"(?P<zone>Z|[+-]\d{2}:\d{2})"
)
_NUMBER: Final = re.compile(r"[+-]?\d{1,18}(\.\d{1,18})?")
_OID: Final = re.compile(r"[0-2](\.\d+){3,}")
_TABLE: Final = re.compile(r"HL7(\d{4})")
_COMPARATORS: Final = frozenset({"<", "<=", ">=", ">"})

TERMINOLOGY: Final = "http://terminology.hl7.org/CodeSystem"

# Also in v3-ObservationInterpretation, which R4 binds (extensible) to Observation.interpretation.
_V3_INTERPRETATIONS: Final = frozenset(
    {"A", "AA", "N", "H", "HH", "L", "LL", "POS", "NEG", "IND", "DET", "ND", "E", "NR", "RR", "WR"}
    | {"R", "S", "I", "B", "W", "U", "D", "<", ">"}
)
_ABSENT: Final = {
    ResultStatus.CANCELLED: "not-performed",
    ResultStatus.NOT_ASKED: "not-asked",
    ResultStatus.ORDERED: "temp-unknown",
    ResultStatus.SCHEDULED: "temp-unknown",
    ResultStatus.IN_PROCESS: "temp-unknown",
}


class Clean(dict[str, Any]):
    """An element without empty parts: `clean` looks at each once and leaves these as they are."""


def clean(element: dict[str, Any]) -> Clean | None:
    """Return an element without its empty parts, for FHIR forbids them; None when all are."""
    # Texts are done here and not in a call of their own: they are nearly all there is.
    kept = Clean()
    for key, value in element.items():
        kind = type(value)
        if kind is str:
            text = value if value.isprintable() else _CONTROL.sub("", value)
            if text := text.strip():
                kept[key] = text
        elif kind is Clean:
            kept[key] = value
        elif value is not None and (part := _part(value)) is not None:
            kept[key] = part
    return kept or None


def _part(value: Any) -> Any:
    kind = type(value)
    if kind is str:
        return told(value) or None
    if kind is dict:
        return clean(value)
    if kind is list or kind is tuple:
        return [part for each in value if (part := _part(each)) is not None] or None
    return value


def told(text: str) -> str:
    """Return a sender's text without control characters and blank ends."""
    return (text if text.isprintable() else _CONTROL.sub("", text)).strip()


def filled(element: dict[str, Any]) -> Clean:
    """Return an element of parts that are clean, without those that are empty."""
    return Clean({key: part for key, part in element.items() if part})


class Parts:
    """The references of a report's bundle: always the same for the same report.

    A version 8 UUID (RFC 9562, 5.8): 90 bits of a digest of the report's id, then the part's
    number. One digest a report: references are in all its resources.

    Args:
        report_id: Of the report.
    """

    __slots__ = ("_stem",)

    PATIENT: Final = 0
    REPORT: Final = 1
    SPECIMEN: Final = 2
    OBSERVATIONS: Final = 3
    """The number of the first one."""

    def __init__(self, report_id: UUID) -> None:
        told = blake2b(report_id.bytes, digest_size=12, person=b"bundle-part").hexdigest()
        variant = "89ab"[int(told[16], 16) & 3]
        self._stem = (
            f"urn:uuid:{told[:8]}-{told[8:12]}-8{told[13:16]}-{variant}{told[17:20]}-{told[20:]}"
        )

    def urn(self, number: int) -> str:
        """Return the full URL of a part."""
        return f"{self._stem}{number:08x}"

    def reference(self, number: int) -> Clean:
        """Return a reference to a part."""
        return Clean(reference=f"{self._stem}{number:08x}")


def date_of(text: str) -> str | None:
    """Return a FHIR date (whole or shortened), None where the text is none."""
    return text if _DATE.fullmatch(text) else None


def date_time_of(text: str) -> str | None:
    """Return a FHIR dateTime: a date, or a time with seconds and offset."""
    return date_of(text) or instant_of(text)


def instant_of(text: str) -> str | None:
    """Return a FHIR instant, None where the sender gave no time of day."""
    found = _TIME.fullmatch(text)
    if found is None:
        return None
    return f"{found['minute']}{found['second'] or ':00'}{found['zone']}"


def system_of(name: str) -> str | None:
    """Return the URI of a coding system as laboratories name it, None for a local one."""
    if is_loinc(name):
        return "http://loinc.org"
    if is_snomed(name):
        return "http://snomed.info/sct"
    if name.upper() == "UCUM":
        return "http://unitsofmeasure.org"
    table = _TABLE.fullmatch(name.upper())
    if table is not None:
        return f"{TERMINOLOGY}/v2-{table[1]}"
    return f"urn:oid:{name}" if _OID.fullmatch(name) else None


@lru_cache(maxsize=8_192)
def catalogued(coded: Coded | None, otherwise: str = "") -> Clean | None:
    """Return the concept of a code of a laboratory's catalogue, never of a value: it is kept."""
    return concept_of(coded, otherwise)


def concept_of(coded: Coded | None, otherwise: str = "") -> Clean | None:
    """Return a CodeableConcept with both triples; `otherwise` is its text where all is empty."""
    coded = coded or Coded()
    codings = (
        _coding(coded.code, coded.text, coded.system),
        _coding(coded.alternate_code, coded.alternate_text, coded.alternate_system),
    )
    text = coded.text or coded.alternate_text
    if not text and not any(codings):
        text = otherwise
    return clean({"coding": codings, "text": text})


def _coding(code: str, text: str, system: str) -> JsonObject | None:
    code = " ".join(code.split())
    return {"system": system_of(system), "code": code, "display": text} if code else None


def value_of(observation: Observation) -> JsonObject:
    """Return `value[x]` of an observation, or its `dataAbsentReason`; never both."""
    value = _value(observation)
    if value is not None:
        return value
    if observation.value_type in {"ED", "RP"}:
        code = "unsupported"
    else:
        code = _ABSENT.get(observation.status, "unknown")
    absent = Clean(system=f"{TERMINOLOGY}/data-absent-reason", code=code)
    reason = Clean(coding=[absent])
    if text := _document_text(observation):
        reason["text"] = text
    return {"dataAbsentReason": reason}


def _document_text(observation: Observation) -> str:
    """Name a document by kind and digest: another one under the same number is another body."""
    document = observation.document
    if document is None:
        return ""
    kind = "/".join(part for part in (document.type, document.subtype) if part)
    return told(
        f"Document {kind or observation.value_type} ({document.digest}) : dans le message reçu"
    )


def _value(observation: Observation) -> JsonObject | None:
    if observation.value_type in {"ED", "RP"}:
        return None
    if observation.number and _NUMBER.fullmatch(observation.number):
        sign = observation.comparator
        if sign in _COMPARATORS or sign in {"", "="}:
            return {"valueQuantity": _quantity(observation)}
    if observation.coded is not None:
        concept = concept_of(observation.coded, observation.value)
        return None if concept is None else {"valueCodeableConcept": concept}
    if observation.value_type in {"DT", "TS", "DTM"}:
        moment = date_time_of(observation.value)
        if moment is not None:
            return {"valueDateTime": moment}
    text = observation.value or observation.comparator + observation.number
    return {"valueString": text} if (text := told(text)) else None


def _quantity(observation: Observation) -> Clean:
    quantity = Clean(value=Decimal(observation.number))
    if observation.comparator in _COMPARATORS:
        quantity["comparator"] = observation.comparator
    if observation.unit is not None:
        quantity.update(_unit(observation.unit))
    return quantity


@lru_cache(maxsize=4_096)
def _unit(unit: Coded) -> Clean:
    system = system_of(unit.system)
    code = told(unit.code)
    return filled(
        {
            "unit": told(unit.text or unit.code),
            "system": system if unit.code else None,
            "code": code if system else None,
        }
    )


def interpretation_of(code: str) -> Clean | None:
    """Return a concept of table 0078, with its twin of v3-ObservationInterpretation."""
    code = " ".join(code.split())
    return _INTERPRETATIONS.get(code) or (clean({"coding": [_v2_0078(code)]}) if code else None)


def _v2_0078(code: str) -> JsonObject:
    return {"system": f"{TERMINOLOGY}/v2-0078", "code": code}


_INTERPRETATIONS: Final = {
    code: Clean(
        coding=[
            {"system": f"{TERMINOLOGY}/v3-ObservationInterpretation", "code": code},
            _v2_0078(code),
        ]
    )
    for code in _V3_INTERPRETATIONS
}


@lru_cache(maxsize=8_192)
def organisation_reference(organisation: Organisation | None) -> Clean | None:
    """Return a reference by name and FINESS number; it points to no resource."""
    if organisation is None:
        return None
    reference = clean({"identifier": finess_identifier(organisation), "display": organisation.name})
    return None if reference is None else Clean(type="Organization", **reference)


@lru_cache(maxsize=8_192)
def laboratory_of(laboratory: Organisation) -> Clean:
    """Return the laboratory as a resource that its report contains."""
    resource = clean(
        {
            "resourceType": "Organization",
            "id": "laboratory",
            "identifier": [finess_identifier(laboratory)],
            "name": laboratory.name or "Laboratoire",
        }
    )
    assert resource is not None, "it has a type"
    return resource


def finess_identifier(organisation: Organisation) -> JsonObject | None:
    """Return the FINESS number as national structure identifier (`1` + FINESS), None without."""
    finess = finess_of(organisation)
    return {"system": "urn:oid:1.2.250.1.71.4.2.2", "value": f"1{finess}"} if finess else None


def practitioner_reference(practitioner: Practitioner | None) -> Clean | None:
    """Return a reference by name and RPPS number; it points to no resource."""
    if practitioner is None:
        return None
    rpps = rpps_of(practitioner)
    name = " ".join(filter(None, (practitioner.given, practitioner.family)))
    identifier = Clean(system="urn:oid:1.2.250.1.71.4.2.1", value=f"8{rpps}") if rpps else None
    reference = filled({"identifier": identifier, "display": told(name)})
    return Clean(type="Practitioner", **reference) if reference else None
