"""Tolerant and lazy reading of ER7, the pipe format of HL7 v2: raw bytes in, fields as asked.

What is off the standard but clear is read and noted; what cannot be read safely is a
`PermanentError` with a place and a remedy. Nothing is split or decoded before it is asked for, so a
document of megabytes in OBX-5 costs its bytes and no more. What was read can be written again: the
same bytes, or those with some lines corrected. Source: HL7 v2.5.1 chapter 2, read as
senders write it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from schemas.errors import PermanentError
from schemas.place import Place

from .catalogue import fault
from .charset import BOM, decode, without_bom
from .escapes import escape, unescape
from .separators import Separators, Start, separators_of

DELETE: Final = '""'
"""A field that holds this and nothing else asks for deletion; an empty one says nothing."""

MAX_SEGMENTS: Final = 30_000
"""Lines of a message that are cut apart; of one with more, the rest is not looked at."""
MAX_FIELDS: Final = 500
"""Fields of a segment that are cut apart; the last one holds whatever follows."""
MAX_COMPONENTS: Final = 100
"""Components of a repetition that are cut apart; the last one holds whatever follows."""
MAX_ESCAPES: Final = 100_000
"""Escape characters in all that is decoded of one message."""
_MSH_17: Final = 17
_ENDS: Final = re.compile("([\r\n])")
_BREAKING: Final = str.maketrans(dict.fromkeys("\x00\n\x0b\r\x1c", " "))


def header_line(raw: bytes) -> tuple[bytes, bool]:
    """Return the first segment of a message without its end, and whether a BOM stood before it.

    Raises:
        PermanentError: The bytes do not begin with a MSH segment.
    """
    at, had_bom = 0, False
    if not raw.startswith(b"MSH"):
        if raw.startswith(BOM):
            at, had_bom = len(BOM), True
        at = len(raw) - len(raw[at:].lstrip(b"\r\n \t"))
        if raw.startswith((b"\xff\xfe", b"\xfe\xff", b"M\x00S\x00", b"\x00M\x00S")):
            raise fault("utf16")
        if not raw.startswith(b"MSH", at):
            raise fault("not_hl7")
    ends = [end for end in (raw.find(b"\r", at), raw.find(b"\n", at, at + 65_536)) if end >= 0]
    return raw[at : min(ends, default=len(raw))], had_bom


class Segment:
    """One segment: its name, which one of that name it is (one-based), its fields when asked.

    `line` is the segment as received, without its end. No Struct, for a compiled twin of a plain
    class is one whose attributes are looked up by nobody.
    """

    __slots__ = ("_fields", "line", "name", "separators", "sequence")

    def __init__(self, name: str, sequence: int, line: str, separators: Separators) -> None:
        self.name = name
        self.sequence = sequence
        self.line = line
        self.separators = separators
        self._fields: list[str] | None = None

    def __repr__(self) -> str:
        """Return the place alone: the text is personal data."""
        return f"<Segment {self.name}[{self.sequence}]>"

    def fields(self) -> list[str]:
        """Return the raw fields so that index n is field n (MSH-1 is the separator itself)."""
        fields = self._fields
        if fields is None:
            fields = self.line.split(self.separators.field, MAX_FIELDS)
            if self.name == "MSH":
                fields.insert(1, self.separators.field)
            self._fields = fields
        return fields

    def field(self, number: int) -> str:
        """Return a field as received, empty when it is not there."""
        fields = self._fields or self.fields()
        return fields[number] if number < len(fields) else ""

    def repetitions(self, number: int) -> list[str]:
        """Return the repetitions of a field as received; none for an empty field."""
        raw = self.field(number)
        return raw.split(self.separators.repetition) if raw else []

    def component(self, number: int, component: int) -> str:
        """Return a component (one-based) of a field's first repetition, as received."""
        fields = self._fields or self.fields()
        if number >= len(fields) or not fields[number]:
            return ""
        raw = fields[number]
        separators = self.separators
        if separators.repetition in raw:
            raw = raw[: raw.index(separators.repetition)]
        if separators.component not in raw:
            return raw if component == 1 else ""
        parts = raw.split(separators.component, component)
        return parts[component - 1] if component <= len(parts) else ""

    def place(self, field: int = 0, repetition: int = 0, component: int = 0) -> Place:
        """Return the place of a field of this segment."""
        return Place(self.name, self.sequence, field, repetition, component)

    def with_component(
        self, field: int, repetition: int, component: int, text: str, subcomponent: int = 0
    ) -> str:
        """Return the line with a text in this place, and everything else in it as received.

        The text is escaped: no character of it is a separator, ends a segment or ends a frame.

        Args:
            field: Number of the field; in MSH 3 or more, for 1 and 2 are the separators.
            repetition: One-based; 0 replaces the whole field.
            component: One-based; 0 replaces the whole repetition.
            text: What shall stand there, not escaped.
            subcomponent: One-based; 0 replaces the whole component.
        """
        is_header = self.name == "MSH"
        assert field >= (3 if is_header else 1), "the name and the separators stay as they are"
        separators = self.separators
        fields = self.line.split(separators.field)
        if is_header:
            fields.insert(1, separators.field)
        fields += [""] * (field + 1 - len(fields))
        parts = (
            (separators.repetition, repetition),
            (separators.component, component),
            (separators.subcomponent, subcomponent),
        )
        fields[field] = _with_part(fields[field], parts, escape(text, separators))
        if is_header:
            del fields[1]
        return separators.field.join(fields)


def _with_part(raw: str, places: tuple[tuple[str, int], ...], text: str) -> str:
    """Return a field with another text at the place that separators and numbers lead to."""
    if not places or not places[0][1]:
        return text
    (separator, number), *inner = places
    parts = raw.split(separator)
    parts += [""] * (number - len(parts))
    parts[number - 1] = _with_part(parts[number - 1], tuple(inner), text)
    return separator.join(parts)


class Message:
    """A message that was read: separators, codec, notes (stable codes) and segments in order.

    `text` returns what a piece means: escapes decoded once, trimmed, `""` as empty. `counts` says
    how many segments there are of each name. `is_whole` is false where there were more lines than
    `MAX_SEGMENTS`: then only the first ones are here.
    """

    __slots__ = (
        "_escapes_left",
        "_raw",
        "charset",
        "counts",
        "is_whole",
        "notes",
        "segments",
        "separators",
        "text",
    )

    def __init__(  # noqa: PLR0917 - one caller gives every part by its place
        self,
        separators: Separators,
        charset: str,
        notes: tuple[str, ...] = (),
        segments: list[Segment] | None = None,
        counts: dict[str, int] | None = None,
        is_plain: bool = False,  # noqa: FBT001, FBT002 - same
        raw: bytes = b"",
        is_whole: bool = True,  # noqa: FBT001, FBT002 - same
    ) -> None:
        self.separators = separators
        self.charset = charset
        self.notes = notes
        self.segments = segments or []
        self.counts = counts or {}
        # Most messages hold no escape and no `""` at all: then a text means what it says.
        self.text: Callable[[str], str] = str.strip if is_plain else self._text
        self._raw = raw
        self.is_whole = is_whole
        self._escapes_left = MAX_ESCAPES

    def __repr__(self) -> str:
        """Return the number of segments alone: the rest is personal data."""
        return f"<Message of {len(self.segments)} segments>"

    @property
    def size(self) -> int:
        """How many bytes it was read from."""
        return len(self._raw)

    @property
    def header(self) -> Segment:
        """The MSH segment."""
        return self.segments[0]

    def first(self, name: str) -> Segment | None:
        """Return the first segment of this name."""
        return next((segment for segment in self.segments if segment.name == name), None)

    def components(self, raw: str) -> list[str]:
        """Return the components of one repetition, as received."""
        return raw.split(self.separators.component, MAX_COMPONENTS)

    def first_part(self, raw: str) -> str:
        """Return the first subcomponent of a component, as text."""
        separator = self.separators.subcomponent
        return self.text(raw[: raw.index(separator)] if separator in raw else raw)

    def encode(self, lines: Mapping[int, str] | None = None) -> bytes:
        """Return the message as bytes: those received, but for the segments that `lines` replaces.

        Segment ends, blanks, a byte order mark and the character set stay as they came. A CR, LF,
        VT, FS or NUL in a new line becomes a space.

        Args:
            lines: New lines (see `Segment.with_component`) by their place in `segments`.

        Raises:
            PermanentError: A new line holds a letter that the character set has not.
        """
        text = self._raw.decode(self.charset)
        changed, field = lines or {}, self.separators.field
        begin = text.index("MSH")
        written, place = [text[:begin]], 0
        for piece in _ENDS.split(text[begin:]):
            if _is_segment(_without_framing(piece), field):
                written.append(changed[place].translate(_BREAKING) if place in changed else piece)
                place += 1
            else:
                written.append(piece)
        try:
            return "".join(written).encode(self.charset)
        except UnicodeEncodeError:
            raise PermanentError(
                "unencodable_text",
                "the character set of MSH-18 lacks a letter",
                Place("MSH", 1, 18),
            ) from None

    def _text(self, raw: str) -> str:
        if not raw or raw == DELETE:
            return ""
        if self.separators.escape in raw:
            self._escapes_left -= raw.count(self.separators.escape)
            if self._escapes_left < 0:
                raise fault("too_many_escapes")
            raw = unescape(raw, self.separators, self.charset)
        return raw.strip()


def is_delete(raw: str) -> bool:
    """Say whether a field asks for deletion (`""`), which an empty one does not."""
    return raw == DELETE


def read(
    raw: bytes, fallbacks: tuple[str, ...] = ("utf-8", "iso8859-15"), start: Start | None = None
) -> Message:
    """Return the message that the bytes hold.

    Args:
        raw: The message without its frame.
        fallbacks: Codecs tried where MSH-18 is empty.
        start: Of these same bytes (`Header.start`); the message is the same without it.

    Raises:
        PermanentError: Not HL7, unusable separators, undecodable, or NUL bytes.
    """
    notes: list[str] = []
    if start is None or not raw.startswith(b"MSH"):
        start = None
        line, had_bom = header_line(raw)
        names = line.split(line[3:4] or b"|", _MSH_17 + 1)
        charset_name = names[_MSH_17] if len(names) > _MSH_17 else b""
    else:
        had_bom, charset_name = False, start.charset_name
    if b"\x00" in raw:
        raise fault("nul_bytes")
    text, charset, note = decode(raw, charset_name, fallbacks)
    if had_bom:
        notes.append("byte_order_mark")
        text = without_bom(text, charset)
    if note:
        notes.append(note)
    if b"\x0b" in raw or b"\x1c" in raw:
        notes.append("framing_bytes_in_content")
        text = _without_framing(text)
    if b"\n" in raw:
        notes.append("segment_ends")
        if raw.count(b"\n") > MAX_SEGMENTS:
            # What is behind the last line that is looked at need not be made ready for it.
            text = "\n".join(text.split("\n", MAX_SEGMENTS + 1)[: MAX_SEGMENTS + 1]) + "\r?\r"
        text = text.replace("\r\n", "\r").replace("\n", "\r")
    if not text.endswith("\r"):
        notes.append("last_segment_end_missing")
    if not text.startswith("MSH"):
        notes.append("leading_bytes")
        text = text.lstrip()
    if start is None:
        start = _start(text, charset_name)
    separators = start.separators
    lines = text.split("\r", MAX_SEGMENTS)
    is_whole = len(lines) <= MAX_SEGMENTS or not lines[MAX_SEGMENTS]
    segments, counts = _segments(lines[:MAX_SEGMENTS], separators)
    # One search for one letter each: as quick as memory.
    is_plain = text.find(separators.escape, 4 + start.encoding_characters) < 0 and (
        '"' not in text or DELETE not in text
    )
    return Message(separators, charset, tuple(notes), segments, counts, is_plain, raw, is_whole)


def _start(text: str, charset_name: bytes) -> Start:
    field = text[3:4]
    encoding = text[4 : text.find("\r") if "\r" in text else len(text)].partition(field or "|")[0]
    separators = separators_of(field, encoding)
    if separators is None:
        raise fault("bad_separators")
    return Start(separators, len(encoding), charset_name)


def _without_framing(text: str) -> str:
    """Return a text with a space for each VT and FS."""
    return text.replace("\x0b", " ").replace("\x1c", " ")


def _is_segment(line: str, field: str) -> bool:
    """Say whether a line holds a segment: anything but blanks."""
    return line.startswith(field, 3) or bool(line.strip())


def _segments(lines: list[str], separators: Separators) -> tuple[list[Segment], dict[str, int]]:
    seen: dict[str, int] = {}
    segments: list[Segment] = []
    field = separators.field
    for line in lines:
        name = line[:3]
        if line[3:4] != field:
            line = line.strip()  # noqa: PLW2901 - the same line, without what surrounds it
            if not line:
                continue
            name = line.partition(field)[0][:3]
        seen[name] = sequence = seen.get(name, 0) + 1
        segments.append(Segment(name, sequence, line, separators))
    return segments, seen
