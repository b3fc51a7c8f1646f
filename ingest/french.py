"""The French profile: what is asked of a message beyond HL7 itself. Pure, never raises.

Works from what the mapping took out already; a field is read again only where something is wrong
with it, to say in which repetition and component. No finding holds a value of the message.
Sources: RNIV, Guide INS, PAM national extension France, ANS volet CDA-R2 in HL7 v2; what is our
own decision says so in its rule (`docs/profile.md`).
"""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from typing import Final

from schemas.codes import unit_fits
from schemas.decision import Realm
from schemas.finding import Finding
from schemas.patient import Traits
from schemas.place import Place
from schemas.report import Coded, LabReport, MappedMessage, Observation, Organisation, ResultStatus

from .bounds import MAX_FINDINGS
from .catalogue import finding
from .er7 import Message, Segment
from .names import is_plain_name, name_fault
from .numbers import finess_of, realm_of
from .structures import Shape

_DEFAULT_DAYS: Final = frozenset({"01-01", "12-31"})
_VALIDATED: Final = frozenset({"VALI", "QUAL"})
_ISOLATING: Final = frozenset(
    {"DOUT", "FICT", "INVA", "USUR", "CACH", "COLP", "COLV", "HOMD", "HOMA", "DOUA"}
)
_STATUSES: Final = frozenset(
    {"VIDE", "PROV", "VALI", "DOUB", "DESA", "DPOT", "FILI", "ANOM", "IDVER", "RECD", "IDRA"}
)
"""PID-32, table 0445 as FR Core has it, but for those that isolate and those that do not travel."""
_FINESS_TYPES: Final = frozenset({"FINESS", "FINEG", "FINEJ", "IDNST"})
_LIFE_CYCLE: Final = {
    "NW": ResultStatus.FINAL,
    "RO": ResultStatus.CORRECTED,
    "CA": ResultStatus.DELETED,
}
"""ORC-1, and the OBX-11 that goes with it."""
_OF_LIFE_CYCLE: Final = frozenset(_LIFE_CYCLE.values())
_LOINC: Final = frozenset({"LN", "LOINC"})
_UNITLESS: Final = frozenset({"94745-7"})
"""LOINC codes of pure numbers: the cycle threshold of a PCR."""
_INTERPRETATIONS: Final = frozenset(
    {"L", "H", "LL", "HH", "<", ">", "N", "A", "AA", "U", "D", "B", "W", "S", "R", "I", "MS", "VS"}
    | {"POS", "NEG", "IND", "DET", "ND", "NR", "RR", "WR", "HX", "LX", "HU", "LU", "E", "EX", "AC"}
    | {"CAR", "TOX", "NCL", "NS", "SDD", "SYN-R", "SYN-S", "QCF", "OBX", "INX", "EXP", "UNE", "HM"}
    | {"IE", "NULL"}
)
"""Table 0078 of the versions up to 2.8."""
_ISO_CHARACTERS: Final = 25


def french_findings(
    message: Message, mapped: MappedMessage, shape: Shape, realm: Realm
) -> list[Finding]:
    """Return what is off the French profile; an error among it only in a document message."""
    found: list[Finding] = []
    header = message.header.fields()
    if len(header) < 22:
        header = header + [""] * (22 - len(header))
    found += _envelope(header[4].split(message.separators.component)[0], header[17], header[18])
    if not header[7]:
        found.append(finding("sent_at_missing"))
    _patient(found, message, mapped.traits, realm)
    reports = mapped.reports
    held = sum([len(report.observations) for report in reports])
    # What stands before the first OBR is part of no report: it comes first, and counts too.
    sequence = message.counts.get("OBX", held) - held
    said: list[Segment] = []
    if any(report.order_control in _LIFE_CYCLE for report in reports):
        said = [segment for segment in message.segments if segment.name == "OBX"]
    for report in reports:
        _report(found, mapped, report)
        _tell_life_cycle(found, said, report, shape, sequence)
        _observations(found, report, sequence)
        sequence += len(report.observations)
    if not header[21] and (shape is Shape.DOCUMENT or any(map(_is_document, reports))):
        found.append(finding("profile_not_named"))
    return found


@lru_cache(maxsize=1_024)
def _envelope(facility: str, country: str, charset: str) -> tuple[Finding, ...]:
    """Return what is told of MSH-4, MSH-17 and MSH-18: the same for each message of a sender."""
    found = []
    number = facility.strip()
    if len(number) in {9, 10} and number[1:].isdigit() and not finess_of(number):
        found.append(finding("finess_key_wrong", Place("MSH", 1, 4)))
    if country.strip().upper() != "FRA":
        found.append(finding("country_not_fra"))
    if charset.strip().upper() not in {"UNICODE UTF-8", "8859/15"}:
        found.append(finding("charset_not_french"))
    return tuple(found)


# ---------------------------------------------------------------------- the patient


def _patient(found: list[Finding], message: Message, traits: Traits, realm: Realm) -> None:
    second = message.segments[1]
    pid = second if second.name == "PID" else message.first("PID")
    assert pid is not None, "nothing is mapped without a PID"
    status = traits.identity_status
    if traits.ins:
        _ins(found, message, pid, traits, realm)
        if status not in _VALIDATED:
            found.append(finding("ins_of_provisional_identity"))
    if status not in {"VALI", "PROV"}:
        found.append(finding(_status_fault(status)))
    if not (
        is_plain_name(traits.birth_family)
        and is_plain_name(traits.birth_given)
        and (not traits.used_family or is_plain_name(traits.used_family))
        and (not traits.used_given or is_plain_name(traits.used_given))
        and (len(traits.birth_givens) < 2 or all(map(is_plain_name, traits.birth_givens)))
    ):
        if not (traits.birth_family and traits.birth_given):
            found.append(finding("birth_name_missing"))
        _names(found, message, pid)
    if traits.birth_family and f"{message.separators.component}L" not in pid.field(5):
        found.append(finding("birth_name_untyped"))
    born = traits.birth_date
    if not born:
        if not pid.field(7):
            found.append(finding("birth_date_missing"))
    elif born[5:] in _DEFAULT_DAYS:
        found.append(finding("birth_date_default"))
    if traits.sex not in {"M", "F"}:
        found.append(finding("sex_not_m_or_f"))
    if not traits.birth_place and f"{message.separators.component}BDL" not in pid.field(11):
        found.append(finding("birth_place_missing"))


def _status_fault(status: str) -> str:
    if not status:
        return "identity_status_missing"
    if status in {"RECUP", "QUAL"}:
        return "identity_status_not_sent"
    if status in _ISOLATING:
        return "identity_status_isolates"
    return "identity_status_isolates" if status in _STATUSES else "identity_status_unknown"


def _ins(
    found: list[Finding], message: Message, pid: Segment, traits: Traits, realm: Realm
) -> None:
    """Compare each INS with the realm and, softly, with sex and birth date."""
    sub = message.separators.subcomponent
    numbers = pid.field(3)
    for oid in dict.fromkeys([ins.oid for ins in traits.ins]):
        if realm_of(oid) is not realm:
            found.append(finding("ins_of_other_realm", _repetition_of(message, pid, oid)))
        if f"{sub}{oid}{sub}ISO" not in numbers:
            found.append(finding("ins_oid_type_missing", _repetition_of(message, pid, oid)))
    for ins in traits.ins[:MAX_FINDINGS]:
        matricule, born = ins.matricule, traits.birth_date
        if traits.sex in {"M", "F"} and matricule[0] == ("2" if traits.sex == "M" else "1"):
            found.append(finding("ins_disagrees_with_sex"))
        if born and (born[2:4] != matricule[1:3] or not _month_agrees(born, matricule[3:5])):
            found.append(finding("ins_disagrees_with_birth_date"))


def _month_agrees(born: str, month: str) -> bool:
    """Say whether a month of an INS may be that of a birth date; unknown ones always may."""
    return month > "12" or born[5:7] in {month, ""} or born[5:] in _DEFAULT_DAYS


def _repetition_of(message: Message, pid: Segment, oid: str) -> Place:
    """Return which repetition of PID-3 has this authority, down to its universal id."""
    sub = message.separators.subcomponent
    for repetition, raw in enumerate(pid.repetitions(3), 1):
        if sub + oid in raw:
            return Place("PID", pid.sequence, 3, repetition, 4, 2)
    return pid.place(3)


def _names(found: list[Finding], message: Message, pid: Segment) -> None:
    """Say what is wrong with the names of PID-5, each once, and where it is first met."""
    told: set[str] = set()
    for repetition, raw in enumerate(pid.repetitions(5)[:MAX_FINDINGS], 1):
        for component, part in enumerate(message.components(raw)[:3], 1):
            name = message.first_part(part) if component == 1 else message.text(part)
            code = name_fault(name, is_family=component == 1)
            if code and code not in told:
                told.add(code)
                found.append(finding(code, pid.place(5, repetition, component)))


# ---------------------------------------------------------------------- reports


def _report(found: list[Finding], mapped: MappedMessage, report: LabReport) -> None:
    position, collected = report.position, report.collected_at
    if not collected:
        found.append(finding("collected_at_missing", Place("OBR", position, 7)))
    else:
        if is_later(collected, mapped.sent_at):
            found.append(finding("collected_in_the_future", Place("OBR", position, 7)))
        if is_later(collected, report.received_at):
            place = Place("OBR", position, 14) if report.specimen is None else None
            found.append(finding("received_before_collected", place))
        born = mapped.traits.birth_date
        if len(born) == 10 and born > collected[:10]:
            found.append(finding("birth_date_after_sampling"))
    if not _is_loinc(report.code):
        found.append(finding("service_without_loinc", Place("OBR", position, 4)))
    performer = report.performer
    if performer is None or performer.identifier_type not in _FINESS_TYPES:
        found.append(finding("laboratory_without_finess"))


def is_later(first: str, second: str) -> bool:
    """Say whether a time is later than another; where one is a date alone, by the day."""
    if not second:
        return False
    if first[19:] == second[19:] or len(first) < _ISO_CHARACTERS or len(second) < _ISO_CHARACTERS:
        shorter = min(len(first), len(second), 19)
        return first[:shorter] > second[:shorter]
    return datetime.fromisoformat(first) > datetime.fromisoformat(second)


def _is_loinc(code: Coded) -> bool:
    return code.system == "LN" or code.system in _LOINC or code.alternate_system in _LOINC


def _observations(found: list[Finding], report: LabReport, sequence: int) -> None:
    known: Organisation | None = None
    for seen in report.observations:
        if len(found) >= MAX_FINDINGS:
            return
        sequence += 1
        code = seen.code
        if code.system != "LN" and not _is_loinc(code):
            found.append(finding("observation_without_loinc", Place("OBX", sequence, 3)))
        if seen.number and seen.unit is None and code.code not in _UNITLESS:
            found.append(finding("unit_missing", Place("OBX", sequence, 6)))
        elif seen.number and not unit_fits(code.code, seen.unit):
            found.append(finding("unit_unexpected", Place("OBX", sequence, 6)))
        if seen.interpretations and not _INTERPRETATIONS.issuperset(seen.interpretations):
            found.append(finding("interpretation_unknown", Place("OBX", sequence, 8)))
        performer = seen.performer
        if performer is not None and performer is not known:
            known = performer
            kind = performer.identifier_type
            if kind in _FINESS_TYPES and not finess_of(performer.identifier):
                found.append(finding("finess_key_wrong", Place("OBX", sequence, 23, 1, 10)))


def _tell_life_cycle(
    found: list[Finding], said: list[Segment], report: LabReport, shape: Shape, sequence: int
) -> None:
    """Tell where ORC-1 and OBX-11 disagree, and OBX-11 says anything at all."""
    expected = _LIFE_CYCLE.get(report.order_control)
    if expected is None:
        return
    odd = [
        number
        for number, seen in enumerate(report.observations, sequence)
        if seen.status is not expected and seen.status in _OF_LIFE_CYCLE
    ]
    if not odd:
        return
    is_document = shape is Shape.DOCUMENT or _is_document(report)
    code = "document_order_control_disagrees" if is_document else "order_control_disagrees"
    told = [number for number in odd if number < len(said) and said[number].field(11)]
    found += [finding(code, Place("OBX", number + 1, 11)) for number in told[:MAX_FINDINGS]]


def _is_document(report: LabReport) -> bool:
    """Say whether a report carries a CDA: a document in XML (`^TEXT^XML^Base64^...`)."""
    return any(map(_is_cda, report.observations))


def _is_cda(seen: Observation) -> bool:
    return seen.document is not None and seen.document.subtype.upper() == "XML"
