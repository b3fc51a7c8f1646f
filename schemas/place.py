"""Where in a message something stands (HL7 v2 ERR-2, data type ERL)."""

from __future__ import annotations

import msgspec


class Place(msgspec.Struct, frozen=True, array_like=True):
    """A position in a message: names and numbers only, never a value.

    Zero (or the empty segment) means "not said". Numbers are one-based, as in HL7 ERL.
    """

    segment: str = ""
    sequence: int = 0
    field: int = 0
    repetition: int = 0
    component: int = 0
    subcomponent: int = 0

    def __str__(self) -> str:
        """Write as `PID[1]-3(2).4.2`; the empty place is `message`."""
        if not self.segment:
            return "message"
        text = self.segment
        if self.sequence:
            text += f"[{self.sequence}]"
        if self.field:
            text += f"-{self.field}"
            if self.repetition > 1:
                text += f"({self.repetition})"
        if self.component:
            text += f".{self.component}"
            if self.subcomponent:
                text += f".{self.subcomponent}"
        return text


NOWHERE = Place()
