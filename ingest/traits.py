"""PID as traits: identifiers and INS, names, places, telecoms, as received.

Sources: HL7 v2.5.1 chapter 3 (PID); French profile 2.1 to 2.3.
"""

from __future__ import annotations

from typing import Final, TypeAlias

from schemas.patient import Address, Identifier, Ins, Traits
from schemas.place import Place

from .bounds import KEY_BYTES, MAX_NAME_CHARACTERS
from .catalogue import fault
from .er7 import Segment
from .numbers import INS_C_OIDS, INS_CHARACTERS, INS_OIDS, commune_of, ins_key_is_right
from .reading import Reading
from .times import date_of

_BLANKS: Final = [""] * 41
_QUARANTINE: Final = frozenset({"DOUT", "FICT", "INVA", "USUR", "CACH", "COLP", "COLV"})


def traits_of(reading: Reading, pid: Segment) -> Traits:
    """Return what PID says of the patient, as received; what is unusable is a finding."""
    fields = pid.fields()
    if len(fields) < 41:
        fields = fields + _BLANKS[len(fields) :]
    identifiers, numbers = _identifiers(reading, pid, fields)
    birth, used = _names(reading, pid, fields[5])
    home, birth_place = _places(reading, pid, fields[11])
    phones, emails = _telecoms(reading, fields)
    return Traits(
        numbers,
        identifiers,
        _identity_status(reading, fields[32]),
        birth[0],
        birth[1],
        birth[2],
        used[0],
        used[1],
        _birth_date(reading, pid, fields[7]) if fields[7] else "",
        reading.head(fields[8]).upper(),
        birth_place,
        home,
        phones,
        emails,
    )


def _identifiers(
    reading: Reading, pid: Segment, fields: list[str]
) -> tuple[tuple[Identifier, ...], tuple[Ins, ...]]:
    """Return every repetition of PID-3 (of PID-2 or PID-4 where it is empty), and the INS in it."""
    identifiers: list[Identifier] = []
    numbers: list[Ins] = []
    for field in (3, 2, 4):
        if not fields[field]:
            continue
        for repetition, raw in enumerate(fields[field].split(reading.repetition), 1):
            parts = raw.split(reading.component, 7)
            parts += [""] * (7 - len(parts))
            identifier = _identifier(reading, raw, parts)
            if identifier is None:
                if parts[0]:
                    _note_too_long(reading, pid.place(field, repetition), parts[0])
                continue
            identifiers.append(identifier)
            if identifier.type == "INS" or identifier.oid in INS_OIDS:
                place = (pid, field, repetition)
                ins = _ins(reading, identifier, parts[6], place)
                if ins is not None:
                    numbers.append(ins)
        if identifiers:
            break
    return tuple(identifiers), tuple(numbers)


def _identifier(reading: Reading, raw: str, parts: list[str]) -> Identifier | None:
    """Return a CX as it is; None where it has no number, or one too long for an index."""
    value = reading.text(parts[0])
    if not value:
        return None
    namespace, oid = reading.authority(parts[3]) if parts[3] else ("", "")
    kind = reading.text(parts[4]).upper()
    if (len(raw) > KEY_BYTES or not raw.isascii()) and any(
        len(text.encode()) > KEY_BYTES for text in (value, namespace, oid, kind)
    ):
        return None
    return Identifier(value, namespace, oid, kind)


def _note_too_long(reading: Reading, place: Place, raw: str) -> None:
    if reading.text(raw):
        reading.note("identifier_too_long", place)


def _ins(
    reading: Reading, identifier: Identifier, effective: str, place: tuple[Segment, int, int]
) -> Ins | None:
    matricule = identifier.value.replace(" ", "").upper()
    fault = _ins_fault(matricule, identifier.oid, identifier.type)
    if fault:
        segment, field, repetition = place
        reading.note(fault, segment.place(field, repetition))
        return None
    return Ins(
        matricule, identifier.oid, (date_of(reading.text(effective)) or "") if effective else ""
    )


def _ins_fault(matricule: str, oid: str, kind: str) -> str:
    """Return why this is no INS, empty if it is one."""
    if kind != "INS":
        return "ins_type_missing"
    if oid not in INS_OIDS:
        return "ins_c_not_identity" if oid in INS_C_OIDS else "ins_oid_unknown"
    if len(matricule) != INS_CHARACTERS:
        return "ins_length_wrong"
    return "" if ins_key_is_right(matricule, oid) else "ins_key_wrong"


def _identity_status(reading: Reading, raw: str) -> str:
    """Return PID-32; of several repetitions the most cautious."""
    if raw in {"", "VALI", "PROV"}:
        return raw
    found = [
        reading.text(part.split(reading.component, 1)[0]).upper()
        for part in raw.split(reading.repetition)
    ]
    found = [status for status in found if status]
    for held in (_QUARANTINE, {"PROV", "VIDE"}):
        for status in found:
            if status in held:
                return status
    return "VALI" if "VALI" in found else found[0] if found else ""


_Name: TypeAlias = tuple[str, str, tuple[str, ...]]


def _names(reading: Reading, pid: Segment, field: str) -> tuple[_Name, _Name]:
    """Return birth name and used name: type L (or M, or none) is the birth name, D (or U) used."""
    by_type: dict[str, _Name] = {}
    for repetition, raw in enumerate(field.split(reading.repetition) if field else (), 1):
        parts = raw.split(reading.component, 7)
        parts += [""] * (7 - len(parts))
        if len(raw) > MAX_NAME_CHARACTERS:
            _check_name(pid, repetition, parts)
        kind = reading.text(parts[6]).upper()
        if kind in by_type:
            continue
        family, given = reading.message.first_part(parts[0]), reading.text(parts[1])
        if family or given:
            givens = _givens(given, reading.text(parts[2]))
            by_type[kind] = (family, given or (givens[0] if givens else ""), givens)
    nobody: _Name = ("", "", ())
    legal = by_type.get("L") or by_type.get("M")
    if legal is not None:
        used = by_type.get("D") or by_type.get("U") or by_type.get("") or nobody
        return legal, used
    # Aliases, pseudonyms and display names are never taken for a name at birth.
    other = (name for kind, name in by_type.items() if kind not in {"A", "D", "N", "S"})
    return by_type.get("") or next(other, nobody), by_type.get("D") or nobody


def _check_name(pid: Segment, repetition: int, parts: list[str]) -> None:
    for component, part in enumerate(parts[:3], 1):
        if len(part) > MAX_NAME_CHARACTERS:
            raise fault("name_too_long", pid.place(5, repetition, component))


def _givens(first: str, others: str) -> tuple[str, ...]:
    """Return the list of given names: XPN.3 holds the others, in France all with the first."""
    rest = others
    if first and (others.upper() + " ").startswith((first.upper() + " ", first.upper() + ",")):
        rest = others[len(first) :]
    names = rest.replace(",", " ").split()
    return tuple([first, *names] if first else names)


def _birth_date(reading: Reading, pid: Segment, field: str) -> str:
    raw = reading.head(field)
    if not raw:
        return ""
    iso = date_of(raw)
    if iso is None:
        reading.note("birth_date_unreadable", pid.place(7))
        return ""
    return iso


def _places(reading: Reading, pid: Segment, field: str) -> tuple[Address | None, str]:
    """Return the home address and the INSEE code of the birth place (type BDL only)."""
    home: list[str] | None = None
    untyped: list[str] | None = None
    birth_place = ""
    for repetition, raw in enumerate(field.split(reading.repetition) if field else (), 1):
        parts = raw.split(reading.component, 10)
        parts += [""] * (10 - len(parts))
        kind = reading.text(parts[6]).upper()
        if kind == "BDL":
            birth_place = birth_place or _commune(reading, parts)
            if not birth_place:
                reading.note("birth_place_unreadable", pid.place(11, repetition, 9))
        elif kind in {"H", "HOME"}:
            home = home or parts
        elif not kind:
            untyped = untyped or parts
    chosen = home or untyped
    return (_address(reading, chosen) if chosen is not None else None), birth_place


def _commune(reading: Reading, parts: list[str]) -> str:
    for raw in parts[8:10]:
        code = commune_of(reading.text(raw).upper()) if raw else ""
        if code:
            return code
    return ""


def _address(reading: Reading, parts: list[str]) -> Address | None:
    text = reading.text
    lines = (reading.message.first_part(parts[0]), text(parts[1]))
    address = Address(
        lines if lines[0] and lines[1] else tuple([line for line in lines if line]),
        text(parts[2]),
        text(parts[4]),
        text(parts[5]),
        _commune(reading, parts),
    )
    return address if address != _NO_ADDRESS else None


_NO_ADDRESS: Final = Address()


def _telecoms(reading: Reading, fields: list[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return phones and emails of PID-13, PID-14 and PID-40, each once, in order."""
    phones: dict[str, None] = {}
    emails: dict[str, None] = {}
    for field in (13, 14, 40):
        if not fields[field]:
            continue
        for raw in fields[field].split(reading.repetition):
            parts = raw.split(reading.component, 12)
            parts += [""] * (12 - len(parts))
            number, email = reading.text(parts[0]), reading.text(parts[3])
            if "@" in number:
                number, email = "", number
            if not number:
                whole = reading.text(parts[11])
                number = whole or reading.text(parts[5]) + reading.text(parts[6])
            if "@" in email:
                emails[email] = None
            if number:
                phones[number] = None
    return tuple(phones), tuple(emails)
