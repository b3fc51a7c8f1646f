"""One OBR group as a report: its order (ORC), service (OBR), specimen (SPM) and status.

Source: HL7 v2.5.1 chapters 4 (ORC, OBR), 7 (SPM) and 13 (SAC).
"""

from __future__ import annotations

from typing import Final

from schemas.report import (
    Coded,
    LabReport,
    Observation,
    Organisation,
    ResultStatus,
    Specimen,
)
from schemas.statuses import status_contradicts

from .bounds import key_of
from .catalogue import fault
from .er7 import Segment
from .groups import Group
from .observations import ORDER_STATUSES, STATUSES, observation_of
from .reading import NOTHING, Reading

_BLANKS: Final = [""] * 26


def report_of(reading: Reading, group: Group, position: int) -> LabReport:
    """Return the report of a group.

    Raises:
        PermanentError: It does not say what was examined, or what is indexed is too long.
    """
    obr, orc = group.obr, group.orc
    fields = obr.fields()
    if len(fields) < 26:
        fields = fields + _BLANKS[len(fields) :]
    code = reading.coded(fields[4], obr, 4)
    if code is None or not (code.code or code.text or code.alternate_code or code.alternate_text):
        raise fault("service_code_missing", obr.place(4))
    sent = ORDER_STATUSES.get(fields[25]) or ORDER_STATUSES.get(reading.head(fields[25]).upper())
    observations: list[Observation] = []
    performer: Organisation | None = None
    for segment, notes in group.observations:
        seen = observation_of(reading, segment, notes, sent, len(observations) + 1)
        observations.append(seen)
        performer = performer or seen.performer
    specimen = _specimen(reading, group)
    collected = reading.time_of(fields[7], obr, 7) if fields[7] else ""
    received = specimen.received_at if specimen is not None else ""
    report = LabReport(
        position,
        code,
        sent or _status_of(reading, group),
        reading.head(orc.field(1)).upper() if orc is not None else "",
        order_number(reading, orc, obr, 2),
        order_number(reading, orc, obr, 3),
        collected or (specimen.collected_at if specimen is not None else ""),
        received or (reading.time_of(fields[14], obr, 14) if fields[14] else ""),
        reading.time_of(fields[22], obr, 22) if fields[22] else "",
        specimen,
        tuple(observations),
        reading.comments(group.notes) if group.notes else (),
        reading.practitioner(obr, 16)
        or (reading.practitioner(orc, 12) if orc is not None else None),
        performer or reading.facility,
    )
    if status_contradicts(report):
        reading.note("status_contradicts", obr.place(25))
    return report


def order_number(reading: Reading, orc: Segment | None, obr: Segment | None, field: int) -> str:
    """Return an order number: of the ORC, else of the OBR; the entity identifier alone."""
    for segment in (orc, obr):
        if segment is not None:
            raw = segment.field(field)
            number = reading.head(raw) if raw else ""
            if number:
                return key_of(number, segment, field)
    return ""


def _status_of(reading: Reading, group: Group) -> ResultStatus:
    """Return what the observations say of a report whose OBR-25 does not say it; F if nothing."""
    place = group.obr.place(25)
    sent = (reading.part(segment, 11).upper() for segment, _ in group.observations)
    found = {STATUSES[status] for status in sent if status in STATUSES}
    if not found:
        reading.note("report_status_missing", place)
        return ResultStatus.FINAL
    reading.note("report_status_derived", place)
    lowest = min(found, key=lambda status: (status.rank, status.value))
    if lowest.rank < ResultStatus.FINAL.rank or len(found) == 1:
        return lowest
    # Some of it stands: what was corrected or taken back makes the whole a correction.
    return ResultStatus.CORRECTED


def _specimen(reading: Reading, group: Group) -> Specimen | None:
    """Return the specimen of SPM, or of OBR-15 before 2.5."""
    segment = group.specimen
    if segment is not None:
        fields = segment.fields()
        if len(fields) < 19:
            fields = fields + _BLANKS[len(fields) :]
        return Specimen(
            key_of(_specimen_number(reading, fields[2], group.container), segment, 2),
            (reading.coded(fields[4], segment, 4) if fields[4] else None) or NOTHING,
            reading.time_of(fields[17], segment, 17) if fields[17] else "",
            reading.time_of(fields[18], segment, 18) if fields[18] else "",
        )
    source = group.obr.component(15, 1)
    if not source:
        return None
    parts = [reading.text(part) for part in source.split(reading.subcomponent, 3)[:3]]
    code, text, system = (*parts, "", "")[:3]
    kind = Coded(key_of(code, group.obr, 15), text, key_of(system, group.obr, 15))
    return Specimen("", kind) if kind != NOTHING else None


def _specimen_number(reading: Reading, raw: str, container: Segment | None) -> str:
    """Return the filler's number of a specimen, else the placer's, else that of its container."""
    first = raw[: raw.index(reading.repetition)] if reading.repetition in raw else raw
    parts = first.split(reading.component, 2)
    first_part = reading.message.first_part
    number = (first_part(parts[1]) if len(parts) > 1 else "") or first_part(parts[0])
    if number or container is None:
        return number
    # A container is known by its own number (SAC-3), else by that of its accession.
    return first_part(container.component(3, 1)) or first_part(container.component(2, 1))
