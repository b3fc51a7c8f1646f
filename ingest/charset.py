"""Character sets: bytes to text by MSH-18, strictly; a byte order mark and Windows' letters.

Sources: HL7 v2.5.1 2.15.9.18 (MSH-18) and table 0211, read as senders write it.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from .catalogue import fault

BOM: Final = b"\xef\xbb\xbf"
"""The byte order mark of UTF-8: dropped and noted."""
_CODECS: Final = {
    "": "",
    "ASCII": "ascii",
    "US-ASCII": "ascii",
    "UNICODE UTF-8": "utf-8",
    "UNICODEUTF-8": "utf-8",
    "UTF-8": "utf-8",
    "UTF8": "utf-8",
    "UNICODE": "utf-8",
    **{f"8859/{part}": f"iso8859-{part}" for part in (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 13, 15, 16)},
    "ISO-8859-1": "iso8859-1",
    "ISO8859-1": "iso8859-1",
    "ISO-8859-15": "iso8859-15",
    "ISO8859-15": "iso8859-15",
    "WINDOWS-1252": "cp1252",
    "CP1252": "cp1252",
}
_C1: Final = bytes(range(0x80, 0xA0))
_NAME_BYTES: Final = 64
"""The most bytes of MSH-18 that are looked at; longer ones name no character set."""
_LATIN: Final = frozenset({"iso8859-1", "iso8859-15"})
_APART: Final = _C1 + b"\xa4\xa6\xa8\xb4\xb8\xbc\xbd\xbe"
"""The bytes that are not the same letter in both of them, or that Windows means otherwise."""


@lru_cache(maxsize=256)
def declared_codec(name: bytes) -> str | None:
    """Return the codec that MSH-18 names, empty when it names none, None when it is unknown."""
    first = name.partition(b"~")[0].decode("ascii", "replace").strip().upper()
    return _CODECS.get(first)


def decode(
    raw: bytes, charset_name: bytes, fallbacks: tuple[str, ...] = ("utf-8", "iso8859-15")
) -> tuple[str, str, str]:
    """Decode strictly by MSH-18; return text, the codec used and a note (empty when as declared).

    Args:
        raw: The bytes.
        charset_name: MSH-18 as received.
        fallbacks: What is tried, in order, where MSH-18 is empty.

    Raises:
        PermanentError: The bytes are not of that character set (`undecodable_charset`).
    """
    codec = declared_codec(charset_name[:_NAME_BYTES])
    if raw.isascii():
        note = "charset_unknown" if codec is None else ""
        return raw.decode("ascii"), codec or "ascii", note
    for attempt in (codec,) if codec else fallbacks if codec == "" else ():
        try:
            if attempt not in _LATIN:
                text = raw.decode(attempt)
            elif len(raw.translate(None, _APART)) == len(raw):
                # The same in both, and one of them is decoded twenty times as quickly.
                text = raw.decode("iso8859-1")
            elif len(raw.translate(None, _C1)) < len(raw):
                # No text holds C1 controls: the sender means Windows' letters at these places.
                return raw.decode("cp1252"), "cp1252", "charset_cp1252"
            else:
                text = raw.decode(attempt)
        except UnicodeDecodeError:
            continue
        return text, attempt, "" if codec else "charset_not_declared"
    raise fault("undecodable_charset")


def without_bom(text: str, codec: str) -> str:
    """Return the text of bytes that began with a byte order mark, without what it became."""
    text = text.lstrip("\ufeff")
    return text if codec == "utf-8" else text.removeprefix(BOM.decode(codec))
