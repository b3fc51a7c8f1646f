"""A file of HL7 messages cut into its messages: frames, a batch file, or bare ones. Pure.

Used by `labdispatch send` and `labdispatch check`: both mean the same messages by the same file.
Each message keeps the lines of the file that it came from.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

_VT: Final = b"\x0b"
_BOM: Final = b"\xef\xbb\xbf"
_BATCH_SEGMENTS: Final = (b"FHS", b"BHS", b"BTS", b"FTS")
_FILLER: Final = b"\x00\r\n\t "
_LINE: Final = re.compile(rb"[^\r\n]+")
_FRAME_END: Final = re.compile(rb"\x1c(?:\r\n?|\n|\Z)")
"""A file that an editor wrote may end a frame otherwise than by FS CR."""
_RESTART: Final = b"\x0bMSH"


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
    """Yield the messages of a file in order, and what stands between frames and is none.

    A file that begins with VT, or holds a whole frame, is a file of frames: each is given as it
    stands. Any other is a file of lines: FHS, BHS, BTS and FTS are skipped, each MSH begins a
    message, ends of lines become CR. What stands before the first MSH is given as a message, so
    that its fault can be said.
    """
    content = content.removeprefix(_BOM)
    begins_with_frame = content.lstrip(_FILLER).startswith(_VT)
    if begins_with_frame or (_VT in content and b"\x1c\r" in content):
        yield from _frames(content)
    else:
        yield from _bare(content)


def split_file(content: bytes) -> Iterator[bytes]:
    """Yield the bytes of each message of a file, as `send` puts them on the wire.

    What is no whole message is given too, so that the hub can say what is wrong with it; what
    stands between frames is not.
    """
    return (part.raw for part in split_parts(content) if part.fault not in {"garbage", "empty"})


def _bare(content: bytes) -> Iterator[Part]:
    message: list[bytes] = []
    lines: list[int] = []
    number, at = 1, 0
    # Runs of line ends are passed over in one step, however many there are.
    for found in _LINE.finditer(content):
        number += _line_ends(content[at : found.start()])
        line, at = found[0], found.end()
        if line.startswith(_BATCH_SEGMENTS) or not line.strip():
            continue
        if line.startswith(b"MSH") and message:
            yield Part(raw=b"\r".join(message) + b"\r", lines=lines)
            message, lines = [], []
        message.append(line)
        lines.append(number)
    if message:
        yield Part(raw=b"\r".join(message) + b"\r", lines=lines)


def _frames(content: bytes) -> Iterator[Part]:
    at, line = 0, 1
    end = _FRAME_END.search(content)
    while at < len(content):
        start = content.find(_VT, at)
        between = content[at : start if start >= 0 else len(content)]
        if between.strip(_FILLER):
            yield _part(between, line, "garbage")
        if start < 0:
            return
        line += _line_ends(between)
        at = start + 1
        if end is not None and end.start() < at:  # looked for once: many restarts stay linear
            end = _FRAME_END.search(content, at)
        stop = end.start() if end else len(content)
        restart = content.find(_RESTART, at, stop)
        if restart >= 0:
            frame, after = content[at:restart], restart
            fault = "cut"
        else:
            frame = content[at:stop]
            after = end.end() if end else len(content)
            fault = "" if end and frame else "cut" if frame else "empty"
        if frame or restart < 0:  # a doubled VT is no frame
            yield _part(frame, line, fault)
        line += _line_ends(content[at:after])
        at = after


def _part(raw: bytes, line: int, fault: str) -> Part:
    return Part(raw=raw, lines=range(line, line + _line_ends(raw) + 1), fault=fault)


def _line_ends(content: bytes) -> int:
    """Count the ends of lines, CR LF as one."""
    return content.count(b"\r") + content.count(b"\n") - content.count(b"\r\n")
