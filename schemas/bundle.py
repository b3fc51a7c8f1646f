"""What a Bundle of the dossier may hold: the allow-list of its paths, as a JSON Schema. Pure.

FHIR R4 allows far more than a result needs. Whatever is not here is in no event: a field that the
projection learns to write is added here first, in a change that CI holds against the last release.
Profiles (FR Core) are checked elsewhere, by a validator; this says nothing of them.
"""

from __future__ import annotations

from typing import Any, Final

Shape = dict[str, Any]

_TEXT: Final[Shape] = {"type": "string"}
_NUMBER: Final[Shape] = {"type": "number"}
_URN: Final[Shape] = {"type": "string", "pattern": "^urn:uuid:[0-9a-f-]{36}$"}


def _code(*values: str) -> Shape:
    return {"enum": sorted(values)}


def _closed(**fields: Shape) -> Shape:
    return {"type": "object", "properties": fields, "additionalProperties": False}


def _each(shape: Shape) -> Shape:
    return {"type": "array", "items": shape}


def _of(name: str) -> Shape:
    return {"$ref": f"#/$defs/{name}"}


def _resource(kind: str, **fields: Shape) -> Shape:
    shape = _closed(resourceType={"const": kind}, **fields)
    return {**shape, "required": ["resourceType"], "title": kind}


_CORE: Final = "https://hl7.fr/ig/fhir/core/StructureDefinition"
_CONCEPT: Final = _of("CodeableConcept")
_QUANTITY: Final = _of("Quantity")
_REFERENCE: Final = _of("Reference")
_IDENTIFIERS: Final = _each(_of("Identifier"))
_NAMES: Final = _each(_of("HumanName"))

_DATATYPES: Final[dict[str, Shape]] = {
    "Coding": _closed(system=_TEXT, code=_TEXT, display=_TEXT),
    "CodeableConcept": _closed(coding=_each(_of("Coding")), text=_TEXT),
    "Identifier": _closed(use=_code("official", "usual"), type=_CONCEPT, system=_TEXT, value=_TEXT),
    # Within the Bundle, and to nothing outside it.
    "Reference": _closed(
        reference={"type": "string", "pattern": "^(#hub|urn:uuid:[0-9a-f-]{36})$"}
    ),
    "Quantity": _closed(
        value=_NUMBER, comparator=_code("<", "<=", ">", ">="), unit=_TEXT, system=_TEXT, code=_TEXT
    ),
    "Range": _closed(low=_QUANTITY, high=_QUANTITY),
    "Ratio": _closed(numerator=_QUANTITY, denominator=_QUANTITY),
    "Annotation": _closed(text=_TEXT),
    "HumanName": _closed(
        extension=_each(_of("Extension")),
        use=_code("official", "usual"),
        family=_TEXT,
        given=_each(_TEXT),
    ),
    "Address": _closed(
        extension=_each(_of("Extension")),
        use=_code("home"),
        line=_each(_TEXT),
        city=_TEXT,
        state=_TEXT,
        postalCode=_TEXT,
        country=_TEXT,
    ),
    # Birth place and its commune, the list of birth names, how sure an identity is (FR Core 2.2.0).
    "Extension": _closed(
        url=_code(
            "http://hl7.org/fhir/StructureDefinition/patient-birthPlace",
            f"{_CORE}/fr-core-address-insee-code",
            f"{_CORE}/fr-core-patient-birth-list-given-name",
            f"{_CORE}/fr-core-identity-reliability",
            "identityStatus",
        ),
        valueString=_TEXT,
        valueCoding=_of("Coding"),
        valueAddress=_of("Address"),
        extension=_each(_of("Extension")),
    ),
    # A document is named by kind and digest; its bytes are in no event.
    "Attachment": _closed(contentType=_TEXT, title=_TEXT),
}

_PATIENT: Final = _resource(
    "Patient",
    meta=_closed(profile=_each(_TEXT)),
    extension=_each(_of("Extension")),
    identifier=_IDENTIFIERS,
    name=_NAMES,
    telecom=_each(_closed(system=_code("phone", "email"), value=_TEXT)),
    gender=_code("male", "female", "other", "unknown"),
    birthDate=_TEXT,
    address=_each(_of("Address")),
)
_REPORT: Final = _resource(
    "DiagnosticReport",
    # Tags: to whom the secure mail of this report may go (urn:labdispatch:dmp-mss).
    meta=_closed(tag=_each(_of("Coding"))),
    identifier=_IDENTIFIERS,
    basedOn=_each(_REFERENCE),
    status=_code(
        "registered", "partial", "preliminary", "final", "corrected", "amended", "cancelled",
        "entered-in-error", "unknown",
    ),
    category=_each(_CONCEPT),
    code=_CONCEPT,
    subject=_REFERENCE,
    effectiveDateTime=_TEXT,
    issued=_TEXT,
    performer=_each(_REFERENCE),
    specimen=_each(_REFERENCE),
    result=_each(_REFERENCE),
    conclusion=_TEXT,
    presentedForm=_each(_of("Attachment")),
)  # fmt: skip
_OBSERVATION: Final = _resource(
    "Observation",
    status=_code(
        "registered", "preliminary", "final", "amended", "corrected", "cancelled",
        "entered-in-error", "unknown",
    ),
    category=_each(_CONCEPT),
    code=_CONCEPT,
    subject=_REFERENCE,
    effectiveDateTime=_TEXT,
    performer=_each(_REFERENCE),
    valueQuantity=_QUANTITY,
    valueCodeableConcept=_CONCEPT,
    valueString=_TEXT,
    valueDateTime=_TEXT,
    valueTime=_TEXT,
    valueRange=_of("Range"),
    valueRatio=_of("Ratio"),
    dataAbsentReason=_CONCEPT,
    interpretation=_each(_CONCEPT),
    note=_each(_of("Annotation")),
    method=_CONCEPT,
    specimen=_REFERENCE,
    referenceRange=_each(_closed(low=_QUANTITY, high=_QUANTITY, text=_TEXT)),
)  # fmt: skip
_SPECIMEN: Final = _resource(
    "Specimen",
    identifier=_IDENTIFIERS,
    type=_CONCEPT,
    subject=_REFERENCE,
    receivedTime=_TEXT,
    collection=_closed(collectedDateTime=_TEXT),
)
_ORDER: Final = _resource(
    "ServiceRequest",
    identifier=_IDENTIFIERS,
    status=_TEXT,
    intent=_code("order"),
    code=_CONCEPT,
    subject=_REFERENCE,
    requester=_REFERENCE,
)
_ORGANIZATION: Final = _resource("Organization", identifier=_IDENTIFIERS, name=_TEXT)
_PRACTITIONER: Final = _resource("Practitioner", identifier=_IDENTIFIERS, name=_NAMES)
# The hub itself, and under which versions of rules, matcher and mapping it made the Bundle.
_DEVICE: Final = _resource(
    "Device",
    id=_code("hub"),
    deviceName=_each(_closed(name=_TEXT, type=_code("user-friendly-name"))),
    version=_each(_closed(type=_CONCEPT, value=_TEXT)),
)
_PROVENANCE: Final = _resource(
    "Provenance",
    contained=_each(_of("Device")),
    target=_each(_REFERENCE),
    recorded=_TEXT,
    policy=_each(_TEXT),
    agent=_each(_closed(type=_CONCEPT, who=_REFERENCE)),
)
_RESOURCES: Final = {
    shape["title"]: shape
    for shape in (
        _PATIENT, _REPORT, _OBSERVATION, _SPECIMEN, _ORDER, _ORGANIZATION, _PRACTITIONER,
        _PROVENANCE,
    )
}  # fmt: skip


def bundle_schema() -> dict[str, Shape]:
    """Return the definitions of a Bundle and of all that it may hold."""
    bundle = _resource(
        "Bundle",
        identifier=_of("Identifier"),
        type=_code("collection"),
        entry=_each(
            _closed(fullUrl=_URN, resource={"anyOf": [_of(kind) for kind in sorted(_RESOURCES)]})
        ),
    )
    return {"Bundle": bundle, "Device": _DEVICE, **_DATATYPES, **_RESOURCES}
