"""A file of HL7 messages cut into its parts as its bytes come: messages, envelopes, frames. Pure.

However the bytes are cut into chunks, the parts are the same. At most one message is held, and
none that is larger than it may be. Sources: HL7 v2.5.1 2.10.3 (batch protocol), MLLP release 1.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Final

from schemas.patient import Phi

_BOM: Final = b"\xef\xbb\xbf"
_NAMES: Final = rb"(?:MSH|[BF][HT]S)"
_ENVELOPE: Final = re.compile(rb"[BF][HT]S")
_FILLER: Final = re.compile(rb"[\x00\r\n\t ]*")
_LINE: Final = re.compile(rb"[^\r\n]+")
_UNPLAIN: Final = re.compile(rb"\n|\r[\r \t]")
"""Another end of a line than CR, or a line that may be blank."""
_LINE_ENDS: Final = b"\r\n"
_VT: Final = 0x0B
_MARK_BYTES: Final = 8
"""More than the bytes of any mark: the last bytes of a chunk may be the beginning of one."""
_HEAD_BYTES: Final = 4_096

# A message without a frame ends where a line begins another message or an envelope. VT within it is
# content, unless one of these names follows.
_AFTER_MESSAGE: Final = re.compile(
    rb"[\r\n](?:\xef\xbb\xbf)?\x0b?" + _NAMES + rb"|\x0b" + _NAMES, re.DOTALL
)
_AFTER_TEXT: Final = re.compile(rb"[\r\n](?:\xef\xbb\xbf)?" + _NAMES + rb"|\x0b", re.DOTALL)
_AFTER_LINE: Final = re.compile(rb"[\r\n]")
# An editor may have left a frame's end as FS LF, or as FS alone at the end of the file.
_AFTER_FRAME: Final = re.compile(rb"\x1c[\r\n]|\x0b" + _NAMES)
_AFTER_LAST_FRAME: Final = re.compile(rb"\x1c(?:[\r\n]|\Z)|\x0b" + _NAMES)


class PartKind(Enum):
    """What a part of a file is."""

    MESSAGE = "message"
    """A message without a frame, from its MSH on."""
    FRAME = "frame"
    """What stood between VT and FS CR."""
    ENVELOPE = "envelope"
    """One line: FHS, BHS, BTS or FTS."""
    TEXT = "text"
    """What stands outside of every message and is no envelope."""


_AFTER: Final = {
    PartKind.MESSAGE: _AFTER_MESSAGE,
    PartKind.FRAME: _AFTER_FRAME,
    PartKind.ENVELOPE: _AFTER_LINE,
    PartKind.TEXT: _AFTER_TEXT,
}


class Part(Phi, frozen=True, kw_only=True):
    """One part of a file. `start` and `end` are offsets in the file: its content, and what follows.

    `fault` says why it is not whole: `oversize` (then `raw` is its first bytes), `cut`, `empty`.
    """

    kind: PartKind
    raw: bytes
    start: int
    end: int
    fault: str = ""
    has_end: bool = True
    """Whether something followed it: the end of its line, another part, FS CR."""


def as_sent(part: Part) -> bytes:
    """Return the bytes of a message as they go through a door: of a bare one each line ends in CR.

    So a message is the same message, whether it came in a file or over a wire.
    """
    if part.kind is PartKind.FRAME:
        return part.raw
    raw = part.raw.rstrip(b"\r\n\x1c\x00")
    if not _UNPLAIN.search(raw):
        return raw + b"\r"
    return b"\r".join(line for line in _LINE.findall(raw) if line.strip()) + b"\r"


class Splitter:
    """Cuts the bytes of a file into parts; holds one message of `max_bytes` and a few at most.

    Args:
        max_bytes: The largest message; a larger one is an `oversize` part, and skipped.
        position: The offset of the first byte that is fed: 0, or a `position` of before.
    """

    __slots__ = ("_base", "_buffer", "_from", "_head", "_head_bytes", "_kind", "_max", "_scan",
                 "_skipped", "_start", "position")  # fmt: skip

    def __init__(self, max_bytes: int, position: int = 0) -> None:
        self._max = max_bytes
        self._head_bytes = min(_HEAD_BYTES, max_bytes)
        self._buffer = bytearray()
        self._base = position
        """The offset in the file of the buffer's first byte."""
        self._kind: PartKind | None = None
        self._from = self._scan = 0
        self._start = 0
        self._skipped = 0
        self._head = b""
        self.position = position
        """Where the part in progress begins: whoever goes on from here loses nothing."""

    def feed(self, chunk: bytes) -> list[Part]:
        """Take the next bytes and return the parts that they complete, in order. Never raises."""
        self._buffer += chunk
        return self._cut(is_last=False)

    def close(self) -> list[Part]:
        """Return what is left once the file has ended."""
        return self._cut(is_last=True)

    def _cut(self, *, is_last: bool) -> list[Part]:
        out: list[Part] = []
        buffer, at = self._buffer, self._from
        while True:
            if self._kind is None:
                filler = _FILLER.match(buffer, at)
                at = filler.end() if filler else at
                self.position = self._base + at
                if at >= len(buffer) or (not is_last and len(buffer) - at < _MARK_BYTES):
                    break
                at = self._begin(at)
            assert self._kind is not None
            marks = _AFTER[self._kind]
            if is_last and self._kind is PartKind.FRAME:
                marks = _AFTER_LAST_FRAME
            found = marks.search(buffer, self._scan)
            if found is not None:
                end, after = self._edges(found)
                self._give(out, at, end, after, whole=buffer[found.start()] != _VT)
            elif is_last:
                after = len(buffer)
                self._give(out, at, after, after, whole=False, is_last=True)
            else:
                at = self._wait(at)
                break
            at = after
            self._kind = None
        del buffer[:at]
        self._base += at
        self._scan = max(0, self._scan - at)
        self._from = 0
        return out

    def _begin(self, at: int) -> int:
        """Say what begins here; return where its content does."""
        buffer = self._buffer
        if buffer.startswith(_BOM, at):
            at += len(_BOM)
        is_framed = at < len(buffer) and buffer[at] == _VT
        if is_framed:
            at += 1
        if _ENVELOPE.match(buffer, at):
            # A frame around a whole batch: its lines are read as those of a file.
            self._kind = PartKind.ENVELOPE
        elif is_framed:
            self._kind = PartKind.FRAME
        elif buffer.startswith(b"MSH", at):
            self._kind = PartKind.MESSAGE
        else:
            self._kind = PartKind.TEXT
        self._scan = at
        self._start = self._base + at
        return at

    def _edges(self, found: re.Match[bytes]) -> tuple[int, int]:
        """Return where the content ends, and where the next part may begin."""
        first = self._buffer[found.start()]
        if self._kind is PartKind.ENVELOPE:
            return found.start(), found.end()
        if self._kind is PartKind.FRAME:
            return found.start(), found.start() if first == _VT else found.end()
        end = found.start() + (first in _LINE_ENDS)
        return end, end

    def _give(
        self,
        out: list[Part],
        start: int,
        end: int,
        after: int,
        *,
        whole: bool,
        is_last: bool = False,
    ) -> None:
        kind = self._kind
        assert kind is not None
        size = self._skipped + end - start
        fault = ""
        if size > self._max:
            fault = "oversize"
            head = self._buffer[start : start + self._head_bytes]
            raw = self._head if self._skipped else bytes(head)
        else:
            raw = bytes(self._buffer[start:end])
        self._skipped, self._head = 0, b""
        has_end = not is_last or raw.endswith((b"\r", b"\n"))
        if kind is PartKind.FRAME and not fault:
            if not raw and not whole:
                return  # a doubled VT is no frame
            fault = "" if whole and raw else "cut" if raw else "empty"
        elif kind is PartKind.ENVELOPE:
            raw = raw.rstrip(b"\x1c\x00 \t")
        elif kind is PartKind.TEXT and not raw.strip(b"\x00\r\n\t \x1c"):
            return
        out.append(
            Part(kind=kind, raw=raw, start=self._start, end=self._base + after, fault=fault,
                 has_end=has_end)
        )  # fmt: skip

    def _wait(self, at: int) -> int:
        """Keep what must be kept of an unfinished part; return from where."""
        self._scan = max(at, len(self._buffer) - _MARK_BYTES)
        if self._skipped or self._scan - at > self._max:
            if not self._skipped:
                self._head = bytes(self._buffer[at : at + self._head_bytes])
            self._skipped += self._scan - at
            return self._scan
        return at
