"""With which software a message was sent: MSH-3 and the first SFT segment. Pure, never raises.

Names of programs, no personal data; bounded all the same. Source: HL7 v2.5.1 2.15.12 (SFT).
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from schemas.envelope import Software
from schemas.errors import PermanentError

from .bounds import KEY_BYTES
from .charset import decode
from .er7 import Message
from .header import Header
from .separators import separators_of

# SFT stands directly behind MSH; a later one is not looked for, so that no document is searched.
_SECOND_LINE: Final = re.compile(rb"[^\r\n]*[\r\n]+(SFT[^\r\n]{0,2000})")
_NEAR_BYTES: Final = 8_192
_NAMELESS: Final = Software()


def software_of(header: Header, raw: bytes) -> Software:
    """Return the names that a message gives its software; empty ones where it gives none.

    Args:
        header: What `read_header` made of the message.
        raw: The message, without its frame.
    """
    found = _SECOND_LINE.match(raw) if raw.find(b"SFT", 0, _NEAR_BYTES) > 0 else None
    line = found[1] if found is not None else b""
    return _read(header.separators, header.charset_name, header.sending_application, line)


@lru_cache(maxsize=4_096)
def _read(separators: bytes, charset: bytes, application: bytes, line: bytes) -> Software:
    """Read the names; what a sender repeats in every message is read once."""
    given = separators.decode("latin-1")
    known = separators_of(given[:1], given[1:])
    if known is None:
        return _NAMELESS
    reader = Message(known, "utf-8", (), [])
    fields = _decoded(line, charset).split(known.field)
    fields += [""] * (5 - len(fields))

    def first(field: str) -> str:
        return _bounded(reader.first_part(reader.components(field)[0]))

    return Software(
        application=first(_decoded(application, charset)),
        vendor=first(fields[1]),
        version=first(fields[2]),
        product=first(fields[3]),
    )


def _decoded(raw: bytes, charset: bytes) -> str:
    try:
        return decode(raw, charset)[0]
    except PermanentError:
        return raw.decode("iso8859-1")


def _bounded(text: str) -> str:
    """Return a name that can be shown and indexed: printable, at most 200 bytes."""
    shown = "".join(each if each.isprintable() else " " for each in text)
    return " ".join(shown.encode()[:KEY_BYTES].decode("utf-8", "ignore").split())
