"""The segments of a message as one patient and its OBR groups, for every dialect.

Around orders `ORC? OBR NTE* OBX* SPM*`, NTE behind what it comments, SPM before or behind its OBR;
around specimens `SPM OBX* SAC* (OBR ORC? NTE* OBX*)*`, what was observed of the specimen itself
with its first OBR. Source: HL7 v2.5.1 chapter 7 (ORU, OUL), read as senders write it.
"""

from __future__ import annotations

import msgspec

from schemas.place import Place

from .catalogue import fault
from .er7 import Segment
from .reading import Reading
from .structures import Shape


class Group(msgspec.Struct):
    """The segments of one OBR group."""

    obr: Segment
    orc: Segment | None
    specimen: Segment | None
    container: Segment | None
    notes: list[Segment]
    observations: list[tuple[Segment, list[Segment]]]
    """Each OBX with its NTE."""


def groups_of(reading: Reading, shape: Shape) -> tuple[Segment, list[Group]]:
    """Return the patient and the OBR groups.

    Raises:
        PermanentError: Two patients, no PID or no OBR.
    """
    found = _by_specimen(reading) if shape is Shape.SPECIMEN else _by_order(reading)
    patient, groups = found
    if patient is None:
        raise fault("pid_missing", Place("PID", 1))
    if not groups:
        raise fault("obr_missing", Place("OBR", 1))
    return patient, groups


def _by_order(reading: Reading) -> tuple[Segment | None, list[Group]]:
    """Read ORC, OBR and what hangs on them; SPM before or behind its OBR."""
    # A dialect that puts the first SPM before the first OBR puts every SPM before its OBR.
    specimen_leads = False
    patient: Segment | None = None
    groups: list[Group] = []
    group: Group | None = None
    orc: Segment | None = None
    specimen: Segment | None = None
    pending: list[Segment] = []
    notes: list[Segment] = []
    """Where the next NTE belongs."""
    for segment in reading.message.segments:
        name = segment.name
        if name == "OBX":
            notes = []
            if group is None:
                _note_stray(reading, segment)
            else:
                group.observations.append((segment, notes))
        elif name == "NTE":
            notes.append(segment)
        elif name == "OBR":
            group = Group(segment, orc, specimen, None, pending, [])
            notes = pending
            pending, orc = [], None
            if not (specimen_leads and reading.message.counts["SPM"] == 1):
                specimen = None
            groups.append(group)
        elif name == "ORC":
            orc, group = segment, None
            notes = pending
        elif name == "SPM":
            specimen_leads = specimen_leads or not groups
            if specimen_leads:
                specimen, group, notes = segment, None, pending
            elif group is None:
                specimen, notes = segment, pending
            else:
                group.specimen = group.specimen or segment
                notes = group.notes
        elif name == "PID":
            patient, group = the_patient(patient, segment), None
            notes = []
    return patient, groups


def _by_specimen(reading: Reading) -> tuple[Segment | None, list[Group]]:
    """Read each SPM with its containers and orders; ORC behind its OBR, or before all of them."""
    order_leads: bool | None = None
    patient: Segment | None = None
    groups: list[Group] = []
    group: Group | None = None
    orc: Segment | None = None
    specimen: Segment | None = None
    container: Segment | None = None
    pending: list[Segment] = []
    early: list[tuple[Segment, list[Segment]]] = []
    """What was observed of a specimen before its first OBR."""
    notes: list[Segment] = []
    for segment in reading.message.segments:
        name = segment.name
        if name == "OBX":
            notes = []
            if group is not None:
                group.observations.append((segment, notes))
            elif specimen is not None:
                early.append((segment, notes))
            else:
                _note_stray(reading, segment)
        elif name == "NTE":
            notes.append(segment)
        elif name == "OBR":
            group = Group(segment, orc, specimen, container, pending, early)
            notes = pending
            pending, early, orc = [], [], None
            groups.append(group)
        elif name == "ORC":
            order_leads = not groups if order_leads is None else order_leads
            if group is not None and group.orc is None and not order_leads:
                group.orc, notes = segment, group.notes
            else:
                orc, group = segment, None
                notes = pending
        elif name == "SPM":
            specimen, group, container, notes = segment, None, None, pending
        elif name == "SAC":
            container = segment
        elif name == "PID":
            patient, group = the_patient(patient, segment), None
            notes = []
    for segment, _ in early:
        _note_stray(reading, segment)
    return patient, groups


def the_patient(known: Segment | None, pid: Segment) -> Segment:
    """Return the one patient of a message.

    Raises:
        PermanentError: This PID is of another.
    """
    if known is not None and known.fields()[2:] != pid.fields()[2:]:
        raise fault("several_patients", pid.place())
    return known or pid


def _note_stray(reading: Reading, segment: Segment) -> None:
    reading.note("observation_outside_group", segment.place())
