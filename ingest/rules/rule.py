"""What a rule is: one finding that can be told, with everything that is told and published of it.

The text of the documents, of the answers and of `GET /v1/findings` is made from rules alone.
"""

from __future__ import annotations

from typing import Final

import msgspec

from schemas.finding import Level
from schemas.place import NOWHERE, Place

EVERYWHERE: Final = ("fr", "generic")
"""A rule of HL7 itself: it holds in every profile."""
FRANCE: Final = ("fr",)
"""A rule of the French profile alone."""


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """One rule: the finding it gives where it is broken.

    `code` is ours and stable; `hl7_code` is of HL7 table 0357; `place` is where it is usually found
    (the finding of a message says where it was). Examples are our own, of invented people.
    """

    code: str
    level: Level
    hl7_code: int = 0
    place: Place = NOWHERE
    en: str
    """What is wrong and what to do, one sentence, ASCII."""
    fr: str
    """The same in French."""
    why: str
    source: str
    """Standard and section, or the French source; `our own` for what is our decision."""
    good: str
    bad: str
    profiles: tuple[str, ...] = EVERYWHERE
    may_be_resent: bool = False
    """The world is at fault, not the message: the very same bytes may be taken later."""
