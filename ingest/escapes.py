r"""Escapes of ER7, decoded once and written once: separators, hexadecimal, formatting.

What has a meaning for a reader is decoded; what only another character set or the sender's own
agreement could tell (`\Cxxyy\`, `\Mxxyyzz\`, `\Zdd\`) and what is not terminated stays as it
is, so that nothing of it is lost. Source: HL7 v2.5.1 chapter 2 (2.7), read as senders write it.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from .separators import Separators

_MARKS: Final = "\x00\r\n\x0b\x1c"
_DIGIT: Final = "[0-9A-Fa-f]"
# An even number of digits; in long strides, for one escape may be of megabytes.
_HEX: Final = f"X(?={_DIGIT})(?:{_DIGIT}{{256}})*+(?:{_DIGIT}{{2}}){{0,127}}+"
_FORMAT: Final = r"\.(?i:br|fi|nf|ce|(?:sp|in|ti|sk) ?[+-]?[0-9]{0,3})"


def unescape(raw: str, separators: Separators, charset: str) -> str:
    """Decode the escapes of a piece once; what is no escape stays as it is, literally.

    A decoded CR, LF, VT, FS or NUL becomes a space: it never leaves raw again (segment injection).
    """
    pattern, meanings = _escapes(separators)

    def meaning(match: re.Match[str]) -> str:
        code = match[1]
        known = meanings.get(code)
        if known is not None:
            return known
        if code.startswith("."):
            return " "
        found = _hexadecimal(code[1:], charset)
        return match[0] if found is None else found

    return pattern.sub(meaning, raw)


@lru_cache(maxsize=256)
def _escapes(separators: Separators) -> tuple[re.Pattern[str], dict[str, str]]:
    """Return the pattern of every escape, and what the single letters stand for."""
    meanings = {
        "F": separators.field,
        "S": separators.component,
        "T": separators.subcomponent,
        "R": separators.repetition,
        "E": separators.escape,
        "H": "",
        "N": "",
    }
    if separators.truncation:
        meanings["P"] = separators.truncation
    mark = re.escape(separators.escape)
    letters = "".join(meanings)
    return re.compile(f"{mark}([{letters}]|{_HEX}|{_FORMAT}){mark}"), meanings


def _hexadecimal(digits: str, charset: str) -> str | None:
    try:
        text = bytes.fromhex(digits).decode(charset)
    except (ValueError, UnicodeDecodeError):
        return None
    if not text.isprintable():
        for mark in _MARKS:
            text = text.replace(mark, " ")
    return text


def escape(text: str, separators: Separators) -> str:
    """Write a text so that no separator in it is one, and no control in it stands raw.

    A CR, VT or FS in it can neither end a segment nor a frame; read again it is a space.
    """
    return text.translate(_escaping(separators))


@lru_cache(maxsize=256)
def _escaping(separators: Separators) -> dict[int, str]:
    mark = separators.escape
    table = {number: f"{mark}X{number:02X}{mark}" for number in (*range(0x20), 0x7F)}
    letters = {
        "F": separators.field,
        "S": separators.component,
        "T": separators.subcomponent,
        "R": separators.repetition,
        "E": mark,
        "P": separators.truncation,
    }
    return table | {
        ord(letter): f"{mark}{code}{mark}" for code, letter in letters.items() if letter
    }
