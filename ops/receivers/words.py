"""What a receiver says later of what it took: a business acknowledgement, ZAM^Z01 or ZAM^Z02; pure.

Source: volet Transmission d'un document CDA-R2 en HL7 v2, 2.1 (french-profile 2.1): OBX-3 names the
word (ACK_RECEPTION_DMP, LECTEUR_MSS), OBX-4 holds the MSH-10 of the original. Words and codes are
closed sets, for what else stands there may be the name or number of a reader: nothing else of the
message is kept.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from typing import Final

import msgspec

from ingest.er7 import read
from schemas.errors import PermanentError

_CODE: Final = re.compile(r"[A-Za-z0-9_.-]{1,40}")
_YES_NO: Final = frozenset({"Y", "N"})
_SMTP: Final = frozenset({
    "211", "214", "220", "221", "250", "251", "252", "354", "421", "450", "451", "452", "454",
    "455", "500", "501", "502", "503", "504", "521", "530", "534", "535", "538", "550", "551",
    "552", "553", "554", "555", "556",
})  # fmt: skip
"""RFC 5321, RFC 4954 and their extensions."""
WORDS: Final[Mapping[str, frozenset[str]]] = {
    "ACK_RECEPTION_DMP": _YES_NO,
    "ACK_RECEPTION_MSS": _YES_NO | _SMTP,
    "ACK_LECTURE_MSS": _YES_NO,
    "LECTEUR_MSS": frozenset(),  # who read it: that somebody did is all we keep
}
"""What may be said, and which codes it may say; any other code is left out."""

_FAILURES: Final = frozenset({
    "100", "101", "102", "103", "200", "201", "202", "203", "204", "205", "206", "207", "DMPClosed",
})  # fmt: skip
"""HL7 table 0357, and what the DMP says of a patient's record."""
_OTHER_FAILURE: Final = "other_error"
_MAX_WORDS: Final = 50
_MAX_ORIGINAL: Final = 199


class Word(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is said of one message."""

    original: str
    """MSH-10 of the original, or the event's id: how the receiver knows it."""
    word: str
    code: str


def words_of(raw: bytes) -> tuple[str, list[Word]]:
    """Return the control id of a business acknowledgement, and what it says.

    Raises:
        PermanentError: It is no ZAM^Z01 or ZAM^Z02, says nothing, or too much.
    """
    message = read(raw)
    header = message.header
    if header.component(9, 1) != "ZAM" or header.component(9, 2) not in {"Z01", "Z02"}:
        raise PermanentError("not_an_acknowledgement", "send ZAM^Z01 or ZAM^Z02 in MSH-9")
    failed = ""
    words: list[tuple[str, str, str]] = []
    for segment in message.segments:
        if segment.name == "ERR" and not failed:
            failed = segment.component(5, 1) or segment.component(3, 1)
        elif segment.name == "OBX":
            words.append(
                (segment.component(3, 1), segment.component(4, 1), segment.component(5, 1))
            )
    found = [
        Word(original=original, word=word, code=_code(word, value, failed))
        for word, original, value in words
        if word in WORDS and 0 < len(original) <= _MAX_ORIGINAL
    ]
    if not found or len(found) > _MAX_WORDS:
        raise PermanentError(
            "nothing_acknowledged",
            f"1 to {_MAX_WORDS} OBX: OBX-3 the word (ACK_RECEPTION_DMP), OBX-4 the original MSH-10",
        )
    return header.component(10, 1), found


def by_original(words: list[Word]) -> dict[str, list[Word]]:
    """Return the words of each original."""
    found: defaultdict[str, list[Word]] = defaultdict(list)
    for word in words:
        found[word.original].append(word)
    return dict(found)


def acknowledgement(control_id: str, code: str, error: str = "") -> bytes:
    """Return the answer to one, in default separators and without anything of it but its MSH-10."""
    safe = control_id if _CODE.fullmatch(control_id) else ""
    lines = ["MSH|^~\\&|LABDISPATCH||||||ACK^Z01^ACK||P|2.5", f"MSA|{code}|{safe}"]
    if error:
        lines.append(f"ERR|||207^Application internal error^HL70357|E|{error}")
    return ("\r".join(lines) + "\r").encode("ascii")


def _code(word: str, value: str, failed: str) -> str:
    """Return the code of a word, or of the failure that the message tells of; out of a table."""
    if value in WORDS[word]:
        return value
    if not failed or not WORDS[word]:
        return ""
    return failed if failed in _FAILURES | _SMTP else _OTHER_FAILURE
