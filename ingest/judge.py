"""What the door answers to a message: accepted, refused or rejected, and why. Pure, never raises.

Only what prevents safekeeping is refused (AE) or rejected (AR). Anything else is accepted: with
findings, or, where no report can be made of it, as unmappable, to be parked with a place and a
reason. Sources: HL7 v2.5.1 2.9 (acknowledgements) and table 0357 (error codes).
"""

from __future__ import annotations

from typing import Final

import msgspec

from schemas.decision import Realm
from schemas.errors import PermanentError
from schemas.finding import Finding, Level
from schemas.place import Place
from schemas.report import MappedMessage

from .bounds import MAX_FINDINGS, TOO_MUCH, may_be_examined
from .catalogue import finding
from .checker import check_structure
from .codes import apply_codes
from .er7 import Message, read
from .french import french_findings
from .header import Header
from .judgement import Judgement, LabProfile, Ruling
from .mapping import map_message, map_raw
from .numbers import realm_of
from .profile import (
    FRENCH,
    Conventions,
    conventions_of,
    processing_id_is_taken,
    version_is_known,
    version_is_listed,
)
from .structures import ACKNOWLEDGEMENT, STRUCTURES, Shape, structure_of

__all__ = ["Judgement", "LabProfile", "Ruling", "judge", "map_again"]

_MODELLED_TYPES: Final = frozenset(message_type for message_type, _ in STRUCTURES)


def judge(raw: bytes, header: Header, profile: LabProfile, realm: Realm) -> Judgement:
    """Judge a message whose header could be read. Never raises.

    Args:
        raw: The message, without its frame.
        header: What `read_header` made of it.
        profile: Conventions of the laboratory (zone and character sets where it says nothing) and
            what its own codes mean.
        realm: Of the instance; an INS of the other realm is a finding.
    """
    rejected = _circumstance(header, realm)
    if rejected is not None:
        return Judgement(ruling=Ruling.REJECT, findings=(rejected,))
    if not header.control_id:
        return _refused("control_id_missing")
    conventions = conventions_of(profile.name)
    try:
        message = read(raw, conventions.charsets, header.start)
    except PermanentError as error:
        return _refused(error.reason, error.place)
    structure = structure_of(header.message_type, header.trigger)
    for name in structure.required if structure is not None and message.is_whole else ():
        if name not in message.counts:
            return _refused(_MISSING[name])
    findings = _header_findings(header, message)
    try:
        mapped, found = map_message(message, conventions)
        if not isinstance(mapped, Finding):
            mapped = apply_codes(mapped, profile.codes)
    except Exception:  # noqa: BLE001 - boundary: what can be kept safe is never refused
        mapped, found = _UNEXPECTED, ()
    if isinstance(mapped, Finding):
        told = msgspec.structs.replace(mapped, level=Level.WARNING)
        findings = [told, *findings, *found]
        if mapped.code not in TOO_MUCH:
            findings += _hl7_findings(message, header.version, findings)
        return Judgement(
            ruling=Ruling.ACCEPT, findings=tuple(findings[:MAX_FINDINGS]), unmappable=mapped
        )
    findings += found
    shape = structure.shape if structure is not None else Shape.ORDER
    findings += _profile_findings(message, mapped, shape, conventions, realm)
    findings += _hl7_findings(message, header.version, findings)
    if any(told.level is Level.ERROR for told in findings):
        # What refuses a message is told, however much else there is to tell.
        findings.sort(key=lambda told: told.level is not Level.ERROR)
        return Judgement(ruling=Ruling.REFUSE, findings=tuple(findings[:MAX_FINDINGS]))
    return Judgement(ruling=Ruling.ACCEPT, findings=tuple(findings[:MAX_FINDINGS]), mapped=mapped)


def map_again(raw: bytes, profile: LabProfile) -> MappedMessage | Finding:
    """Map a message from its bytes with the laboratory's profile of today, as a replay does.

    Args:
        raw: The message, without its frame.
        profile: Conventions and mapping table of the laboratory that sent it.
    """
    mapped = map_raw(raw, conventions_of(profile.name))
    return mapped if isinstance(mapped, Finding) else apply_codes(mapped, profile.codes)


_UNEXPECTED: Final = finding("unexpected", level=Level.ERROR)
_MISSING: Final = {"PID": "pid_missing", "OBR": "obr_missing", "OBX": "obx_missing"}
"""What is found where a segment is not there without which there is nothing to keep."""


def _refused(code: str, place: Place | None = None) -> Judgement:
    return Judgement(ruling=Ruling.REFUSE, findings=(finding(code, place),))


def _circumstance(header: Header, realm: Realm) -> Finding | None:
    """Return why this header is rejected here: type, event, version, processing id."""
    if structure_of(header.message_type, header.trigger) is None:
        if header.message_type == ACKNOWLEDGEMENT:
            return finding("ack_not_awaited")
        if header.message_type in _MODELLED_TYPES:
            return finding("event_unsupported")
        return finding("message_type_unsupported")
    if not version_is_known(header.version):
        return finding("version_unsupported")
    if not processing_id_is_taken(header.processing_id, realm):
        return finding("processing_id_unsupported")
    return None


def _header_findings(header: Header, message: Message) -> list[Finding]:
    """Return what is off the standard in the envelope but clear."""
    found = [finding(note) for note in message.notes]
    if not header.trigger:
        found.append(finding("trigger_missing"))
    if not version_is_listed(header.version):
        found.append(finding("version_not_listed"))
    if not header.processing_id:
        found.append(finding("processing_id_missing"))
    return found


def _hl7_findings(message: Message, version: str, told: list[Finding]) -> list[Finding]:
    """Return what is off HL7's own tables, but for fields of which a rule has said more already."""
    if not may_be_examined(message):
        return []
    try:
        found = check_structure(message, version)
    except Exception:  # noqa: BLE001 - boundary: what can be kept safe is never refused
        return [finding("unexpected")]
    if not (found and told):
        return [*found]
    fields = {_field_of(one.place) for one in told if one.place.field}
    return [one for one in found if _field_of(one.place) not in fields]


def _field_of(place: Place) -> tuple[str, int, int]:
    return place.segment, place.sequence, place.field


def _profile_findings(
    message: Message,
    mapped: MappedMessage,
    shape: Shape,
    conventions: Conventions,
    realm: Realm,
) -> list[Finding]:
    """Return what the rules of the laboratory's profile find beyond HL7 itself."""
    if conventions.name != FRENCH.name:
        return [] if all(realm_of(ins.oid) is realm for ins in mapped.traits.ins) else [_OTHER]
    try:
        return french_findings(message, mapped, shape, realm)
    except Exception:  # noqa: BLE001 - boundary: what can be kept safe is never refused
        return [finding("unexpected")]


_OTHER: Final = finding("ins_of_other_realm")
