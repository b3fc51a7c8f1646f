"""One regular expression a segment: it takes a right line of standard separators in one look.

It may take too little (then `segment_walk` decides), never too much. Every step is possessive or
atomic: a step that was taken is never undone, so a line costs its length and no more.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from .hl7_tables import UNBOUNDED, Part, Tables, tables_of
from .leaves import LENGTHS, PATTERNS, TEXT

_TABLE_VALUES: Final = 24
"""A table with more values is looked through by the walk, but for the values that all send."""
_USUAL: Final = {
    "0203": ("PI", "INS", "RPPS", "FINEG", "FINEJ", "IDNPS", "IDNST", "NH", "AN", "MR", "VN", "XX"),
    "0396": ("LN", "SCT", "L", "UCUM", "99IHE", "FINESS", "NABM", "CCAM"),
    "0076": ("ORU", "ACK", "OUL", "MDM"),
    "0003": ("R01", "R30", "R22", "T02"),
    "0354": ("ORU_R01", "ORU_R30", "OUL_R22", "MDM_T02", "ACK"),
    "0125": ("NM", "SN", "CE", "CWE", "ST", "TX", "FT", "DT", "TM", "TS", "DTM", "ED", "RP"),
    "0119": ("NW", "RE", "SC", "OK", "CA", "CR", "OC", "XO", "CN", "RO", "SN"),
    "0445": ("VALI", "PROV"),
    "0078": ("N", "L", "H", "LL", "HH", "<", ">", "A", "AA", "POS", "NEG", "S", "R", "I", "IND"),
    "0211": ("UNICODE UTF-8", "8859/1", "8859/15", "ASCII"),
}
_DEEP: Final = frozenset({"HD", "FN", "SAD", "EI"})
"""Data types that are looked at inside a component; any other sends the line to the walk."""
_SELDOM: Final = 14
"""Components after this one are seldom filled: where one is, the line goes to the walk."""

_NO_FIELDS: Final[frozenset[int]] = frozenset()
_SELDOM_FIELDS: Final[dict[str, frozenset[int]]] = {
    "PID": frozenset({4, 6, 9, 14, *range(20, 29), *range(34, 40)}),
    "ORC": frozenset({7, 10, 11, 13, 14, 19, *range(22, 31)}),
    "OBR": frozenset({10, 17, 27, 28, *range(32, 51)}),
    "OBX": frozenset({24, 25}),
    "SPM": frozenset({5, 6, 9, 15, 16, 20, 21, 24}),
}
"""The same of fields, of long expressions: they would cost each start of a command more than all
others together."""


def line_pattern(version: str, name: str, value_type: str = "") -> re.Pattern[str]:
    """Make the expression of a segment that the version knows.

    Args:
        version: One of `hl7_tables.VERSIONS`.
        name: Of the segment.
        value_type: What OBX-2 says, for OBX alone.
    """
    tables = tables_of(version)
    parts = tables.segments[name]
    made = _Patterns(tables)
    steps = [made.step(name, number, value_type) for number in range(1, len(parts) + 1)]
    # From the last to the first: each field holds what may follow it, so that a line that ends
    # early is done at its end.
    tail, is_needed = "", False
    for number in range(len(parts), 2 if name == "MSH" else 0, -1):
        is_needed = is_needed or bool(parts[number - 1].least)
        tail = steps[number - 1] + tail if is_needed else f"(?:{steps[number - 1]}{tail})?+"
    header = r"\|\^~[^|]{1,3}+" if name == "MSH" else ""
    return re.compile(name + header + tail, re.ASCII)


@lru_cache(maxsize=512)
def field_patterns(version: str, name: str, value_type: str = "") -> tuple[re.Pattern[str], ...]:
    """Make one expression a field (index n - 1 is field n), each taking `|` and a right field.

    Where a whole line is not taken, they leave only the fields that are off to the walk.
    """
    made = _Patterns(tables_of(version))
    numbers = range(1, len(made.tables.segments[name]) + 1)
    return tuple([re.compile(made.step(name, number, value_type), re.ASCII) for number in numbers])


class _Patterns:
    """The patterns of one version, piece by piece."""

    def __init__(self, tables: Tables) -> None:
        self.tables = tables

    def step(self, name: str, number: int, value_type: str) -> str:
        """Return what takes a separator and the field after it."""
        part = self.tables.segments[name][number - 1]
        if name == "OBX" and number == 2:
            return rf"\|{re.escape(value_type)}"
        if name == "OBX" and number == 5:
            return rf"\|{self.varying(value_type)}"
        if not part.most or (number in _SELDOM_FIELDS.get(name, _NO_FIELDS) and not part.least):
            return r"\|"
        needed = r"(?=[^|\s])" if part.least else ""
        return rf"\|{needed}{self.field(part)}"

    def field(self, part: Part) -> str:
        """Return what takes a field: its repetitions, each of which may be empty."""
        one = self.repetition(part)
        if part.most == 1:
            return one
        times = "*+" if part.most == UNBOUNDED else f"{{0,{part.most - 1}}}+"
        return f"{one}(?:~{one}){times}"

    def varying(self, value_type: str) -> str:
        """Return what takes OBX-5: values of the type that OBX-2 names."""
        return self.field(Part(0, UNBOUNDED, value_type))

    def repetition(self, part: Part) -> str:
        parts = self.tables.types.get(part.datatype)
        if parts is None:
            return self.leaf(part)
        return self._parts(parts[:_SELDOM], r"\^", "|~", part.datatype)

    def component(self, part: Part, owner: str) -> str:
        parts = self.tables.types.get(part.datatype)
        if parts is None:
            return self.leaf(part)
        if owner == "DR":  # both ends of a range are times
            return self.leaf(parts[0])
        if part.datatype not in _DEEP and owner != "SPS":
            return self._plain(parts)
        return self._parts(parts, "&", "|~^", "")

    def _plain(self, parts: tuple[Part, ...]) -> str:
        """Return what takes a component whose first part alone is filled; none where more must."""
        first = parts[0]
        is_alone = first.most and first.datatype not in self.tables.types
        if not is_alone or any(part.least for part in parts[1:]):
            return ""
        return self.leaf(first)

    def _inner(self, part: Part, owner: str) -> str:
        return self.component(part, owner) if owner else self.innermost(part)

    def innermost(self, part: Part) -> str:
        parts = self.tables.types.get(part.datatype)
        return self.leaf(parts[0] if parts is not None else part)

    def _parts(self, parts: tuple[Part, ...], separator: str, ends: str, owner: str) -> str:
        tail, is_needed = "", False
        for number in range(len(parts), 0, -1):
            part = parts[number - 1]
            here = rf"(?=[^{ends}{separator}\s])" if part.least else ""
            step = here + self._inner(part, owner) if part.most else here
            is_needed = is_needed or bool(part.least)
            if number == 1:
                tail = step + tail
            else:
                tail = f"{separator}{step}{tail}" if is_needed else f"(?:{separator}{step}{tail})?+"
        return f"(?:(?=[^{ends}]){tail})?+" if is_needed else tail

    def leaf(self, part: Part) -> str:
        """Return what takes a value of a data type without parts, or none."""
        pattern = PATTERNS.get(part.datatype)
        if pattern is not None:
            return f"(?:{pattern})?+"
        values = self.tables.values.get(part.table)
        if values is not None:
            taken = "[A-Z]{3}" if part.table == "0399" else _any_of(values, part.table)
            return f"(?:{taken})?+"
        most = LENGTHS.get(part.datatype)
        return f"{TEXT}*+" if most is None else f"{TEXT}{{0,{most}}}+"


def _any_of(values: Iterable[str], table: str) -> str:
    chosen = sorted(values)
    if len(chosen) > _TABLE_VALUES:
        chosen = sorted(set(_USUAL.get(table, ())) & set(chosen))
    plain = [value for value in chosen if re.search(r"[|^~&\r]", value) is None]
    # The longest first: `A` must not be taken where `AA` stands.
    return "|".join(re.escape(value) for value in sorted(plain, key=len, reverse=True)) or "(?!)"
