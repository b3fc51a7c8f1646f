"""ER7 to reports: one `LabReport` for each OBR group, or for a document, 2.1 to 2.8.

A group that cannot be mapped makes the whole message unmappable, with a place and a reason; what
is odd but does not hinder is a finding. No finding holds a value of the message.
Sources: HL7 v2.5.1 chapter 7 (ORU); French profile 2.1 to 2.3.
"""

from __future__ import annotations

from schemas.errors import PermanentError
from schemas.finding import Finding, Level
from schemas.report import LabReport, MappedMessage, Organisation

from .bounds import check_amounts, key_of
from .catalogue import finding
from .documents import document_of, report_of_document
from .er7 import Message, Segment, read
from .groups import groups_of
from .header import registry_id_of
from .numbers import finess_of
from .orders import report_of
from .profile import FRENCH, Conventions
from .reading import Reading, keep, organisation_of
from .structures import Sender, Shape, shape_of
from .traits import traits_of


def map_raw(raw: bytes, conventions: Conventions = FRENCH) -> MappedMessage | Finding:
    """Map a message from its bytes, as a replay does; a finding says why it cannot be.

    Args:
        raw: The message, without its frame.
        conventions: Zone and character sets where the sender says nothing.
    """
    try:
        return map_message(read(raw, conventions.charsets), conventions)[0]
    except PermanentError as error:
        return finding(error.reason, error.place, Level.ERROR)


def map_message(
    message: Message, conventions: Conventions = FRENCH
) -> tuple[MappedMessage | Finding, tuple[Finding, ...]]:
    """Return the mapped message, or the finding that makes it unmappable; and the other findings.

    Args:
        message: What was read.
        conventions: Zone where the sender gives none.
    """
    reading = Reading(message, conventions)
    try:
        mapped: MappedMessage | Finding = _mapped(reading)
    except PermanentError as error:
        mapped = finding(error.reason, error.place, Level.ERROR)
    return mapped, tuple(reading.findings.values())


def _mapped(reading: Reading) -> MappedMessage:
    check_amounts(reading.message)
    header = reading.message.header
    fields = header.fields()
    if len(fields) < 12:
        fields = fields + [""] * (12 - len(fields))
    alike = "\r".join((fields[3], fields[4], fields[9], fields[11]))
    sender = reading.known.senders.get(alike)
    if sender is None:
        sender = _sender(reading, header, fields)
        keep(reading.known.senders, alike, sender)
    reading.facility = sender.organisation
    if sender.shape is Shape.DOCUMENT:
        document = document_of(reading)
        patient = document.patient
        reports: tuple[LabReport, ...] = (report_of_document(reading, document),)
    else:
        patient, groups = groups_of(reading, sender.shape)
        reports = tuple(
            [report_of(reading, group, position) for position, group in enumerate(groups, 1)]
        )
    return MappedMessage(
        key_of(reading.text(fields[10]), header, 10),
        sender.registry_id,
        reading.time_of(fields[7], header, 7) if fields[7] else "",
        sender.processing_id,
        traits_of(reading, patient),
        reports,
    )


def _sender(reading: Reading, header: Segment, fields: list[str]) -> Sender:
    return Sender(
        key_of(registry_id_of(reading.message, fields[3], fields[4]), header, 4),
        _facility(reading, fields[4]),
        shape_of(reading.part(header, 9).upper(), reading.part(header, 9, 2).upper()),
        reading.part(header, 11).upper(),
    )


def _facility(reading: Reading, raw: str) -> Organisation | None:
    """Return MSH-4 as an organisation: a FINESS, or a name with its universal id."""
    parts = reading.message.components(raw)
    parts += ["", ""]
    name, identifier, kind = (reading.text(part) for part in parts[:3])
    if finess_of(name):
        return organisation_of("", name, "")
    return organisation_of(name, identifier, kind.upper())
