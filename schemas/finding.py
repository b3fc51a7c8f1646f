"""What a check found: a stable code, a level, a place and a remedy; never a value."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from .place import NOWHERE, Place


class Level(StrEnum):
    """How much a finding weighs: only `ERROR` at the door refuses (AE) or rejects (AR)."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"

    # As the text it is equal to, and at once: `Enum` hashes its name in Python, and each finding
    # of each message is looked up by its level several times.
    __hash__ = str.__hash__


class Finding(msgspec.Struct, frozen=True, array_like=True):
    """One finding about a message.

    `code` is ours and stable (snake_case); `hl7_code` is of HL7 table 0357 (0, 100-103, 200-207);
    `text` says in one sentence what is wrong and what to do, without any value of the message.
    """

    code: str
    level: Level
    place: Place = NOWHERE
    hl7_code: int = 0
    text: str = ""
