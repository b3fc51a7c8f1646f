"""A message held against HL7's own tables: structure, segments, fields, data types, values. Pure.

A right segment is taken in one look (`line_pattern`); only one that is not is walked through to
say exactly what is off (`segment_walk`). No finding prevents safekeeping, none holds a value. What
hl7apy would say otherwise is listed in `docs/profile-differences.md`.
"""

from __future__ import annotations

import re
from contextlib import suppress
from functools import lru_cache
from operator import attrgetter
from typing import Final

from schemas.finding import Finding
from schemas.place import Place

from .bounds import LONG_CHARACTERS, MAX_FINDINGS, MAX_WALKED_VALUES
from .catalogue import finding
from .er7 import Message, Segment
from .hl7_tables import VERSIONS, tables_of
from .leaves import LEAVES
from .line_pattern import field_patterns, line_pattern
from .order_walk import order_pattern, walk_order
from .segment_walk import Budget, Enough, walk_segment
from .separators import Separators

_STRUCTURES: Final = {"ORU": "ORU_R01", "ACK": "ACK", "OUL": "OUL_R22", "MDM": "MDM_T02"}
_SPECIAL: Final = {("ORU", "R30"): "ORU_R30"}


def check_structure(message: Message, version: str) -> tuple[Finding, ...]:
    """Return what is off HL7 itself in a message: warnings and infos, each place once.

    Never raises; at most `MAX_FINDINGS`. A version that has no tables here finds nothing.

    Args:
        message: As read.
        version: What MSH-12 says; components after the first say nothing.
    """
    if version not in VERSIONS:
        version = version.partition(message.separators.component)[0].strip()
        if version not in VERSIONS:
            return ()
    found = _Findings()
    try:  # noqa: SIM105 - every message passes here, and `suppress` costs what a line does
        _check(message, version, found)
    except Enough:
        pass
    return tuple(found.by_place.values()) if found.by_place else ()


def _check(message: Message, version: str, found: _Findings) -> None:
    """Find what is off, until as much is found or looked at as may be."""
    segments = message.segments
    structure = structure_name(message)
    order = order_pattern(version, structure)
    names = " ".join(map(_NAME, segments)) + " "
    if order is not None and not order.fullmatch(names):
        many = len(names) > _KEPT_CHARACTERS
        off = (_order_faults.__wrapped__ if many else _order_faults)(names, version, structure)
        for code, place in off:
            found.note(code, place)
    writing = _standard_writing(message.separators)
    patterns = _patterns(version) if writing is not None else _NONE
    for segment in segments:
        key = segment.name
        if key == "OBX":
            key = _OBX + segment.field(2)
        pattern = patterns.get(key, _NEVER)
        if pattern is _NEVER:
            pattern = _add_pattern(patterns, version, key)
        line = segment.line
        if writing is not None and writing.letters and len(line) <= LONG_CHARACTERS:
            line = writing.of(line)
        if pattern is None or len(line) > LONG_CHARACTERS or not pattern.fullmatch(line):
            tables = tables_of(version)
            if segment.name in tables.segments:
                # None: OBX-2 is no data type, and what it says is not for a cache.
                is_standard = writing is None or not writing.letters
                right = _right_fields(version, segment) if is_standard and pattern else ()
                walk_segment(segment, tables, found.note, found.budget, right)


_NAME: Final = attrgetter("name")
_STANDARD: Final = Separators()
_KEPT_CHARACTERS: Final = 1_024
"""The order of a longer message is found out anew: what is kept is bounded."""
_OBX: Final = "OBX|"
_USUAL: Final = (
    *("MSH", "SFT", "PID", "PV1", "ORC", "OBR", "NTE", "SPM"),
    *("OBX|NM", "OBX|ST", "OBX|SN", "OBX|CE", "OBX|CWE"),
)
_USUALLY_OFF: Final = frozenset({"MSH", "PID", "ORC", "OBR", "SPM"})
"""Segments that many senders write a little otherwise than HL7 does."""
_NEVER: Final = re.compile("(?!)")
"""Stands for an expression that was not asked for yet."""
_NONE: Final[dict[str, re.Pattern[str] | None]] = {}


@lru_cache(maxsize=len(VERSIONS))
def _patterns(_version: str) -> dict[str, re.Pattern[str] | None]:
    """Return the expressions of a version by segment (and OBX-2), made when first asked for."""
    return {}


def _add_pattern(
    patterns: dict[str, re.Pattern[str] | None], version: str, key: str
) -> re.Pattern[str] | None:
    """Make the expression of a segment; None where it is unknown, or OBX-2 is no data type."""
    if patterns is _NONE:
        return None
    name, _, kind = key.partition("|")
    tables = tables_of(version)
    if name not in tables.segments:
        return None
    if name == "OBX" and kind not in tables.types and kind not in LEAVES:
        return None
    made = line_pattern(version, name, kind)
    patterns[key] = made
    return made


def prepare_versions() -> None:
    """Make ready what the usual messages of every version are held against: half a second's work.

    For a door, before it opens. An expression takes 5 ms to make, and those of one segment's fields
    15: made at the first message that needs them they hold up every other sender of the process.
    """
    for version in VERSIONS:
        patterns, segments = _patterns(version), tables_of(version).segments
        for structure in _STRUCTURES.values():
            order_pattern(version, structure)
        for key in _USUAL:
            if key not in patterns:
                _add_pattern(patterns, version, key)
        for name in _USUALLY_OFF:
            if name in segments:
                field_patterns(version, name, "")


class _Findings:
    """What was found so far: each code at each place once, and no more than are told."""

    def __init__(self) -> None:
        self.by_place: dict[tuple[str, Place], Finding] = {}
        self.budget = Budget(MAX_WALKED_VALUES)

    def note(self, code: str, place: Place) -> None:
        """Keep a finding, unless it is told already.

        Raises:
            Enough: As many are kept as are told.
        """
        if len(self.by_place) >= MAX_FINDINGS:
            raise Enough
        self.by_place.setdefault((code, place), finding(code, place))


def structure_name(message: Message) -> str:
    """Return which structure the segments of a message should have, by MSH-9."""
    kind, _, rest = message.header.field(9).partition(message.separators.component)
    event = rest.partition(message.separators.component)[0].strip()
    kind = kind.strip()
    return _SPECIAL.get((kind, event)) or _STRUCTURES.get(kind, "")


@lru_cache(maxsize=1_024)
def _order_faults(names: str, version: str, structure: str) -> tuple[tuple[str, Place], ...]:
    """Return what is off in an order, past Z segments, which may stand anywhere.

    A laboratory's messages have few orders: what one lacks is found out once.
    """
    kept: list[Segment] = []
    seen: dict[str, int] = {}
    for name in names.split(" ")[:-1]:
        seen[name] = seen.get(name, 0) + 1
        if not name.startswith("Z"):
            kept.append(Segment(name, seen[name], name, _STANDARD))
    order = order_pattern(version, structure)
    if order is None or order.fullmatch(" ".join(map(_NAME, kept)) + " "):
        return ()
    faults: list[tuple[str, Place]] = []

    def note(code: str, place: Place) -> None:
        if len(faults) >= MAX_FINDINGS:
            raise Enough
        faults.append((code, place))

    with suppress(Enough):
        walk_order(kept, version, structure, note)
    return tuple(faults)


def _right_fields(version: str, segment: Segment) -> tuple[re.Pattern[str], ...]:
    return field_patterns(version, segment.name, segment.field(2) if segment.name == "OBX" else "")


class _Writing:
    """How a line is written with the separators that the expressions know.

    Each separator and the standard one change places, so that a text that holds the standard one
    holds a letter instead.
    """

    def __init__(self, letters: dict[int, int], sent: dict[str, str]) -> None:
        self.letters = letters
        """Which letter stands for which; none where they are the standard ones."""
        # In a line without a standard one nothing changes places: each becomes what it stands for.
        self._moves = list(sent.items()) if sent.keys().isdisjoint(sent.values()) else []
        self._table = b""
        if all(letter < 0x80 for letter in letters):
            self._table = bytes([letters.get(number, number) for number in range(256)])

    def of(self, line: str) -> str:
        """Return a line in the standard writing."""
        if not self._table:
            if not self._moves:
                return line.translate(self.letters)
            moved = line
            for letter, standard in self._moves:
                if standard in line:
                    return line.translate(self.letters)
                moved = moved.replace(letter, standard)
            return moved
        # A byte below 128 is a letter of its own, also in UTF-8: ten times as quick as by letters.
        return (
            line.encode("utf-8", "surrogatepass")
            .translate(self._table)
            .decode("utf-8", "surrogatepass")
        )


@lru_cache(maxsize=64)
def _standard_writing(separators: Separators) -> _Writing | None:
    """Return the standard writing of lines with these separators; None where there is none."""
    letters: dict[int, int] = {}
    different: dict[str, str] = {}
    for name in ("field", "component", "repetition", "subcomponent"):
        sent, known = getattr(separators, name), getattr(_STANDARD, name)
        if sent != known:
            different[sent] = known
            letters[ord(sent)] = ord(known)
            letters.setdefault(ord(known), ord(sent))
    is_clear = len(set(letters.values())) == len(letters)
    return _Writing(letters, different) if is_clear else None
