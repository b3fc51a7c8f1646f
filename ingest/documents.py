"""A document message (MDM^T02) as one report: what its TXA and its OBX say of the document.

`EVN PID PV1 (ORC OBR NTE*)* TXA OBX*`: the report is the document; it is known by the code of the
OBX that holds it, else by its type in TXA-2. The document itself (in France a CDA in Base64 as
`^TEXT^XML^Base64^...`) stays in the raw message, whole. What stands beside it (MetaDMPMSS and the
like) are observations of the same report. Source: HL7 v2.6 chapter 9 (TXA, MDM).
"""

from __future__ import annotations

from typing import Final

import msgspec

from schemas.place import Place
from schemas.report import Coded, LabReport, Observation, ResultStatus

from .catalogue import fault
from .er7 import Segment
from .groups import the_patient
from .observations import ORDER_STATUSES, observation_of
from .orders import order_number
from .reading import Reading

_COMPLETION: Final = {
    "AU": ResultStatus.FINAL,
    "LA": ResultStatus.FINAL,
    "DO": ResultStatus.PRELIMINARY,
    "PA": ResultStatus.PRELIMINARY,
    "DI": ResultStatus.IN_PROCESS,
    "IN": ResultStatus.IN_PROCESS,
    "IP": ResultStatus.IN_PROCESS,
}
"""TXA-17, table 0271: authenticated, legally authenticated, documented, pre-authenticated ..."""
_TAKEN_BACK: Final = frozenset({"CA", "OB"})
"""TXA-19, table 0273: deleted, obsolete."""


class DocumentMessage(msgspec.Struct):
    """The segments of a document message."""

    patient: Segment
    txa: Segment | None
    obr: Segment | None
    orc: Segment | None
    notes: list[Segment]
    observations: list[tuple[Segment, list[Segment]]]


def document_of(reading: Reading) -> DocumentMessage:
    """Return what the document message holds.

    Raises:
        PermanentError: Two patients, no PID or no OBX.
    """
    message = reading.message
    patient = message.first("PID")
    if patient is None:
        raise fault("pid_missing", Place("PID", 1))
    if not message.counts.get("OBX"):
        raise fault("obx_missing", Place("OBX", 1))
    found = DocumentMessage(
        patient, message.first("TXA"), message.first("OBR"), message.first("ORC"), [], []
    )
    notes: list[Segment] = []
    for segment in message.segments:
        if segment.name == "OBX":
            notes = []
            found.observations.append((segment, notes))
        elif segment.name == "NTE":
            notes.append(segment)
        elif segment.name in {"OBR", "TXA"}:
            notes = found.notes
        elif segment.name == "PID":
            the_patient(patient, segment)
            notes = []
    return found


def report_of_document(reading: Reading, found: DocumentMessage) -> LabReport:
    """Return the report that the document is.

    Raises:
        PermanentError: Nothing says what the document is, or what is indexed is too long.
    """
    txa, obr, orc = found.txa, found.obr, found.orc
    assumed = _completion(reading, txa)
    observations = [
        observation_of(reading, segment, notes, assumed, number)
        for number, (segment, notes) in enumerate(found.observations, 1)
    ]
    held = next((seen for seen in observations if seen.document is not None), None)
    performers = (seen.performer for seen in observations if seen.performer is not None)
    return LabReport(
        1,
        _code(reading, found, held),
        _status(reading, found, held, assumed),
        reading.part(orc, 1).upper() if orc is not None else "",
        order_number(reading, orc, obr, 2) or order_number(reading, txa, None, 14),
        order_number(reading, orc, obr, 3)
        or order_number(reading, txa, None, 15)
        or order_number(reading, txa, None, 12),
        _time(reading, (obr, 7), (txa, 4)),
        _time(reading, (obr, 14)),
        _time(reading, (obr, 22), (txa, 6)),
        None,
        tuple(observations),
        reading.comments(found.notes),
        (reading.practitioner(obr, 16) if obr is not None else None)
        or (reading.practitioner(orc, 12) if orc is not None else None),
        next(performers, reading.facility),
    )


def _code(reading: Reading, found: DocumentMessage, held: Observation | None) -> Coded:
    """Return what the document is: of its OBX-3, else of OBR-4, else its type in TXA-2."""
    of_obr = reading.coded_or_none(found.obr, 4) if found.obr is not None else None
    of_txa = reading.coded_or_none(found.txa, 2) if found.txa is not None else None
    for code in (held.code if held is not None else None, of_obr, of_txa):
        if code is not None and (
            code.code or code.text or code.alternate_code or code.alternate_text
        ):
            return code
    raise fault(
        "service_code_missing",
        Place("TXA", 1, 2),
    )


def _completion(reading: Reading, txa: Segment | None) -> ResultStatus | None:
    if txa is None:
        return None
    if reading.part(txa, 19).upper() in _TAKEN_BACK:
        return ResultStatus.DELETED
    return _COMPLETION.get(reading.part(txa, 17).upper())


def _status(
    reading: Reading,
    found: DocumentMessage,
    held: Observation | None,
    assumed: ResultStatus | None,
) -> ResultStatus:
    """Return the status of the document: of OBR-25, of its own OBX-11, else what TXA says."""
    if assumed is ResultStatus.DELETED:
        return assumed
    obr = found.obr
    sent = ORDER_STATUSES.get(reading.part(obr, 25).upper()) if obr is not None else None
    if sent is not None:
        return sent
    if held is not None:
        # Where OBX-11 has no status, it took that of TXA, or F, and a finding says so.
        return held.status
    if assumed is None:
        reading.note("report_status_missing", Place("TXA", 1, 17))
    return assumed or ResultStatus.FINAL


def _time(reading: Reading, *places: tuple[Segment | None, int]) -> str:
    """Return the first time that stands in one of these fields."""
    for segment, field in places:
        at = reading.time(segment, field) if segment is not None else ""
        if at:
            return at
    return ""
