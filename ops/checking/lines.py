"""Where a place of a message stands: its line, the columns in it, and the text there. Pure.

Read leniently, also of a message that no reader takes: what can be shown of it is shown. Nothing
is decoded or cut before a finding asks for it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from ingest.charset import declared_codec, decode
from ingest.er7 import Segment
from ingest.separators import Separators, separators_of
from schemas.errors import PermanentError
from schemas.place import Place

_LINE_END: Final = re.compile("\r\n|\r|\n")
_STANDARD: Final = Separators()
_HIDDEN: Final = "…"


class Spot(msgspec.Struct, frozen=True, kw_only=True):
    """A place found: the segment, and where in its line the value begins and ends (zero-based)."""

    segment: Segment
    line: int
    start: int
    end: int

    @property
    def value(self) -> str:
        """The text at the place, as received."""
        return self.segment.line[self.start : self.end]

    def __repr__(self) -> str:
        """Return the line number alone: the text is personal data."""
        return f"<Spot at line {self.line}>"


class Lines:
    """The lines of one message by segment.

    Args:
        raw: The message, without its frame.
        separators: MSH-1 and MSH-2 as received.
        charset_name: MSH-18 as received.
        charsets: Codecs tried where MSH-18 is empty.
        numbers: The file's number of each line.
        names: The segments that will be asked for.
    """

    def __init__(
        self,
        raw: bytes,
        separators: bytes,
        charset_name: bytes,
        charsets: tuple[str, ...],
        numbers: Sequence[int],
        *,
        names: frozenset[str],
    ) -> None:
        self._raw = raw
        self._charset_name = charset_name
        self._numbers = numbers
        try:
            self.text, self.codec, _ = decode(raw, charset_name, charsets)
        except PermanentError:
            try:
                self.text, self.codec = raw.decode("utf-8"), "utf-8"
            except UnicodeDecodeError:
                self.text, self.codec = raw.decode("iso8859-1"), ""
        letters = separators.decode("iso8859-1")
        self.separators = separators_of(letters[:1], letters[1:]) or _STANDARD
        self._pieces = _LINE_END.split(self.text)
        self._found = {
            (segment.name, segment.sequence): (segment, number)
            for number, segment in self._segments(names)
        }

    def _segments(self, names: frozenset[str] | None) -> Iterator[tuple[int, Segment]]:
        """Yield the segments of these names (of all, for None), each with its line."""
        field, seen = self.separators.field, dict[str, int]()
        for number, line in enumerate(self._pieces):
            name = line[:3]
            if line[3:4] != field:
                stripped = line.strip()
                if not stripped:
                    continue
                name = stripped.partition(field)[0][:3]
            if not number:
                name = self._pieces[0].lstrip("\ufeff \t")[:3]
            if names is None or name in names:
                seen[name] = sequence = seen.get(name, 0) + 1
                yield number, Segment(name, sequence, line, self.separators)

    def number(self, line: int) -> int:
        """Return the file's number of a line of the message (zero-based)."""
        if line < len(self._numbers):
            return self._numbers[line]
        return (self._numbers[-1] if self._numbers else 1) + line - max(0, len(self._numbers) - 1)

    def spot(self, place: Place) -> Spot | None:
        """Return where a place stands; the nearest that is there, None without its segment."""
        found = self._found.get((place.segment, place.sequence or 1))
        if found is None:
            return None
        segment, number = found
        start, end = span_of(segment, place)
        return Spot(segment=segment, line=self.number(number), start=start, end=end)

    def undecodable(self) -> Spot | None:
        """Return the first field whose bytes are not of the character set of MSH-18."""
        codec = declared_codec(self._charset_name)
        if not codec:
            return None
        try:
            self._raw.decode(codec)
        except UnicodeDecodeError as error:
            before = self._raw[: error.start].decode("iso8859-1")
        else:
            return None
        ends = list(_LINE_END.finditer(before))
        at = len(ends)
        segment = next((each for number, each in self._segments(None) if number == at), None)
        if segment is None:
            return None
        column = len(before) - (ends[-1].end() if ends else 0)
        field = segment.line.count(self.separators.field, 0, column)
        if segment.name == "MSH":
            field += 1
        start, end = span_of(segment, Place(segment.name, segment.sequence, field))
        return Spot(segment=segment, line=self.number(at), start=start, end=end)


def span_of(segment: Segment, place: Place) -> tuple[int, int]:
    """Return where in the line a place begins and ends; what is not there is empty, at the end."""
    line, separators = segment.line, segment.separators
    if not place.field:
        return 0, len(line.rstrip())
    if segment.name == "MSH" and place.field <= 2:
        end = line.find(separators.field, 4)
        end = end if end >= 0 else len(line)
        start, stop = (3, 4) if place.field == 1 else (4, end)
        return min(start, len(line)), min(stop, len(line))
    number = place.field - 1 if segment.name == "MSH" else place.field
    start, end = _nth(line, 0, len(line), separators.field, number)
    for separator, part in (
        (separators.repetition, place.repetition or (1 if place.component else 0)),
        (separators.component, place.component),
        (separators.subcomponent, place.subcomponent),
    ):
        if part:
            start, end = _nth(line, start, end, separator, part - 1)
    return start, end


def _nth(line: str, start: int, end: int, separator: str, number: int) -> tuple[int, int]:
    """Return the part of [start, end) after so many separators; empty at `end` if there is none."""
    for _ in range(number):
        at = line.find(separator, start, end)
        if at < 0:
            return end, end
        start = at + 1
    stop = line.find(separator, start, end)
    return start, stop if stop >= 0 else end


def hidden(segment: Segment, start: int, end: int, shown: str) -> tuple[str, int]:
    """Return the line with `shown` for [start, end) and … for every other value, and its column.

    The separators stay, so that the field can be counted; what follows the field is cut short.
    """
    line, field = segment.line, segment.separators.field
    keeps = line[: max(4, line.find(field, 4))] if segment.name == "MSH" else segment.name + field
    keeps = keeps[:start]
    fields, _, near = line[len(keeps) : start].rpartition(field)
    before = keeps
    if start - len(keeps) > len(near):
        before += _covered(fields, field) + field
    separators = segment.separators
    parts = separators.repetition + separators.component + separators.subcomponent
    before += _covered(near, parts)
    near, _, rest = line[end:].partition(field)
    after = _covered(near, parts) + (field + _HIDDEN if rest.strip(field).strip() else "")
    return before + shown + after, len(before)


def _covered(text: str, marks: str) -> str:
    """Return the text with … for all that stands between the marks."""
    return re.sub(f"[^{re.escape(marks)}]+", _HIDDEN, text)
