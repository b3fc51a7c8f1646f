"""A file of HL7 messages cut into its messages, as it stands in memory. Pure.

Used by `labdispatch send` and `labdispatch check`: both mean the same messages by the same file as
the batch door does, which reads it by the same splitter (`ingest/batch_parts.py`). Each message
keeps the lines of the file that it came from.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from ingest.batch_parts import Part as FilePart
from ingest.batch_parts import PartKind, Splitter, as_sent

_VT: Final = b"\x0b"
_BOM: Final = b"\xef\xbb\xbf"
_FILLER: Final = b"\x00\r\n\t "
_LINE: Final = re.compile(rb"[^\r\n]+")
_CHUNK_BYTES: Final = 1024 * 1024


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One message of a file. `lines` are the file's line numbers (one-based) of its lines."""

    raw: bytes
    lines: Sequence[int]
    fault: str = ""
    """Why it is no whole frame (`cut`, `empty`, `garbage`); empty for a message."""

    def __repr__(self) -> str:
        """Return the place alone: the bytes are personal data."""
        return f"<Part at line {self.lines[0] if self.lines else 1}>"


def split_parts(content: bytes) -> Iterator[Part]:
    """Yield the messages of a file in order, and what stands between them and is none.

    FHS, BHS, BTS and FTS are skipped; of a message without a frame, ends of lines become CR. Text
    outside of messages is given too: between frames as `garbage`, in a file without frames as a
    message, so that its fault can be said.
    """
    is_framed = content.removeprefix(_BOM).lstrip(_FILLER).startswith(_VT) or (
        _VT in content and b"\x1c\r" in content
    )
    at, line = 0, 1
    for part in _parts(content):
        if part.kind is PartKind.ENVELOPE:
            continue
        # Each byte is counted once: what stood before the part, then the part itself.
        line += _line_ends(content[at : part.start])
        at = part.start
        if part.kind is PartKind.FRAME:
            yield _as_it_stands(part, line, part.fault)
        elif part.kind is PartKind.TEXT and is_framed:
            yield _as_it_stands(part, line, "garbage")
        else:
            yield _bare(part, line)


def split_file(content: bytes) -> Iterator[bytes]:
    """Yield the bytes of each message of a file, as `send` puts them on the wire.

    What is no whole message is given too, so that the hub can say what is wrong with it; what
    stands between frames is not.
    """
    return (part.raw for part in split_parts(content) if part.fault not in {"garbage", "empty"})


def _parts(content: bytes) -> Iterator[FilePart]:
    splitter = Splitter(len(content))
    for at in range(0, len(content), _CHUNK_BYTES):
        yield from splitter.feed(content[at : at + _CHUNK_BYTES])
    yield from splitter.close()


def _as_it_stands(part: FilePart, line: int, fault: str) -> Part:
    return Part(raw=part.raw, lines=range(line, line + _line_ends(part.raw) + 1), fault=fault)


def _bare(part: FilePart, first: int) -> Part:
    numbers: list[int] = []
    number, at = first, 0
    raw = part.raw.rstrip(b"\r\n\x1c\x00")
    # Runs of line ends are passed over in one step, however many there are.
    for found in _LINE.finditer(raw):
        number += _line_ends(raw[at : found.start()])
        at = found.end()
        if found[0].strip():
            numbers.append(number)
    return Part(raw=as_sent(part), lines=numbers)


def _line_ends(content: bytes) -> int:
    """Count the ends of lines, CR LF as one."""
    return content.count(b"\r") + content.count(b"\n") - content.count(b"\r\n")
