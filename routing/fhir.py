"""Small FHIR R4 pieces out of HL7 v2 ones: codes, times, texts, references. Empty ones vanish."""

from __future__ import annotations

import re
from datetime import date
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Final, TypeAlias
from uuid import UUID

import msgspec

from schemas.codes import is_loinc, is_snomed
from schemas.events import JsonObject
from schemas.report import Coded

from .fhir_tables import HL7_TABLES

_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_DATE: Final = re.compile(r"[12]\d{3}(-(0[1-9]|1[0-2])(-(0[1-9]|[12]\d|3[01]))?)?", re.ASCII)
_TIME: Final = re.compile(
    r"([12]\d{3}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01]))(T(?:[01]\d|2[0-3]):[0-5]\d)"
    r"(:[0-5]\d(?:\.\d{1,9})?)?(Z|[+-](?:0\d|1[0-4]):[0-5]\d)",
    re.ASCII,
)
_OID: Final = re.compile(r"[0-2](\.(0|[1-9]\d*)){3,}", re.ASCII)
_TABLE: Final = re.compile(r"HL7(\d{4})", re.ASCII)

TERMINOLOGY: Final = "http://terminology.hl7.org/CodeSystem"
# Decimals stay as the laboratory wrote them: 24.60 is not 24.6.
ENCODER: Final = msgspec.json.Encoder(order="deterministic", decimal_format="number")


# A class of its own would cost a third of the time of a Bundle.
Clean: TypeAlias = dict[str, Any]
"""An element without empty parts."""
Element: TypeAlias = Clean | msgspec.Raw
"""A clean element, or its JSON where it is the same in many reports."""


def clean(element: dict[str, Any]) -> Clean | None:
    """Return an element without its empty parts, for FHIR forbids them; None when all are."""
    # Texts are done here and not in a call of their own: they are nearly all there is.
    kept: Clean = {}
    for key, value in element.items():
        kind = type(value)
        if kind is str:
            text = value if value.isprintable() else _CONTROL.sub("", value)
            if text := text.strip():
                kept[key] = text
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
    return {key: part for key, part in element.items() if part}


def kept(element: JsonObject | list[str]) -> msgspec.Raw:
    """Return an element as JSON, for what is the same in many reports and says nothing of one."""
    return msgspec.Raw(ENCODER.encode(element))


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
    ORDER: Final = 3
    LABORATORY: Final = 4
    PRESCRIBER: Final = 5
    PROVENANCE: Final = 6
    OBSERVATIONS: Final = 16
    """The number of the first one."""
    PERFORMERS: Final = 0x8000_0000
    """The number of the first one beside the laboratory."""

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
        return {"reference": f"{self._stem}{number:08x}"}


def date_of(text: str) -> str | None:
    """Return a FHIR date (whole or shortened), None where the text is none."""
    if not _DATE.fullmatch(text):
        return None
    return text if len(text) < 10 or _is_day(text) else None


def _is_day(text: str) -> bool:
    if text[8:] <= "28":
        return True
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def date_time_of(text: str) -> str | None:
    """Return a FHIR dateTime: a date, or a time with seconds and offset."""
    return (date_of(text) if len(text) < 11 else instant_of(text)) if text else None


def instant_of(text: str) -> str | None:
    """Return a FHIR instant, None where the sender gave no time of day."""
    found = _TIME.fullmatch(text)
    if found is None:
        return None
    day, minute, second, zone = found.groups()
    if not _is_day(day):
        return None
    return text if second else f"{day}{minute}:00{zone}"


def oid_of(text: str) -> str | None:
    """Return an OID as a URI, None where the text is none."""
    return f"urn:oid:{text}" if _OID.fullmatch(text) else None


def system_of(name: str, code: str) -> str | None:
    """Return the URI of a coding system as laboratories name it, None for a local one.

    A table of HL7 is its own only for the codes that it has: senders extend tables.
    """
    if not name:
        return None
    if is_loinc(name):
        return "http://loinc.org"
    if is_snomed(name):
        return "http://snomed.info/sct"
    table = _TABLE.fullmatch(name.upper())
    if table is not None:
        is_known = code in HL7_TABLES.get(table[1], ())
        return f"{TERMINOLOGY}/v2-{table[1]}" if is_known else None
    return oid_of(name)


def catalogued(coded: Coded | None, otherwise: str = "") -> Element | None:
    """Return the concept of a code of a laboratory's catalogue, never of a value.

    With a code and its system it is kept; a bare text, which somebody may have typed, is not.
    """
    if coded is not None and coded.code and coded.system:
        return _catalogued(coded, otherwise)
    return concept_of(coded, otherwise)


@lru_cache(maxsize=8_192)
def _catalogued(coded: Coded, otherwise: str) -> msgspec.Raw | None:
    concept = concept_of(coded, otherwise)
    return None if concept is None else kept(concept)


def concept_of(coded: Coded | None, otherwise: str = "") -> Clean | None:
    """Return a CodeableConcept with both triples; `otherwise` is its text where all is empty."""
    coded = coded or _NOTHING
    codings = (
        _coding(coded.code, coded.text, coded.system),
        _coding(coded.alternate_code, coded.alternate_text, coded.alternate_system),
    )
    text = told(coded.text) or told(coded.alternate_text)
    if not text and not any(codings):
        text = otherwise
    return clean({"coding": codings, "text": text})


def _coding(code: str, text: str, system: str) -> JsonObject | None:
    code = " ".join(told(code).split())
    return {"system": system_of(system, code), "code": code, "display": text} if code else None


def concept(code: str, system: str) -> msgspec.Raw:
    """Return a concept of one code of HL7's terminology, by the end of its system's URI."""
    return kept({"coding": [{"system": f"{TERMINOLOGY}/{system}", "code": code}]})


_NOTHING: Final = Coded()
