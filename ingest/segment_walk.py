"""A segment held against HL7's tables field by field: exactly what is off, and where.

Slower than one look at the whole line (`line_pattern`), for any separators, and the one that
decides. A finding's place goes down to repetition, component and sub-component.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final

from schemas.place import Place

from .bounds import LONG_CHARACTERS
from .er7 import Segment, is_delete
from .hl7_tables import UNBOUNDED, Part, Tables
from .leaves import LEAVES, form_is_right, is_in_table, is_too_long
from .separators import Separators

Note = Callable[[str, Place], None]
"""Takes a code and a place."""

_ANY: Final = frozenset({"varies", "-"})
"""Data types that say nothing of a value."""


class Enough(Exception):
    """So much was found or looked at that the rest is not: raised by a `Note` or a budget."""


class Budget:
    """How many values of one message are walked through, so that none costs the others much."""

    def __init__(self, values: int) -> None:
        self.values = values

    def spend(self, values: int) -> None:
        """Take from what is left.

        Raises:
            Enough: Nothing is left.
        """
        self.values -= values
        if self.values < 0:
            raise Enough


def walk_segment(
    segment: Segment,
    tables: Tables,
    note: Note,
    budget: Budget,
    right: Sequence[re.Pattern[str]] = (),
) -> None:
    """Tell what is off in a segment whose name this version knows.

    Args:
        segment: To walk through.
        tables: Of its version.
        note: Takes what is found.
        budget: Of the message.
        right: Expressions of right fields (`field_patterns`): what they take is not walked.

    Raises:
        Enough: By `note` or `budget`.
    """
    walk = _Walk(segment, tables, note, budget)
    parts = tables.segments[segment.name]
    fields = segment.fields()
    for number in range(3 if segment.name == "MSH" else 1, max(len(parts) + 1, len(fields))):
        raw = fields[number] if number < len(fields) else ""
        if number > len(parts):
            if raw and raw.strip():
                walk.tell("hl7_field_unknown", number)
        elif (raw or parts[number - 1].least) and not (
            right and len(raw) <= LONG_CHARACTERS and right[number - 1].fullmatch("|" + raw)
        ):
            walk.field(parts[number - 1], raw, number)


class _Walk:
    """One segment being walked through."""

    __slots__ = ("budget", "note", "segment", "separators", "tables")

    def __init__(self, segment: Segment, tables: Tables, note: Note, budget: Budget) -> None:
        self.segment = segment
        self.tables = tables
        self.note = note
        self.budget = budget
        self.separators: Separators = segment.separators

    def tell(self, code: str, *numbers: int) -> None:
        """Tell of a place in this segment, by its numbers from the field down."""
        self.note(code, Place(self.segment.name, self.segment.sequence, *numbers))

    def field(self, part: Part, raw: str, number: int) -> None:
        if not raw.strip():
            if part.least:
                self.tell("hl7_required_missing", number)
            return
        if not part.most:
            self.tell("hl7_withdrawn", number)
            return
        if part.datatype == "varies":
            part = Part(part.least, UNBOUNDED, self._varying())
        separator = self.separators.repetition
        repetitions = raw.split(separator) if separator in raw else [raw]
        if part.most != UNBOUNDED and len(repetitions) > part.most:
            self.tell("hl7_too_many", number, part.most + 1)
        for repetition, one in enumerate(repetitions, 1):
            if one and not is_delete(one) and not one.isspace():
                self._repetition(part, one, number, repetition)

    def _varying(self) -> str:
        named = self.segment.field(2).strip()
        return named if named in self.tables.types or named in LEAVES else "-"

    def _repetition(self, part: Part, raw: str, number: int, repetition: int) -> None:
        if part.datatype in _ANY:
            self.budget.spend(1)
            return
        separator = self.separators.component
        pieces = raw.split(separator) if separator in raw else [raw]
        self.budget.spend(len(pieces))
        parts = self.tables.types.get(part.datatype)
        if parts is None:
            self._alone(part, pieces, (number, repetition))
            return
        for component, piece in enumerate(pieces, 1):
            if not piece or piece.isspace():
                continue
            if component > len(parts):
                self.tell("hl7_part_unknown", number, repetition, component)
            elif self._is_seen(parts[component - 1], piece, number, repetition, component):
                self._component(parts[component - 1], piece, (number, repetition, component))
        self._needed(part.datatype, pieces, (number, repetition))

    def _component(self, part: Part, raw: str, at: tuple[int, ...]) -> None:
        if part.datatype in _ANY:
            return
        separator = self.separators.subcomponent
        pieces = raw.split(separator) if separator in raw else [raw]
        parts = self.tables.types.get(part.datatype)
        if parts is None:
            self._alone(part, pieces, at)
            return
        self.budget.spend(len(pieces))
        for subcomponent, piece in enumerate(pieces, 1):
            if not piece or piece.isspace():
                continue
            if subcomponent > len(parts):
                self.tell("hl7_part_unknown", *at, subcomponent)
            elif self._is_seen(parts[subcomponent - 1], piece, *at, subcomponent):
                inner = self.tables.types.get(parts[subcomponent - 1].datatype)
                self._value(inner[0] if inner else parts[subcomponent - 1], piece, at, subcomponent)
        self._needed(part.datatype, pieces, at)

    def _needed(self, datatype: str, pieces: list[str], at: tuple[int, ...]) -> None:
        """Tell of the parts that a data type requires and that are not there."""
        for number in self.tables.needed.get(datatype, ()):
            if number > len(pieces) or not pieces[number - 1].strip():
                self.tell("hl7_required_missing", *at, number)

    def _is_seen(self, part: Part, piece: str, *at: int) -> bool:
        """Say whether a part is to be looked at: not deleted, and not withdrawn."""
        if is_delete(piece):
            return False
        if not part.most:
            self.tell("hl7_withdrawn", *at)
            return False
        return True

    def _alone(self, part: Part, pieces: list[str], at: tuple[int, ...]) -> None:
        """Look at a value that has no parts: what stands behind a separator is too much."""
        if len(pieces) > 1:
            for number, piece in enumerate(pieces[1:], 2):
                if piece and not piece.isspace():
                    self.tell("hl7_part_unknown", *at, number)
                    break
        value = pieces[0]
        separator = self.separators.subcomponent
        if len(at) == 2 and separator in value:
            value, _, rest = value.partition(separator)
            if rest.replace(separator, "").strip():
                self.tell("hl7_part_unknown", *at, 1, 2)
        if value and not value.isspace():
            self._value(part, value, at)

    def _value(self, part: Part, value: str, at: tuple[int, ...], *more: int) -> None:
        datatype = part.datatype
        if not form_is_right(value, datatype):
            self.tell("hl7_type_wrong", *at, *more)
            return
        if part.table:
            values = self.tables.values.get(part.table)
            if values is not None and not is_in_table(value, part.table, values):
                is_users = datatype == "IS"
                code = "hl7_user_table_value" if is_users else "hl7_table_value"
                self.tell(code, *at, *more)
        if is_too_long(value, datatype):
            self.tell("hl7_too_long", *at, *more)
