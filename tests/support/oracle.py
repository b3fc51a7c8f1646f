"""Our checker against hl7apy, message by message: each difference is of a named class, or a fault.

Both are asked for (code, segment, field); where only one of the two speaks,
`docs/profile-differences.md` has the class, the reason and who is right.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import islice
from random import Random
from typing import Final

import msgspec

from ingest import er7
from ingest.checker import check_structure
from ingest.er7 import Message, Segment
from ingest.hl7_tables import VERSIONS, Part, tables_of
from ingest.leaves import OPEN
from ingest.segment_walk import Budget, walk_segment
from ops.second_opinion.verdict import UNREADABLE, Verdict, verdict
from ops.simulate.simulation import Simulation
from schemas.errors import PermanentError
from schemas.place import Place

Key = tuple[str, str, int, int]
"""Code, segment, sequence, field."""

_ORDER: Final = {
    "hl7_segment_missing",
    "hl7_segment_order",
    "hl7_segment_repeated",
    "hl7_segment_unknown",
}
_SAME: Final = {
    "hl7_user_table_value": "hl7_table_value",
    "hl7_withdrawn": "hl7_too_many",
}
"""What we tell apart and hl7apy does not."""


_START: Final = datetime(2026, 3, 6, 9, 0, tzinfo=UTC)


CLASSES: Final = (
    "added",
    "deletion",
    "form_of_numbers_and_times",
    "long_texts",
    "order",
    "parts_of_a_value",
    "required_by_condition",
    "segment_dropped_there",
    "tables_without_values",
    "times_before_2_5",
    "unreadable_there",
    "value_of_obx_5",
    "values_added",
    "values_of_open_tables",
    "xtn_1",
)
"""Of differences; each is explained in `docs/profile-differences.md`."""


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """One message, judged by both."""

    is_ok: bool
    """For us: no finding."""
    is_ok_there: bool
    classes: Counter[str]
    """Differences by class."""
    unexplained: tuple[tuple[str, Key], ...] = ()
    """Who spoke alone (`ours`, `theirs`), and of what."""


def compare(raw: bytes) -> Comparison | None:
    """Judge a message twice; None where it is not for the checker (unreadable, other versions)."""
    try:
        message = er7.read(raw)
    except PermanentError:
        return None
    version = message.text(message.header.component(12, 1))
    if version not in VERSIONS:
        return None
    ours = {_key(one.code, one.place) for one in check_structure(message, version)}
    told = verdict(raw, message.charset)
    theirs = {_key(code, place) for code, place in told.found}
    one = _Differences(message, version, told)
    if any(code == UNREADABLE for code, _ in told.found):
        one.classes["unreadable_there"] += 1
    else:
        one.look(ours, theirs)
    return Comparison(
        is_ok=not ours,
        is_ok_there=not theirs,
        classes=one.classes,
        unexplained=tuple(one.unexplained),
    )


def _key(code: str, place: Place) -> Key:
    code = _SAME.get(code, code)
    if code in _ORDER:
        return "order", "", 0, 0
    if code == "hl7_field_unknown":
        return code, place.segment, place.sequence, 0  # hl7apy does not say which
    return code, place.segment, place.sequence, place.field


class _Differences:
    """What one of the two says alone, by class."""

    def __init__(self, message: Message, version: str, told: Verdict) -> None:
        self.message = message
        self.version = version
        self.classes: Counter[str] = Counter()
        self.unexplained: list[tuple[str, Key]] = []
        self.lost = self._lost(told)
        self.cut: set[tuple[str, int, int]] = set()
        self.bare = set(self._walked())

    def look(self, ours: set[Key], theirs: set[Key]) -> None:
        self.cut = {key[1:] for key in ours if key[0] == "hl7_part_unknown"}
        for key in sorted(ours ^ theirs):
            side = "ours" if key in ours else "theirs"
            name = self._ours(key) if key in ours else self._theirs(key)
            if name:
                self.classes[name] += 1
            else:
                self.unexplained.append((side, key))

    def _lost(self, told: Verdict) -> set[tuple[str, int]]:
        """Return the segments that hl7apy dropped, by name and place; all of a name if any."""
        kept = Counter(told.segments)
        lost = {name for name, count in self.message.counts.items() if kept[name] != count}
        return {(s.name, s.sequence) for s in self.message.segments if s.name in lost}

    def _walked(self) -> Iterator[Key]:
        """Yield what our walk says by hl7apy's bare tables."""
        tables = tables_of(self.version, is_bare=True)
        found: list[tuple[str, Place]] = []
        for segment in self.message.segments:
            if segment.name in tables.segments:
                walk_segment(
                    segment,
                    tables,
                    lambda code, place: found.append((code, place)),
                    Budget(1_000_000),
                )
        yield from (_key(code, place) for code, place in found)

    def _segment(self, key: Key) -> Segment | None:
        return next(
            (s for s in self.message.segments if (s.name, s.sequence) == key[1:3]),
            None,
        )

    def _ours(self, key: Key) -> str:
        """Return why we alone speak."""
        code, name, sequence, field = key
        if code == "order":
            return "order"
        if self.lost and (name, sequence) in self.lost:
            return "segment_dropped_there"
        if name == "OBX" and field == 5:
            return "value_of_obx_5"
        if code == "hl7_too_long" and self._is_telephone(name, field):
            return "xtn_1"
        if code == "hl7_type_wrong":
            if key not in self.bare:
                return "times_before_2_5"
            return "form_of_numbers_and_times"
        if code == "hl7_part_unknown":
            return "parts_of_a_value"
        return ""

    def _is_telephone(self, name: str, field: int) -> bool:
        """Say whether a field is an XTN in a version where hl7apy lacks its first part."""
        parts = tables_of(self.version).segments.get(name, ())
        is_there = 0 < field <= len(parts) and parts[field - 1].datatype == "XTN"
        return is_there and self.version in {"2.5.1", "2.6"}

    def _theirs(self, key: Key) -> str:
        """Return why hl7apy alone speaks."""
        code, name, sequence, field = key
        if code == "order":
            return "order"
        segment = self._segment(key)
        if segment is None:
            return "segment_dropped_there"
        if self.lost and (name, sequence) in self.lost:
            return "segment_dropped_there"
        if key[1:] in self.cut:
            return "parts_of_a_value"
        raw = segment.field(field)
        if name == "OBX" and field == 5:
            return "value_of_obx_5"
        if code == "hl7_table_value":
            return self._table(key, raw)
        if key in self.bare:
            return "required_by_condition" if code == "hl7_required_missing" else "added"
        if '""' in raw:
            return "deletion"
        if code == "hl7_part_unknown" and self._is_telephone(name, field):
            return "xtn_1"
        if code == "hl7_too_long" and len(raw) > 65_536:
            return "long_texts"
        return ""

    def _table(self, key: Key, raw: str) -> str:
        if key in self.bare:
            return "values_added"
        if '""' in raw:
            return "deletion"
        tables = tables_of(self.version, is_bare=True)
        part = tables.segments[key[1]][key[3] - 1]
        if any(value for value in OPEN["0396"].findall(raw) + OPEN["0399"].findall(raw)):
            return "values_of_open_tables"
        return "tables_without_values" if self._has_empty_table(part) else ""

    def _has_empty_table(self, part: Part, depth: int = 0) -> bool:
        tables = tables_of(self.version, is_bare=True)
        if part.table:
            return part.table not in tables.values
        inner = tables.types.get(part.datatype, ())
        return depth < 3 and any(self._has_empty_table(one, depth + 1) for one in inner)


# --------------------------------------------------------------------------- messages


def simulated(count: int, seed: int = 7) -> list[bytes]:
    """Return messages of the simulator: each dialect, each version."""
    simulation = Simulation(seed=seed, labs=16, start_at=_START, persons=2_000)
    sent = [one.raw for one in islice(simulation.messages(), count)]
    return [raw if number % 2 else plain(raw) for number, raw in enumerate(sent)]


def plain(raw: bytes) -> bytes:
    """Return a message without the values that France and later versions add to HL7's tables."""
    for old, new in _PLAIN:
        raw = raw.replace(old, new)
    return raw


_PLAIN: Final = (
    (b"&ISO^INS", b"&ISO^PI"),
    (b"&ISO@INS", b"&ISO@PI"),
    (b"SCT", b"SNM"),
    (b"UCUM", b"ISO+"),
    (b"|VALI", b"|AL"),
    (b"|PROV", b"|UA"),
    (b"|CWE|", b"|CE|"),
    (b"^RPPS", b"^NPI"),
    (b"@RPPS", b"@NPI"),
    (b"^FINEG^", b"^XX^"),
    (b"^FINESS", b"^L"),
    (b"@FINESS", b"@L"),
    (b"|POS|", b"|A|"),
    (b"|NEG|", b"|N|"),
    (b"|IND|", b"|U|"),
)


Change = Callable[[list[bytes], int, Random], None]
"""Changes the lines of a message at one of them."""


def damaged(raw: bytes, random: Random) -> tuple[str, bytes]:
    """Return what was done to a message, and the message: one systematic fault, seeded."""
    lines = [line for line in re.split(rb"[\r\n]+", raw) if line.strip()]
    name, change = random.choice(_CHANGES)
    if len(lines) < 2:  # a form that is broken already, and has a header alone
        return "header alone", raw
    at = random.randrange(1, len(lines))
    change(lines, at, random)
    return name, b"\r".join(lines) + b"\r"


def _fields(line: bytes) -> list[bytes]:
    return line.split(b"|")


def _a_field(lines: list[bytes], at: int, random: Random) -> tuple[list[bytes], int]:
    fields = _fields(lines[at])
    filled = [number for number in range(1, len(fields)) if fields[number]]
    return fields, random.choice(filled) if filled else 0


def _set(value: bytes) -> Change:
    def change(lines: list[bytes], at: int, random: Random) -> None:
        fields, number = _a_field(lines, at, random)
        if number:
            fields[number] = value
            lines[at] = b"|".join(fields)

    return change


def _append(value: bytes) -> Change:
    def change(lines: list[bytes], at: int, random: Random) -> None:
        fields, number = _a_field(lines, at, random)
        if number:
            fields[number] += value
            lines[at] = b"|".join(fields)

    return change


def _repeat(lines: list[bytes], at: int, random: Random) -> None:
    fields, number = _a_field(lines, at, random)
    if number:
        fields[number] += b"~" + fields[number]
        lines[at] = b"|".join(fields)


def _swap(lines: list[bytes], at: int, random: Random) -> None:
    other = random.randrange(1, len(lines))
    lines[at], lines[other] = lines[other], lines[at]


def _drop(lines: list[bytes], at: int, random: Random) -> None:
    if len(lines) > 2:
        del lines[at]


def _again(lines: list[bytes], at: int, random: Random) -> None:
    lines.insert(at, lines[at])


def _insert(line: bytes) -> Change:
    def change(lines: list[bytes], at: int, random: Random) -> None:
        lines.insert(at, line)

    return change


_CHANGES: Final[tuple[tuple[str, Change], ...]] = (
    ("nothing", lambda lines, at, random: None),
    ("field emptied", _set(b"")),
    ("field deleted", _set(b'""')),
    ("not a number", _set(b"x")),
    ("a number", _set(b"12345")),
    ("a wrong date", _set(b"20260230")),
    ("a right date", _set(b"20260228")),
    ("too long", _append(b"9" * 220)),
    ("another component", _append(b"^^^^^^^^^^^^^^^^^^^^^^^^^^x")),
    ("another part", _append(b"&y")),
    ("repeated", _repeat),
    ("segments swapped", _swap),
    ("segment dropped", _drop),
    ("segment again", _again),
    ("unknown segment", _insert(b"XYZ|1|a")),
    ("segment of others", _insert(b"PV1|1|O")),
    ("Z segment", _insert(b"ZLB|1|a^b&c~d")),
    ("fields too many", _append(b"|" * 60 + b"x")),
)
