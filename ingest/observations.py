"""OBX as observations: value by type, status, interpretation.

Source: HL7 v2.5.1 chapter 7 (OBX) and 2A (NM, SN, CWE, ED, RP).
"""

from __future__ import annotations

import re
from hashlib import sha256
from typing import Final, TypeAlias

from schemas.report import Coded, Document, Observation, Organisation, ResultStatus

from .bounds import KEY_BYTES, TooLong, key_of
from .er7 import Segment
from .reading import NOTHING, Reading

_LETTERS: Final = {status.value: status for status in ResultStatus}
ORDER_STATUSES: Final = _LETTERS | {
    "M": ResultStatus.CORRECTED,
    "Y": ResultStatus.NOT_ASKED,
    "Z": ResultStatus.NOT_ASKED,
}
"""OBR-25, table 0123; M is a correction, not final yet; Y and Z know no order or no patient."""
STATUSES: Final = _LETTERS | {
    "A": ResultStatus.CORRECTED,
    "B": ResultStatus.CORRECTED,
    "S": ResultStatus.PARTIAL,
    "V": ResultStatus.FINAL,
}
"""OBX-11, table 0085: here A is amended, B appended to, S partial (not scheduled), V verified."""
_AMENDED: Final = frozenset({"A", "B"})
_CODED_TYPES: Final = frozenset({"CWE", "CE", "CNE", "CF"})
_FIRST_PART_TYPES: Final = frozenset({"DT", "TM", "TS", "DTM", "ID", "IS", "SI", "CX"})
"""Types whose first part says what there is to show."""
_DOCUMENT_TYPES: Final = frozenset({"ED", "RP"})
_NUMBER: Final = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)", re.ASCII)
_COMPARED: Final = re.compile(r"(<=|>=|<|>)\s*(\S+)")
_NUMBER_CHARACTERS: Final = 40
_BLANKS: Final = [""] * 24

_Value: TypeAlias = tuple[str, str, str, Coded | None, Document | None]


def observation_of(
    reading: Reading,
    segment: Segment,
    notes: list[Segment],
    report_status: ResultStatus | None,
    position: int,
) -> Observation:
    """Return an observation; what is odd in it is a finding.

    Raises:
        PermanentError: What is indexed is too long.
    """
    fields = segment.fields()
    if len(fields) < 24:
        fields = fields + _BLANKS[len(fields) :]
    (_, _, kind, code, sub_id, raw, unit, range_, flags, _, _, letter, _, _, at, producer, _,
        method, _, _, _, _, _, performer) = fields[:24]  # fmt: skip
    status = STATUSES.get(letter) or _status(reading, segment, letter, report_status)
    value_type = kind if kind in _PLAIN_TYPES else reading.part(segment, 2).upper()
    if value_type == "NM" and len(raw) <= _NUMBER_CHARACTERS and _NUMBER.fullmatch(raw):
        value, number, comparator, coded, document = raw, raw, "", None, None
    else:
        value, number, comparator, coded, document = _value(reading, segment, value_type, raw)
    return Observation(
        position,
        reading.coded(code, segment, 3) or _no_code(reading, segment),
        key_of(reading.text(sub_id), segment, 4) if sub_id else "",
        value_type,
        value,
        number,
        comparator,
        coded,
        reading.coded(unit, segment, 6) if unit else None,
        reading.text(range_) if range_ else "",
        _interpretations(reading, segment, flags) if flags else (),
        status,
        reading.time_of(at, segment, 14) if at else "",
        reading.coded(method, segment, 17) if method else None,
        reading.comments(notes) if notes else (),
        _performer(reading, fields, performer, producer) if performer or producer else None,
        document,
        _others(reading, segment, raw)
        if reading.repetition in raw and value_type in _CODED_TYPES
        else (),
        # What has no status of its own took that of the report, and amends nothing.
        status is ResultStatus.CORRECTED and reading.part(segment, 11).upper() in _AMENDED,
    )


def _others(reading: Reading, segment: Segment, raw: str) -> tuple[Coded, ...]:
    """Return what stands in the further repetitions of a coded value."""
    found = []
    for part in raw.split(reading.repetition)[1:]:
        try:
            coded = reading.coded_once(part, segment, 5)
        except TooLong:
            reading.note("value_code_too_long", segment.place(5))
            texts = (reading.text(each) for each in reading.message.components(part))
            coded = Coded(text=next(filter(None, texts), ""))
        if coded != NOTHING:
            found.append(coded)
    return tuple(found)


def _performer(
    reading: Reading, fields: list[str], performer: str, producer: str
) -> Organisation | None:
    """Return who made an observation, and where (OBX-24) if that was written."""
    address = fields[24] if len(fields) > 24 else ""
    return reading.performer(performer, producer, address)


_PLAIN_TYPES: Final = (
    _CODED_TYPES | _FIRST_PART_TYPES | _DOCUMENT_TYPES | {"NM", "SN", "ST", "TX", "FT"}
)


def _no_code(reading: Reading, segment: Segment) -> Coded:
    reading.note("observation_code_missing", segment.place(3))
    return NOTHING


def _status(
    reading: Reading, segment: Segment, letter: str, report_status: ResultStatus | None
) -> ResultStatus:
    """Return a status that is not written as one plain letter."""
    status = STATUSES.get(reading.part(segment, 11).upper()) if letter else None
    if status is not None:
        return status
    reading.note("observation_status_missing", segment.place(11))
    return report_status or ResultStatus.FINAL


def _interpretations(reading: Reading, segment: Segment, raw: str) -> tuple[str, ...]:
    if raw.isalpha() and len(raw) <= KEY_BYTES // 4:
        return (raw,)
    component = reading.component
    found = [
        key_of(reading.text(part.split(component, 1)[0]), segment, 8)
        for part in raw.split(reading.repetition)
    ]
    return tuple([code for code in found if code])


def _value(reading: Reading, segment: Segment, value_type: str, raw: str) -> _Value:
    """Return value, number, comparator, coded value and document of OBX-5."""
    if not raw:
        return "", "", "", None, None
    if value_type in _CODED_TYPES:
        return _coded_value(reading, segment)
    if value_type == "NM":
        return _numeric(reading, segment)
    if value_type == "SN":
        return _structured_number(reading, segment)
    if value_type in _DOCUMENT_TYPES:
        return "", "", "", None, _document(reading, value_type, raw)
    if value_type in _FIRST_PART_TYPES:
        return reading.message.first_part(segment.component(5, 1)), "", "", None, None
    if not value_type:
        reading.note("value_type_missing", segment.place(2))
    if reading.repetition not in raw:
        return reading.text(raw), "", "", None, None
    text = "\n".join(map(reading.text, raw.split(reading.repetition))).strip()
    return text, "", "", None, None


def _coded_value(reading: Reading, segment: Segment) -> _Value:
    raw = reading.first(segment, 5)
    try:
        coded = reading.coded_once(raw, segment, 5)
    except TooLong:
        reading.note("value_code_too_long", segment.place(5))
        texts = (reading.text(part) for part in reading.message.components(raw))
        return next(filter(None, texts), ""), "", "", None, None
    if coded == NOTHING:
        # CWE.9, the original text, where there is no code at all.
        return reading.part(segment, 5, 9), "", "", None, None
    value = coded.text or coded.alternate_text or coded.code or coded.alternate_code
    return value, "", "", coded, None


def _numeric(reading: Reading, segment: Segment) -> _Value:
    value = reading.part(segment, 5)
    number, comparator = value, ""
    if value[:1] in {"<", ">"}:
        compared = _COMPARED.fullmatch(value)
        if compared is not None:
            comparator, number = compared.groups()
    if number and not _is_number(number):
        number = comparator = ""
        reading.note("number_unreadable", segment.place(5))
    return value, number, comparator, None, None


def _structured_number(reading: Reading, segment: Segment) -> _Value:
    """Read SN: comparator, number, separator, second number; a range or a ratio is text alone."""
    parts = list(map(reading.text, reading.first(segment, 5).split(reading.component, 4)))
    comparator, number, separator, second = (*parts, "", "", "", "")[:4]
    value = f"{comparator}{number}{separator}{second}"
    if separator or second or not _is_number(number):
        return value, "", "" if separator or second else comparator, None, None
    return value, number, comparator, None, None


def _document(reading: Reading, value_type: str, raw: str) -> Document:
    """Name a document by its kind and its digest: ED `source^type^subtype^encoding^content`."""
    # The content of an ED may be of megabytes: it is measured where it is, not cut out.
    parts, begin = [], 0
    for _ in range(4):
        end = raw.find(reading.component, begin)
        if end < 0:
            parts.append(raw[begin:][:KEY_BYTES])
            begin = len(raw)
            break
        parts.append(raw[begin:end][:KEY_BYTES])
        begin = end + 1
    parts += [""] * (4 - len(parts))
    is_content = value_type == "ED"
    return Document(
        reading.text(parts[1 if is_content else 2]),
        reading.text(parts[2 if is_content else 3]),
        reading.text(parts[3]) if is_content else "",
        len(raw) - begin if is_content else 0,
        sha256(raw.encode("utf-8", "surrogatepass")).hexdigest()[:32],
    )


def _is_number(text: str) -> bool:
    return len(text) <= _NUMBER_CHARACTERS and _NUMBER.fullmatch(text) is not None
