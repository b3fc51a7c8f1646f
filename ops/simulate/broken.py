"""Messages that are wrong: each a good one, spoiled in one way.

A broken one can be taken by no receiver (AE, AR); an odd one is taken all the same, with a finding.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from .numbers import INS_TEST_OID
from .vendors import Dialect, Structure

_INS_PRODUCTION_OID: Final = "1.2.250.1.213.1.4.8"
_LATIN_NOTE: Final = "Prélevé à domicile"
_NOT_HL7: Final = (
    b'{"resultat": "positif", "format": "json"}',
    b"GET / HTTP/1.1\r\nHost: hub\r\n\r\n",
    b"H|~^\\&|HPRIM|||LABO||ORU|||HUB||P|H2.3~C|20260101080000\rL|1||2|4\r",
    b"%PDF-1.7 compte rendu",
)


class Breakage(Enum):
    """How a message is broken."""

    TRUNCATED_IN_PID = "truncated_in_pid"
    TRUNCATED_BEFORE_OBR = "truncated_before_obr"
    NO_PID = "no_pid"
    UNKNOWN_TYPE = "unknown_type"
    UNKNOWN_VERSION = "unknown_version"
    NO_CONTROL_ID = "no_control_id"
    WRONG_CHARSET = "wrong_charset"
    NOT_HL7 = "not_hl7"
    UNKNOWN_EVENT = "unknown_event"
    NUL_BYTES = "nul_bytes"
    UTF_16 = "utf_16"
    BAD_SEPARATORS = "bad_separators"

    @property
    def expected(self) -> str:
        """The answer it deserves: AR when the header is unusable, else AE."""
        return "AR" if self in _OF_HEADER else "AE"

    def reason(self, dialect: Dialect) -> str:
        """Return the code of the finding by which it is turned away."""
        if self in {Breakage.TRUNCATED_IN_PID, Breakage.TRUNCATED_BEFORE_OBR}:
            return "obx_missing" if dialect.structure is Structure.MDM_T02 else "obr_missing"
        return _REASONS[self]

    @property
    def keeps_control_id(self) -> bool:
        """Say whether MSH-10 can still be read."""
        return self not in _NAMELESS


BREAKAGES: Final = tuple(Breakage)
_REASONS: Final = {
    Breakage.NO_PID: "pid_missing",
    Breakage.UNKNOWN_TYPE: "message_type_unsupported",
    Breakage.UNKNOWN_EVENT: "event_unsupported",
    Breakage.UNKNOWN_VERSION: "version_unsupported",
    Breakage.NO_CONTROL_ID: "control_id_missing",
    Breakage.WRONG_CHARSET: "undecodable_charset",
    Breakage.NOT_HL7: "not_hl7",
    Breakage.NUL_BYTES: "nul_bytes",
    Breakage.UTF_16: "utf16",
    Breakage.BAD_SEPARATORS: "bad_separators",
}
_NAMELESS: Final = frozenset(
    {Breakage.NO_CONTROL_ID, Breakage.NOT_HL7, Breakage.UTF_16, Breakage.BAD_SEPARATORS}
)
_OF_HEADER: Final = frozenset(
    {Breakage.UNKNOWN_TYPE, Breakage.UNKNOWN_EVENT, Breakage.UNKNOWN_VERSION}
    | {Breakage.NOT_HL7, Breakage.UTF_16, Breakage.BAD_SEPARATORS}
)


class Oddity(Enum):
    """What is wrong with a message that is taken all the same: the code of its finding."""

    INS_KEY = "ins_key_wrong"
    INS_REALM = "ins_of_other_realm"
    FRAMING_BYTES = "framing_bytes_in_content"
    LOCAL_CODE = "observation_without_loinc"
    ORDER_CONTROL = "order_control_disagrees"


ODDITIES: Final = tuple(Oddity)


def made_odd(oddity: Oddity, text: str, dialect: Dialect) -> str | None:
    """Return a good message with something odd in it; None where it has no place for that.

    Args:
        oddity: What.
        text: The good message.
        dialect: Its dialect.
    """
    end, (field, component, repetition, _, sub) = dialect.segment_end, [*dialect.separators[:5]]
    lines = text.removesuffix(end).split(end)
    rows = [line.split(field) for line in lines]
    pid = rows[_place(lines, "PID")]
    if oddity is Oddity.INS_KEY:
        authority = sub.join(("ASIP-SANTE-INS-NIR", INS_TEST_OID, "ISO"))
        # 97 less 89 is the key's complement: of no number with a right one.
        wrong = component.join(("279035121518908", "", "", authority, "INS"))
        pid[3] = repetition.join((pid[3], wrong)) if pid[3] else wrong
    elif oddity is Oddity.INS_REALM:
        if INS_TEST_OID not in pid[3]:
            return None
        pid[3] = pid[3].replace(INS_TEST_OID, _INS_PRODUCTION_OID)
    elif oddity is Oddity.FRAMING_BYTES:
        rows.append(["ZVT", "a\x0bb"])
    else:
        if dialect.structure is Structure.MDM_T02:
            return None
        observed = next((row for row in rows if row[0] == "OBX"), None)
        if observed is None:
            return None
        if oddity is Oddity.LOCAL_CODE:
            observed[3] = component.join(("L-7", "Analyse du laboratoire", "L"))
        else:
            order = next((row for row in rows if row[0] == "ORC"), None)
            if order is None or observed[11] != "F":
                return None
            order[1] = "CA"
    return end.join([field.join(row) for row in rows]) + end


def spoiled(breakage: Breakage, text: str, dialect: Dialect, pick: int) -> bytes:
    """Return the bytes of a good message broken in one way.

    Args:
        breakage: How.
        text: The good message.
        dialect: Its dialect.
        pick: Which of several forms, where there are several.
    """
    end = dialect.segment_end
    segments = text.removesuffix(end).split(end)
    is_document = dialect.structure is Structure.MDM_T02
    if breakage is Breakage.NOT_HL7:
        return _NOT_HL7[pick % len(_NOT_HL7)]
    if breakage is Breakage.UTF_16:
        return text.encode("utf-16")
    if breakage is Breakage.WRONG_CHARSET:
        return _in_two_charsets(segments, dialect)
    if breakage is Breakage.TRUNCATED_IN_PID:
        place = _place(segments, "PID")
        segments = [*segments[:place], segments[place][: len(segments[place]) // 3]]
        return end.join(segments).encode(dialect.codec)
    if breakage is Breakage.TRUNCATED_BEFORE_OBR:
        segments = segments[: _place(segments, "OBX" if is_document else "OBR")]
    elif breakage is Breakage.NO_PID:
        del segments[_place(segments, "PID")]
    elif breakage is Breakage.UNKNOWN_TYPE:
        segments[0] = _with_field(segments[0], 9, dialect.separators[1].join(("ZZZ", "Z99")))
    elif breakage is Breakage.UNKNOWN_EVENT:
        kind = dialect.structure.parts[0]
        segments[0] = _with_field(segments[0], 9, dialect.separators[1].join((kind, "Z99")))
    elif breakage is Breakage.NUL_BYTES:
        segments.append(dialect.separators[0].join(("NTE", "9", "L", "a\x00b")))
    elif breakage is Breakage.BAD_SEPARATORS:
        segments[0] = _with_field(segments[0], 2, dialect.separators[1] * 4)
    elif breakage is Breakage.UNKNOWN_VERSION:
        segments[0] = _with_field(segments[0], 12, "9.9")
    else:
        segments[0] = _with_field(segments[0], 10, "")
    return (end.join(segments) + end).encode(dialect.codec)


def _place(segments: list[str], name: str) -> int:
    return next(place for place, segment in enumerate(segments) if segment.startswith(name))


def _with_field(header: str, number: int, value: str) -> str:
    """Return MSH with another value of a field (MSH-1 is the separator itself)."""
    fields = header.split(header[3])
    fields[number - 1] = value
    return header[3].join(fields)


def _in_two_charsets(segments: list[str], dialect: Dialect) -> bytes:
    """Say UTF-8 in MSH-18 and end with a note in Latin-9, as concatenated reports do."""
    header = _with_field(segments[0], 18, "UNICODE UTF-8")
    field = dialect.separators[0]
    note = field.join(("NTE", "9", "L", _LATIN_NOTE))
    good = dialect.segment_end.join([header, *segments[1:], ""])
    return good.encode() + (note + dialect.segment_end).encode("iso8859-15")
