"""Oppositions as a file gives them: one line an act, by INS or by a laboratory's own number. Pure.

What a line holds names a patient, so nothing of it stands in an error, an answer or a log: a line
is named by its number.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from ingest.numbers import INS_OIDS, ins_key_is_right, realm_of
from schemas.decision import Realm
from schemas.errors import PermanentError
from schemas.patient import INS_PRODUCTION_OIDS, INS_TEST_OIDS, Ins, Phi

COLUMNS: Final = ("act", "ins", "oid", "laboratory", "patient_number")
NEEDED: Final = frozenset({"act"})
MAX_LINE_CHARACTERS: Final = 1_000
_MAX_TEXT: Final = 200


class Said(Phi, frozen=True, kw_only=True):
    """What one line asks; `fault` where it cannot be read."""

    line: int
    opposes: bool = True
    ins: tuple[Ins, ...] = ()
    """One number under each OID that it may be of."""
    laboratory: str = ""
    number: str = ""
    fault: str = ""


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one line."""

    line: int
    result: str


RESULTS: Final = {
    "opposed": "kept; what the dossier held is withdrawn",
    "opposed_already": "it stands already",
    "opposed_ahead": "nobody of this INS is known yet: it stands from the first result on",
    "allowed": "ended; what is due goes to the dossier again",
    "not_opposed": "there was none",
    "nobody": "no result with this number was found: give the INS",
    "several": "more than one person has this number: a steward decides (`review list`)",
    "failed": "it could not be done: see the log, and send the line again",
    "bad_act": "act is `oppose` or `allow`",
    "bad_ins": "this is no INS of this realm: 15 characters whose key is right",
    "bad_line": "give an INS, or laboratory and patient_number, not both",
    "no_such_laboratory": "the register knows no such laboratory",
}
"""Every answer, and what it means."""
DONE: Final = frozenset({"opposed", "opposed_already", "opposed_ahead", "allowed", "not_opposed"})
"""What needs nobody any more."""


def read_lines(lines: Iterable[str], realm: Realm) -> Iterator[Said]:
    """Read a CSV with a head of `act,ins,oid,laboratory,patient_number`, comma or semicolon.

    Raises:
        PermanentError: The head names other columns (`bad_head`); of a line nothing is raised.
    """
    source = iter(lines)
    head = next(source, "").lstrip("\ufeff")
    delimiter = ";" if head.count(";") > head.count(",") else ","
    names = [name.strip().lower() for name in head.rstrip("\r\n").split(delimiter)]
    if not NEEDED <= set(names) <= set(COLUMNS) or len(set(names)) != len(names):
        raise PermanentError("bad_head", f"the first line names columns of {', '.join(COLUMNS)}")
    for number, text in enumerate(source, start=2):
        if text.strip():
            yield _read(number, text, delimiter, names, realm)


def said_of(
    line: int, *, act: str, ins: str, oid: str, laboratory: str, number: str, realm: Realm
) -> Said:
    """Return what one line asks; where it cannot be read, with the fault."""
    act, ins, oid = act.strip().lower(), "".join(ins.split()).upper(), oid.strip()
    laboratory, number = laboratory.strip(), number.strip()
    if act not in {"oppose", "allow"}:
        return Said(line=line, fault="bad_act")
    if bool(ins) == bool(number) or bool(laboratory) != bool(number) or (oid and not ins):
        return Said(line=line, fault="bad_line")
    if max(len(laboratory), len(number)) > _MAX_TEXT:
        return Said(line=line, fault="bad_line")
    opposes = act == "oppose"
    if number:
        return Said(line=line, opposes=opposes, laboratory=laboratory, number=number)
    known = INS_PRODUCTION_OIDS if realm is Realm.PRODUCTION else INS_TEST_OIDS
    if oid and (oid not in INS_OIDS or realm_of(oid) is not realm):
        return Said(line=line, fault="bad_ins")
    found = tuple(
        Ins(matricule=ins, oid=each)
        for each in ([oid] if oid else sorted(known))
        if ins_key_is_right(ins, each)
    )
    return Said(line=line, opposes=opposes, ins=found, fault="" if found else "bad_ins")


def _read(line: int, text: str, delimiter: str, names: list[str], realm: Realm) -> Said:
    if len(text) > MAX_LINE_CHARACTERS:
        return Said(line=line, fault="bad_line")
    cells = next(csv.reader(io.StringIO(text), delimiter=delimiter), [])
    if len(cells) > len(names):
        return Said(line=line, fault="bad_line")
    row = dict(zip(names, cells, strict=False))
    return said_of(
        line,
        act=row.get("act", ""),
        ins=row.get("ins", ""),
        oid=row.get("oid", ""),
        laboratory=row.get("laboratory", ""),
        number=row.get("patient_number", ""),
        realm=realm,
    )
