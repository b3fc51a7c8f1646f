"""MLLP framing without I/O: bytes in, frames and framing errors out (VT ... FS CR).

However the bytes are cut into packets, the frames and the errors are the same.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

_VT: Final = b"\x0b"
_END: Final = b"\x1c\r"
_RESTART: Final = b"\x0bMSH"
_MARK_BYTES: Final = len(_RESTART) - 1
"""The most bytes at the end of a packet that may be the beginning of a mark."""
_HEAD_BYTES: Final = 4096
_FILLER: Final = b"\x00\r\n "
_GARBAGE_HEAD_BYTES: Final = 8
_FOREIGN: Final = re.compile(
    rb"(?:GET |POST |PUT |HEAD |DELETE |OPTIONS|CONNECT |PATCH |TRACE |PRI \* )|\x16\x03", re.ASCII
)
_UNKNOWN: Final = -2


class Frame(msgspec.Struct, frozen=True):
    """The content of one frame, without VT and FS CR."""

    payload: bytes

    def __repr__(self) -> str:
        """Return the size alone: the payload is personal data."""
        return f"<Frame of {len(self.payload)} bytes>"


class FramingError(msgspec.Struct, frozen=True):
    """Bytes that are no frame: `garbage`, `oversize`, `empty` or `cut`.

    `head` holds the first bytes (4096 at most), so that a header can still be read and answered.
    `is_foreign` says that the peer speaks HTTP or TLS.
    """

    reason: str
    head: bytes = b""
    is_foreign: bool = False

    def __repr__(self) -> str:
        """Return the reason alone: the head may hold personal data."""
        return f"<FramingError {self.reason}>"


def wrap(message: bytes) -> bytes:
    """Return the message as a frame."""
    return b"\x0b%b\x1c\r" % message


class Framer:
    """Cuts a stream of bytes into frames; holds `max_frame_bytes` and a few at most between calls.

    A FS that no CR follows is content. A VT inside a frame is content too, unless `MSH` follows:
    then the frame before was cut off (`cut`) and another begins.

    Args:
        max_frame_bytes: The largest payload; a larger one is one `oversize` error, and skipped.
    """

    __slots__ = ("_buffer", "_garbage", "_head_bytes", "_in_frame", "_max", "_scan", "_skipped")

    def __init__(self, max_frame_bytes: int) -> None:
        self._max = max_frame_bytes
        self._head_bytes = min(_HEAD_BYTES, max_frame_bytes)
        self._buffer = bytearray()
        self._in_frame = False
        self._scan = 0
        self._skipped = 0
        """Bytes of an oversize frame that were let go; 0 while the frame is kept."""
        self._garbage: bytes | None = b""
        """First bytes of a run of garbage; None once the run was reported."""

    @property
    def partial(self) -> bool:
        """Say whether a frame has begun and not ended."""
        return self._in_frame

    @property
    def partial_bytes(self) -> int:
        """Bytes received of the frame in progress, also those skipped."""
        return self._skipped + len(self._buffer) if self._in_frame else 0

    def feed(self, data: bytes) -> list[Frame | FramingError]:
        """Take the next bytes and return what they complete, in order. Never raises."""
        if self._is_one_frame(data):
            self._garbage = b""
            return [Frame(data[1:-2])]
        if self._in_frame and self._goes_on(data):
            return []
        out: list[Frame | FramingError] = []
        buffer: bytes | bytearray = data
        if self._buffer:
            self._buffer += data
            buffer = self._buffer
        at = 0
        end = _UNKNOWN
        while True:
            if not self._in_frame:
                at = self._find_start(buffer, at, out)
                if at < 0:
                    at = len(buffer)
                    break
                self._in_frame = True
                self._scan = at
            # The end is looked for once and kept: many restarts before it stay linear.
            if end == _UNKNOWN or 0 <= end < self._scan:
                end = buffer.find(_END, self._scan)
            restart = buffer.find(_RESTART, self._scan, end if end >= 0 else len(buffer))
            if restart >= 0:
                self._close(buffer, at, restart, out, whole=False)
                at = self._scan = restart + 1
            elif end >= 0:
                self._close(buffer, at, end, out, whole=True)
                at = end + len(_END)
                self._in_frame = False
            else:
                at = self._wait(buffer, at, out)
                break
        if buffer is self._buffer:
            if at:
                del self._buffer[:at]
        elif at < len(buffer):
            self._buffer += memoryview(data)[at:]
        self._scan = max(0, self._scan - at)
        return out

    def _is_one_frame(self, data: bytes) -> bool:
        """Say whether nothing waits and a packet is just one right frame, as nearly every one is.

        One letter is looked for at a time: as quick as memory, where a mark of several is not.
        """
        return (
            data.endswith(_END)
            and data.startswith(_VT)
            and not (self._in_frame or self._buffer or self._garbage)
            and len(_VT) + len(_END) < len(data) <= self._max
            and data.find(b"\x1c") == len(data) - len(_END)
            and data.find(_VT, 1) < 0
        )

    def _goes_on(self, data: bytes) -> bool:
        """Take a packet that neither ends a frame nor begins one, in it or across its edge.

        Of a large frame nearly every packet is such a one, and of a skipped one as many as a peer
        likes to send: two letters are looked for, and nothing is searched, copied or cut.
        """
        tail = self._buffer[-_MARK_BYTES:]
        if len(data) < _MARK_BYTES or any(
            part.find(mark) >= 0 for mark in (b"\x1c", _VT) for part in (data, tail)
        ):
            return False
        if self._skipped:
            self._skipped += len(self._buffer) + len(data) - _MARK_BYTES
            self._buffer = bytearray(data[-_MARK_BYTES:])
            self._scan = 0
            return True
        if len(self._buffer) + len(data) > self._max:
            return False
        self._buffer += data
        self._scan = len(self._buffer) - _MARK_BYTES
        return True

    def _find_start(
        self, buffer: bytes | bytearray, at: int, out: list[Frame | FramingError]
    ) -> int:
        """Return where the next frame's content begins, or -1; report what stands before it."""
        start = buffer.find(_VT, at)
        if start != at:
            self._note_garbage(buffer, at, start if start >= 0 else len(buffer), out)
        if start < 0:
            return -1
        if self._garbage:
            self._tell_garbage(out)
        self._garbage = b""
        return start + 1

    def _note_garbage(
        self, buffer: bytes | bytearray, at: int, end: int, out: list[Frame | FramingError]
    ) -> None:
        if self._garbage is None:
            return
        if not self._garbage:
            while at < end and buffer[at] in _FILLER:
                chunk = buffer[at : min(end, at + _HEAD_BYTES)]
                at += len(chunk) - len(chunk.lstrip(_FILLER))
        self._garbage += bytes(buffer[at : min(end, at + _GARBAGE_HEAD_BYTES)])
        self._garbage = self._garbage[:_GARBAGE_HEAD_BYTES]
        # A run is reported when enough of it is known to tell a foreign protocol.
        if len(self._garbage) == _GARBAGE_HEAD_BYTES:
            self._tell_garbage(out)

    def _tell_garbage(self, out: list[Frame | FramingError]) -> None:
        head = self._garbage or b""
        out.append(FramingError("garbage", head, _FOREIGN.match(head) is not None))
        self._garbage = None

    def _close(
        self,
        buffer: bytes | bytearray,
        start: int,
        end: int,
        out: list[Frame | FramingError],
        *,
        whole: bool,
    ) -> None:
        """Report the frame that stands in [start, end), whole or cut off."""
        size = end - start
        if self._skipped:
            self._skipped = 0
        elif size > self._max:
            out.append(FramingError("oversize", _piece(buffer, start, start + self._head_bytes)))
        elif whole:
            out.append(Frame(_piece(buffer, start, end)) if size else FramingError("empty"))
        elif size:  # a doubled VT is no frame
            head = _piece(buffer, start, min(end, start + self._head_bytes))
            out.append(FramingError("cut", head))

    def _wait(self, buffer: bytes | bytearray, start: int, out: list[Frame | FramingError]) -> int:
        """Keep what must be kept of an unfinished frame; return from where."""
        # The last bytes may be the beginning of a mark: they do not count as content yet.
        self._scan = max(start, len(buffer) - _MARK_BYTES)
        if self._skipped or self._scan - start > self._max:
            if not self._skipped:
                head = _piece(buffer, start, start + self._head_bytes)
                out.append(FramingError("oversize", head))
            self._skipped += self._scan - start
            return self._scan
        return start


def _piece(buffer: bytes | bytearray, start: int, end: int) -> bytes:
    if isinstance(buffer, bytes):
        return buffer[start:end]
    with memoryview(buffer) as view:
        return bytes(view[start:end])
