"""One result once: which report a message's OBR group is, and whether it is its newest version.

Pure. The laboratory's own numbers say which report it is; its accept order says which version;
the status rank only keeps P from replacing F, and F from replacing C. Who sent it for the
laboratory, when, in which message and with which software changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from hashlib import blake2b
from typing import Final
from uuid import UUID

import msgspec

from schemas.codes import is_loinc, is_snomed
from schemas.ids import id_of
from schemas.patient import Traits
from schemas.report import (
    Coded,
    LabReport,
    MappedMessage,
    Observation,
    Organisation,
    ResultStatus,
)

_KEY: Final = b"report-key-v1"
_ID: Final = b"report-id-v1"
_CONTENT: Final = b"report-content"
_STATEMENT: Final = b"report-stated"
_OTHERWISE: Final = b"report-replayed"


class PlacementKind(StrEnum):
    """What an incoming OBR group is beside what is held."""

    NEW = "new"
    SPLIT = "split"
    """The same number, but another person and another sampling date: a new report."""
    VERSION = "version"
    SAME_CONTENT = "same_content"
    OUTRANKED = "outranked"
    """Kept as a version, but an older or lower one: it never becomes current."""


class HeldReport(msgspec.Struct, frozen=True, kw_only=True):
    """A report as it stands: row of the table `report`."""

    report_id: UUID
    report_key: UUID
    person_id: int
    version: int
    status: str
    status_rank: int
    content_digest: UUID
    sampled_on: str
    offset: int
    """Offset of the message that its current version came with."""


class Incoming(msgspec.Struct, frozen=True, kw_only=True):
    """An OBR group that is to be placed."""

    report_key: UUID
    person_id: int
    status: ResultStatus
    content_digest: UUID
    statement_digest: UUID
    sampled_on: str
    offset: int
    """Offset of the message it came with (of the original, when it is replayed)."""
    is_dated: bool = False
    """It says when it was released (OBR-22): then what was said before is known again."""
    is_replay: bool = False
    own_id: UUID | None = None
    """Of the report that this very message made, where it is replayed."""


class Placement(msgspec.Struct, frozen=True, kw_only=True):
    """Where it goes: `held` is set unless it is a report of its own."""

    kind: PlacementKind
    held: HeldReport | None = None


def report_key(
    secret: bytes, lab_id: int, report: LabReport, message_id: UUID, occurrence: int
) -> UUID:
    """Return the key that versions of one report share.

    Laboratory, order number (the filler's, else the placer's) and observation code; with neither
    number the report stands alone by its message and position.

    Args:
        secret: Key of the digest.
        lab_id: Of the sender.
        report: The OBR group.
        message_id: Of the message (the original's, when it is replayed).
        occurrence: How many groups before it in the same message have the same number and code.
    """
    number = report.order_number
    if number:
        kind = "filler" if report.filler_order_number else "placer"
        return key_of_order(secret, lab_id, kind, number, code_of(report.code), occurrence)
    return _key(secret, (str(lab_id), "alone", message_id.hex, str(report.position), ""))


def key_of_order(  # noqa: PLR0917 - every call gives them in this order
    secret: bytes, lab_id: int, kind: str, number: str, code: str, occurrence: int
) -> UUID:
    """Return the key of what was ordered by a number.

    Args:
        secret: Key of the digest.
        lab_id: Of the sender.
        kind: `filler` or `placer`: whose number it is.
        number: As sent.
        code: Of the examination (`code_of`).
        occurrence: How many groups before it in the same message have the same number and code.
    """
    return _key(secret, (str(lab_id), kind, number, code, str(occurrence)))


def _key(secret: bytes, parts: tuple[str, ...]) -> UUID:
    text = "\x1f".join(parts).encode("utf-8", "surrogatepass")
    return id_of(blake2b(text, digest_size=16, key=secret, person=_KEY).digest())


def report_id(key: UUID, message_id: UUID, position: int) -> UUID:
    """Return the id of a report that is new with this message: the same for every try."""
    text = b"%b%b%d" % (key.bytes, message_id.bytes, position)
    return id_of(blake2b(text, digest_size=16, person=_ID).digest())


def code_of(code: Coded) -> str:
    """Return what names an examination, whichever of its two codes stands first: LOINC if given."""
    if code.alternate_code and is_loinc(code.alternate_system) and not is_loinc(code.system):
        return code.alternate_code
    return code.code or code.alternate_code or code.text


def content_digest(secret: bytes, report: LabReport, traits: Traits) -> UUID:
    """Return the digest of what a report says and about whom, whatever message it came in.

    Every finding, value, unit, range, note, time of sampling and number counts, and every trait.
    What a second system of the laboratory may write otherwise does not: the place in the message,
    ORC-1 (the statuses say it), the time of release, the facility of MSH-4, the HL7 type of a
    value, and the text and local code beside a standard one.
    """
    specimen = report.specimen
    taken = None
    if specimen is not None:
        taken = (
            specimen.identifier,
            _named(specimen.type),
            specimen.collected_at,
            specimen.received_at,
        )
    said = (
        report.status,
        code_of(report.code),
        report.placer_order_number,
        report.filler_order_number,
        report.collected_at,
        report.received_at,
        taken,
        tuple(map(_seen, report.observations)),
        report.notes,
        report.prescriber,
        traits,
    )
    return id_of(
        blake2b(_encoder.encode(said), digest_size=16, key=secret, person=_CONTENT).digest()
    )


def statement_digest(content: UUID, report: LabReport) -> UUID:
    """Return the digest of a content as it was released (OBR-22): that of an exact resend.

    A content that was replaced and comes again is the old statement, late, where it was released
    at the same time; else the laboratory says it anew. Without a time nobody can tell: then the
    order of arrival decides, as always.
    """
    told = content.bytes + report.reported_at.encode("utf-8", "surrogatepass")
    return id_of(blake2b(told, digest_size=16, person=_STATEMENT).digest())


def replayed_digest(
    secret: bytes, statement: UUID, message: MappedMessage, report: LabReport
) -> UUID:
    """Return the statement of a replay that says the door's content with other parts.

    So that the version says which of the two mappings stands: content alone cannot.
    """
    told = _encoder.encode((statement, msgspec.structs.replace(message, reports=()), report))
    return id_of(blake2b(told, digest_size=16, key=secret, person=_OTHERWISE).digest())


def place(held: Sequence[HeldReport], incoming: Incoming) -> Placement:
    """Say what an incoming OBR group is beside the reports held under the same key."""
    fitting = [report for report in held if not _is_another(report, incoming)]
    if not fitting:
        return Placement(kind=PlacementKind.SPLIT if held else PlacementKind.NEW)
    report = max(fitting, key=lambda r: (_likeness(r, incoming), r.offset, r.report_id.int))
    if report.content_digest == incoming.content_digest:
        return Placement(kind=PlacementKind.SAME_CONTENT, held=report)
    older = incoming.is_replay and incoming.offset < report.offset
    if older or incoming.status.rank < report.status_rank:
        return Placement(kind=PlacementKind.OUTRANKED, held=report)
    return Placement(kind=PlacementKind.VERSION, held=report)


def _is_another(report: HeldReport, incoming: Incoming) -> bool:
    if report.report_id == incoming.own_id:
        return False
    other_person = report.person_id != incoming.person_id
    both = report.sampled_on and incoming.sampled_on
    return bool(other_person and both and report.sampled_on != incoming.sampled_on)


def _likeness(report: HeldReport, incoming: Incoming) -> int:
    same_person = report.person_id == incoming.person_id
    return 2 * same_person + (report.sampled_on == incoming.sampled_on)


def _seen(seen: Observation) -> tuple[object, ...]:
    return (
        code_of(seen.code),
        seen.sub_id,
        _value(seen),
        seen.number,
        seen.comparator,
        None if seen.unit is None else seen.unit.code or seen.unit.text,
        seen.reference_range,
        seen.interpretations,
        (seen.status, "amended") if seen.amended else seen.status,
        seen.observed_at,
        None if seen.method is None else _named(seen.method),
        seen.notes,
        None if seen.performer is None else _who(seen.performer),
        seen.document,
    )


def _value(seen: Observation) -> object:
    value = seen.value if seen.coded is None else _named(seen.coded)
    return (value, *map(_named, seen.others)) if seen.others else value


def _named(coded: Coded) -> tuple[str, ...]:
    """Return the standard code of a coded value; where it has none, all it says."""
    for code, system in (
        (coded.code, coded.system),
        (coded.alternate_code, coded.alternate_system),
    ):
        if code and (is_snomed(system) or is_loinc(system)):
            return (code,)
    return (
        coded.code,
        coded.text,
        coded.system,
        coded.alternate_code,
        coded.alternate_text,
        coded.alternate_system,
    )


def _who(organisation: Organisation) -> str:
    return organisation.identifier or organisation.name


_encoder = msgspec.msgpack.Encoder()
