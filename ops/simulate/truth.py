"""What is true about a simulated message, and the file that says so."""

from __future__ import annotations

from pathlib import Path
from typing import IO

import msgspec


class TrueReport(msgspec.Struct, frozen=True, kw_only=True):
    """One OBR group as sent."""

    order: str
    """Filler order number."""
    code: str
    """LOINC."""
    status: str
    """OBR-25: P, F, C or X."""
    result: str
    """POS, NEG, IND, a number, `<1.0`; empty when cancelled."""


class SimulatedMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A message to send, and what is known about it."""

    lab_index: int
    control_id: str
    """MSH-10 as sent; empty where the message has none."""
    raw: bytes
    kind: str
    """new, final, corrected, cancelled, second_line, resend, same_content, or `broken:` or `odd:`
    and what."""
    expected: str
    """AA, AE or AR; in enhanced mode the second letter alone counts."""
    reason: str = ""
    """The code of the finding that a broken or odd message must be told; empty for a good one."""
    person_index: int | None
    """Number of the person in the population; None where no person can be read."""
    reports: tuple[TrueReport, ...]
    """What a receiver can take from it; nothing from a broken message."""


class _Line(msgspec.Struct, frozen=True, kw_only=True):
    lab: int
    facility: str
    control_id: str
    kind: str
    expected: str
    reason: str
    person: int | None
    reports: tuple[TrueReport, ...]


class TruthFile:
    """Writes a line of JSON for each message; holds nothing open before the first one.

    Args:
        path: The file; what is in it is lost.
    """

    def __init__(self, path: Path) -> None:
        path.write_bytes(b"")
        self._path = path
        self._file: IO[bytes] | None = None
        self._encoder = msgspec.json.Encoder()

    def note(self, message: SimulatedMessage, facility: str) -> None:
        """Write the line of a message, sent by the laboratory of this FINESS."""
        if self._file is None:
            self._file = self._path.open("ab")
        line = _Line(
            lab=message.lab_index,
            facility=facility,
            control_id=message.control_id,
            kind=message.kind,
            expected=message.expected,
            reason=message.reason,
            person=message.person_index,
            reports=message.reports,
        )
        self._file.write(self._encoder.encode(line) + b"\n")

    def close(self) -> None:
        """Flush what was written; a later note opens the file again, at its end."""
        if self._file is not None:
            self._file.close()
            self._file = None
