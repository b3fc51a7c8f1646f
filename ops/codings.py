"""Content codings of what streams over HTTP: gzip and zstd, readable line by line as it comes.

gzip is made of blocks that stand alone, so that of a batch they are made once for all who follow;
zstd is a frame of its own a reader, smaller and faster for one who reads a lot.
"""

from __future__ import annotations

import struct
import zlib
from typing import Final, Literal, Protocol

from ops.runtime.compression import Frame
from routing.following import Chunk, Form, deflate

Coding = Literal["identity", "gzip", "zstd"]

_GZIP_HEAD: Final = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x04\xff"
"""RFC 1952: deflate, no name, no time, the fastest algorithm, any system."""
_LAST_BLOCK: Final = b"\x03\x00"
"""RFC 1951: an empty block that is the last."""
_MODULUS: Final = 1 << 32


class Coder(Protocol):
    """Encodes one answer, piece by piece."""

    def chunk(self, chunk: Chunk, form: Form) -> bytes:
        """Return a chunk of events, encoded."""
        ...

    def text(self, text: bytes) -> bytes:
        """Return something else, encoded."""
        ...

    def end(self) -> bytes:
        """Return what ends the answer."""
        ...


class _Identity:
    def chunk(self, chunk: Chunk, form: Form) -> bytes:
        return chunk.encoded(form)

    def text(self, text: bytes) -> bytes:
        return text

    def end(self) -> bytes:
        return b""


class _Gzip:
    def __init__(self) -> None:
        self._head = _GZIP_HEAD
        self._sum = 0
        self._size = 0

    def chunk(self, chunk: Chunk, form: Form) -> bytes:
        return self._add(chunk.encoded(form), chunk.deflated(form))

    def text(self, text: bytes) -> bytes:
        return self._add(text, deflate(text))

    def end(self) -> bytes:
        return self._add(b"", b"") + _LAST_BLOCK + struct.pack("<II", self._sum, self._size)

    def _add(self, plain: bytes, blocks: bytes) -> bytes:
        self._sum = zlib.crc32(plain, self._sum)
        self._size = (self._size + len(plain)) % _MODULUS
        head, self._head = self._head, b""
        return head + blocks


class _Zstd:
    def __init__(self) -> None:
        self._frame = Frame()

    def chunk(self, chunk: Chunk, form: Form) -> bytes:
        return self._frame.add(chunk.encoded(form))

    def text(self, text: bytes) -> bytes:
        return self._frame.add(text)

    def end(self) -> bytes:
        return self._frame.end()


def coder_of(coding: Coding) -> Coder:
    """Return a coder for one answer."""
    if coding == "gzip":
        return _Gzip()
    return _Zstd() if coding == "zstd" else _Identity()


def coding_of(accepted: str, *, follows: bool) -> Coding:
    """Return the best coding of an `Accept-Encoding` (RFC 9110, 12.5.3).

    Of those it likes equally: zstd for pages, gzip for who follows. What cannot be read of it
    counts as not said, and without it nothing is encoded.
    """
    likes = _likes(accepted)
    best: Coding = "identity"
    best_like = 0.0
    order: tuple[Coding, ...] = ("gzip", "zstd") if follows else ("zstd", "gzip")
    for coding in order:
        like = likes.get(coding, likes.get("*", 0.0))
        if like > best_like:
            best, best_like = coding, like
    return best if best_like >= likes.get("identity", 0.0) else "identity"


def _likes(accepted: str) -> dict[str, float]:
    found: dict[str, float] = {}
    for each in accepted.lower().split(",")[:32]:
        name, _, parameters = each.partition(";")
        key, _, value = parameters.strip().partition("=")
        try:
            like = float(value) if key.strip() == "q" else 1.0
        except ValueError:
            continue
        if 0.0 <= like <= 1.0:
            found["gzip" if name.strip() == "x-gzip" else name.strip()] = like
    return found
