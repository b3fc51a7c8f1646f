"""Which messages are taken, and how their segments belong together.

| MSH-9 | what it is | one report for each |
|---|---|---|
| ORU^R01 | results, order by order | OBR |
| ORU^R30 | results of a device beside the patient, without an order before | OBR |
| OUL^R22 | results, specimen by specimen: SPM (SAC) OBR ORC OBX | OBR |
| MDM^T02 | a document with its content: TXA, OBX | message |

An acknowledgement (ACK) is read and never reported. Sources: HL7 v2.5.1 chapters 2 (2.9), 7 (7.3,
7.4) and 9 (9.6); v2.6 for MDM in France.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

import msgspec

from schemas.report import Organisation


class Shape(Enum):
    """What the segments of a message stand around."""

    ORDER = "order"
    SPECIMEN = "specimen"
    DOCUMENT = "document"


class Structure(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of message that is taken."""

    shape: Shape
    required: tuple[str, ...]
    """Segments without which there is nothing to keep a report of, by name."""


class Sender(msgspec.Struct, frozen=True):
    """Who sends what: MSH-3, MSH-4, MSH-9 and MSH-11, the same in message after message."""

    registry_id: str
    organisation: Organisation | None
    shape: Shape
    processing_id: str


_RESULTS: Final = Structure(shape=Shape.ORDER, required=("PID", "OBR"))
_SPECIMENS: Final = Structure(shape=Shape.SPECIMEN, required=("PID", "OBR"))
_DOCUMENT: Final = Structure(shape=Shape.DOCUMENT, required=("PID", "OBX"))

STRUCTURES: Final = {
    ("ORU", "R01"): _RESULTS,
    ("ORU", "R30"): _RESULTS,
    ("OUL", "R22"): _SPECIMENS,
    ("MDM", "T02"): _DOCUMENT,
}
"""Type and trigger of what is taken."""
ACKNOWLEDGEMENT: Final = "ACK"
"""The type of what is never answered as a message is: see `ingest/ack.py`."""


def structure_of(message_type: str, trigger: str) -> Structure | None:
    """Return how a message of this type and event is read, None where it is not taken.

    An ORU that names no event is read as ORU^R01.
    """
    return STRUCTURES.get((message_type, trigger or ("R01" if message_type == "ORU" else "")))


def shape_of(message_type: str, trigger: str) -> Shape:
    """Return what the segments stand around; around orders where nothing else is known."""
    structure = structure_of(message_type, trigger)
    return structure.shape if structure is not None else Shape.ORDER
