"""The value of an Observation, by type of OBX-2; what it is held against; what it is said to be.

Sources: HL7 v2.5.1 chapter 7 and 2A; FHIR R4 Observation; table 0078 in
v3-ObservationInterpretation, which R4 binds (extensible).
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

import msgspec

from schemas.events import JsonObject
from schemas.report import Coded, Document, Observation, ResultStatus

from .fhir import Clean, concept, concept_of, date_of, filled, instant_of, told
from .fhir_units import unit_of

_NUMBER: Final = re.compile(r"[+-]?\d{1,18}(\.\d{1,18})?", re.ASCII)
_PAIR: Final = re.compile(
    r"(?P<first>\d{1,18}(?:\.\d{1,18})?)(?P<sign>[-:/])(?P<second>\d{1,18}(?:\.\d{1,18})?)",
    re.ASCII,
)
_BETWEEN: Final = re.compile(
    r"(-?\d{1,9}(?:[.,]\d{1,9})?)\s*(?:-|\u2013|à|a|to|\.\.)\s*(-?\d{1,9}(?:[.,]\d{1,9})?)",
    re.ASCII,
)
_LIMIT: Final = re.compile(r"(<=|>=|<|>|\u2264|\u2265)\s*(-?\d{1,9}(?:[.,]\d{1,9})?)", re.ASCII)
_HL7_TIME: Final = re.compile(
    r"(\d{4})(?:(\d\d)(?:(\d\d)(?:(\d\d)(\d\d)(?:(\d\d)(\.\d{1,4})?)?)?)?)?(?:([+-]\d\d)(\d\d))?",
    re.ASCII,
)
_HL7_CLOCK: Final = re.compile(r"([01]\d|2[0-3])([0-5]\d)([0-5]\d)?(\.\d{1,4})?", re.ASCII)
_COMPARATORS: Final = frozenset({"<", "<=", ">=", ">"})
_TEXT_CHARACTERS: Final = 1_048_576
"""FHIR R4, string: SHALL NOT exceed 1 MB."""
_CUT: Final = " [...]"
_UNREADABLE: Final = "Valeurs illisibles"

FLAGS: Final = (
    "A", "AA", "N", "H", "HH", "HU", "L", "LL", "LU", "<", ">", "AC", "IE", "QCF", "TOX", "B",
    "D", "U", "W", "I", "MS", "NS", "R", "S", "SDD", "SYN-R", "SYN-S", "VS", "POS", "NEG", "IND",
    "E", "DET", "ND", "NR", "RR", "WR", "CAR", "EXP", "UNE",
)  # fmt: skip
_INTERPRETATIONS: Final = {code: concept(code, "v3-ObservationInterpretation") for code in FLAGS}
_ABSENT: Final = {
    status: concept(code, "data-absent-reason")
    for status, code in {
        ResultStatus.CANCELLED: "not-performed",
        ResultStatus.DELETED: "error",
        ResultStatus.WRONG: "error",
        ResultStatus.NOT_ASKED: "not-asked",
        ResultStatus.ORDERED: "temp-unknown",
        ResultStatus.SCHEDULED: "temp-unknown",
        ResultStatus.IN_PROCESS: "temp-unknown",
    }.items()
}
_UNKNOWN: Final = concept("unknown", "data-absent-reason")
_UNSUPPORTED: Final = concept("unsupported", "data-absent-reason")
_CONTENT_TYPES: Final = {
    "PDF": "application/pdf",
    "XML": "text/xml",
    "X-HL7-CDA-LEVEL-ONE": "text/xml",
    "HTML": "text/html",
    "PLAIN": "text/plain",
    "RTF": "application/rtf",
    "JPEG": "image/jpeg",
    "JPG": "image/jpeg",
    "PNG": "image/png",
    "GIF": "image/gif",
    "TIFF": "image/tiff",
    "DICOM": "application/dicom",
}
"""Table 0291, and what senders write for it."""
_ANY_CONTENT: Final = "application/octet-stream"


def value_of(observation: Observation, status: ResultStatus) -> JsonObject:
    """Return `value[x]` of an observation, or its `dataAbsentReason`; never both.

    Args:
        observation: Of a report.
        status: As which it is told; what is taken back has no value.
    """
    if not status.is_retraction and (value := _value(observation)) is not None:
        return value
    if observation.value_type in {"ED", "RP"}:
        return {"dataAbsentReason": _UNSUPPORTED}
    return {"dataAbsentReason": _ABSENT.get(status, _UNKNOWN)}


def _value(observation: Observation) -> JsonObject | None:
    value_type = observation.value_type
    if value_type in {"ED", "RP"}:
        return None
    if observation.number and _NUMBER.fullmatch(observation.number):
        sign = observation.comparator
        if sign in _COMPARATORS or sign in {"", "="}:
            return {"valueQuantity": _quantity(observation)}
    if observation.others:
        return {"valueCodeableConcept": {"text": _told_of(observation)}}
    if observation.coded is not None:
        found = concept_of(observation.coded, observation.value)
        return None if found is None else {"valueCodeableConcept": found}
    special = _special(value_type, observation.value, observation.unit)
    if special is not None:
        return special
    text = told(observation.value or observation.comparator + observation.number)
    if len(text) > _TEXT_CHARACTERS:
        text = text[: _TEXT_CHARACTERS - len(_CUT)].rstrip() + _CUT
    return {"valueString": text} if text else None


def _told_of(observation: Observation) -> str:
    """Return the values of an observation that has several, a line each.

    A concept is one meaning in several codes: the code of one of them would hide the others.
    """
    several = (observation.coded or Coded(), *observation.others)
    parts = (
        told(each.text or each.alternate_text or each.code or each.alternate_code)
        for each in several
    )
    return "\n".join(part for part in parts if part) or _UNREADABLE


def _special(value_type: str, value: str, unit: Coded | None) -> JsonObject | None:
    """Return a time, a range or a ratio; None where the text is what there is."""
    if value_type == "SN":
        return _pair(value, unit)
    if value_type in {"DT", "TS", "DTM"}:
        moment = _moment(value)
        return None if moment is None else {"valueDateTime": moment}
    if value_type == "TM":
        clock = _HL7_CLOCK.fullmatch(value)
        if clock is not None:
            hour, minute, second, fraction = clock.groups(default="")
            return {"valueTime": f"{hour}:{minute}:{second or '00'}{fraction}"}
    return None


def _pair(value: str, unit: Coded | None) -> JsonObject | None:
    """Read `100-200` as a range, `1:128` and `1/128` as a ratio: two numbers of SN."""
    found = _PAIR.fullmatch(value)
    if found is None:
        return None
    first, second = Decimal(found["first"]), Decimal(found["second"])
    said = {} if unit is None else unit_of(unit)
    if found["sign"] == "-":
        if first > second:
            return None
        return {"valueRange": {"low": {"value": first, **said}, "high": {"value": second, **said}}}
    ratio = {"numerator": {"value": first}, "denominator": {"value": second}}
    return {"valueRatio": ratio}


def _moment(value: str) -> str | None:
    """Return a FHIR dateTime; a time of day without its offset is no time, and stays a text."""
    found = _HL7_TIME.fullmatch(value)
    if found is None:
        return None
    year, month, day, hour, minute, second, fraction, offset, minutes = found.groups(default="")
    written = "-".join(part for part in (year, month, day) if part)
    if not hour:
        return None if offset else date_of(written)
    if not offset:
        return None
    return instant_of(f"{written}T{hour}:{minute}:{second or '00'}{fraction}{offset}:{minutes}")


def _quantity(observation: Observation) -> Clean:
    quantity: Clean = {"value": Decimal(observation.number)}
    if observation.comparator in _COMPARATORS:
        quantity["comparator"] = observation.comparator
    if observation.unit is not None:
        quantity.update(unit_of(observation.unit))
    return quantity


def range_of(observation: Observation) -> Clean | None:
    """Return a reference range: its text as written, and its limits where it is two numbers or one.

    A limit of FHIR is inclusive; whether the laboratory's was, its text says.
    """
    text = told(observation.reference_range)
    if not text:
        return None
    found: Clean = {"text": text}
    if observation.number:
        low, high = _limits(text)
        said = {} if observation.unit is None else unit_of(observation.unit)
        if low is not None:
            found["low"] = {"value": low, **said}
        if high is not None:
            found["high"] = {"value": high, **said}
    return found


def _limits(text: str) -> tuple[Decimal | None, Decimal | None]:
    between = _BETWEEN.fullmatch(text)
    if between is not None:
        low, high = (Decimal(part.replace(",", ".")) for part in between.groups())
        return (low, high) if low <= high else (None, None)
    limit = _LIMIT.fullmatch(text)
    if limit is None:
        return None, None
    number = Decimal(limit[2].replace(",", "."))
    return (None, number) if limit[1] in {"<", "<=", "\u2264"} else (number, None)


def interpretation_of(code: str) -> Clean | msgspec.Raw | None:
    """Return a concept of table 0078, in the system that R4 asks for; another code is a text."""
    code = " ".join(told(code).split())
    return _INTERPRETATIONS.get(code.upper()) or ({"text": code} if code else None)


def attachment_of(code: Coded, document: Document) -> Clean:
    """Return a document as an attachment without its content, which stays in the raw message.

    Its digest is in the title: another document under the same number is another body.
    """
    name = told(code.text or code.alternate_text or code.code) or "Document"
    return filled(
        {
            "contentType": _CONTENT_TYPES.get(told(document.subtype).upper(), _ANY_CONTENT),
            "title": f"{name} ({document.digest}) : dans le message reçu",
        }
    )
