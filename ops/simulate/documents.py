"""An order's version as a document: TXA, and a small CDA in Base64, as French reports travel.

The document is invented and small; only its wrapping is as in France (`^TEXT^XML^Base64^...` in an
OBX of type ED, meta-OBX beside it, the sender in a PRT).
"""

from __future__ import annotations

from base64 import b64encode
from typing import Final
from xml.sax.saxutils import escape

from .er7 import Pen
from .orders import Order, Version

DOCUMENT_CODE: Final = "11502-2"
"""LOINC: laboratory report."""
_COMPLETION: Final = {"P": "PA", "F": "LA", "C": "LA", "X": "LA"}
"""TXA-17, table 0271."""


def document_status(version: Version) -> str:
    """Return the status of the whole document: the least final of its lines."""
    return min((line.status for line in version.lines), key="PFCX".index)


def document_segments(
    pen: Pen, order: Order, version: Version, number: str, performer: str
) -> list[str]:
    """Return TXA, the OBX with the document, its meta-OBX and who sends it.

    Args:
        pen: Writes in the dialect.
        order: What was asked for.
        version: What is known of it.
        number: The filler order number.
        performer: OBX-23, as the pen has it.
    """
    status = document_status(version)
    letter = "D" if status == "X" else status
    kind = pen.composed(DOCUMENT_CODE, "CR d'examens biologiques", "LN")
    content = b64encode(_cda(order, version).encode()).decode()
    txa = pen.segment("TXA", {
        1: "1", 2: "CR", 3: "TX", 4: pen.time(order.collected_at), 6: pen.time(version.at),
        12: f"{number}-{int(version.at)}", 15: number,
        17: _COMPLETION[status], 19: "CA" if status == "X" else "AV",
    })  # fmt: skip
    held = pen.composed("", "TEXT", "XML", "Base64", content)
    masked = pen.composed("N", "", "expandedYes-NoIndicator")
    return [
        txa,
        pen.segment("OBX", {1: "1", 2: "ED", 3: kind, 5: held, 11: letter, 23: performer}),
        pen.segment("OBX", {
            1: "2", 2: "CE", 3: pen.composed("MASQUE_PS", "Masqué aux PS", "MetaDMPMSS"),
            5: masked, 11: letter,
        }),
        pen.segment("PRT", {1: "1", 2: "UC", 4: pen.composed("SB", "Sender", "participation")}),
    ]  # fmt: skip


def _cda(order: Order, version: Version) -> str:
    rows = "".join(
        f"<entry code='{order.battery[line.position].code}' status='{line.status}'>"
        f"{escape(line.result.text)}</entry>"
        for line in version.lines
    )
    return (
        "<?xml version='1.0' encoding='UTF-8'?><ClinicalDocument xmlns='urn:hl7-org:v3'>"
        f"<code code='{DOCUMENT_CODE}' codeSystem='2.16.840.1.113883.6.1'/>"
        f"<component>{rows}</component></ClinicalDocument>"
    )
