"""Bounds of what a message may hold: what is indexed, how many groups, observations, findings.

How many lines, fields, components and escapes are cut apart at all stands in `er7.py`.
"""

from __future__ import annotations

from typing import Final

from schemas.errors import PermanentError
from schemas.place import Place

from .catalogue import RULES, fault
from .er7 import Message, Segment

KEY_BYTES: Final = 200
"""The most bytes (UTF-8) of what is indexed: control ids, order numbers, codes, identifiers."""
MAX_GROUPS: Final = 2_000
MAX_OBSERVATIONS: Final = 10_000
MAX_REPETITIONS: Final = 10_000
"""Of all fields of a message together."""
MAX_NAME_CHARACTERS: Final = 1_000
"""Of one component of PID-5, as received."""
MAX_FINDINGS: Final = 100
MAX_EXAMINED_PARTS: Final = 2_000
"""Fields, components and subcomponents of a segment that is compared with HL7's own tables."""
MAX_WALKED_VALUES: Final = 50_000
"""Values of a message that are walked through, one by one; what comes after is not judged."""
LONG_CHARACTERS: Final = 2_048
"""A line or field of more characters holds a document: it is walked, which never looks inside."""
TOO_MUCH: Final = frozenset(
    {"too_many_segments", "too_many_groups", "too_many_observations", "too_many_repetitions"}
    | {"too_many_escapes", "name_too_long"}
)
"""Codes of what is beyond these bounds: nothing further is done for such a message."""
_REPEATING: Final = frozenset({"MSH", "PID", "PV1", "ORC", "OBR", "OBX", "SPM", "TXA", "NTE"})


class TooLong(PermanentError):
    """A text that would be indexed and is too long for it."""

    def __init__(self, place: Place) -> None:
        super().__init__("key_too_long", RULES["key_too_long"].en, place)


def key_of(text: str, segment: Segment, field: int) -> str:
    """Return a text that will be indexed, unless it is too long for that."""
    if len(text) > KEY_BYTES // 4 and len(text.encode()) > KEY_BYTES:
        raise TooLong(segment.place(field))
    return text


def check_amounts(message: Message) -> None:
    """Pass a message that holds no more than is mapped, before anything is done for each part.

    Raises:
        PermanentError: Too many segments, repetitions, groups or observations.
    """
    if not message.is_whole:
        raise fault("too_many_segments")
    counts = message.counts
    if counts.get("OBR", 0) > MAX_GROUPS:
        raise fault("too_many_groups", Place("OBR", MAX_GROUPS + 1))
    if counts.get("OBX", 0) > MAX_OBSERVATIONS:
        raise fault("too_many_observations", Place("OBX", MAX_OBSERVATIONS + 1))
    # A message of so few bytes has no more repetitions than that: most are never counted.
    if message.size > MAX_REPETITIONS:
        separator = message.separators.repetition
        left = MAX_REPETITIONS + message.header.field(2).count(separator)
        for segment in message.segments:
            left -= segment.line.count(separator)
            if left < 0:
                # The first letters of a line need not be a name: perhaps they are of a patient's.
                is_known = segment.name in _REPEATING
                raise fault("too_many_repetitions", segment.place() if is_known else None)


def may_be_examined(message: Message) -> bool:
    """Say whether no segment has more parts than are compared, one by one, with HL7's tables."""
    if message.size <= MAX_EXAMINED_PARTS:
        return True
    signs = message.separators
    for segment in message.segments:
        line = segment.line
        if len(line) > MAX_EXAMINED_PARTS and (
            line.count(signs.field) + line.count(signs.component) + line.count(signs.subcomponent)
            > MAX_EXAMINED_PARTS
        ):
            return False
    return True
