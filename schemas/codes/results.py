"""What a laboratory's answer means: codes and whole words, never a word inside a text.

`Non détecté` holds `détecté`. Sources: LOINC answers, SNOMED CT and HL7 table 0078 as listed in
results.json, and the notes of lines.json.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Final

import msgspec

from schemas.decision import Line
from schemas.report import Coded, Observation

from .systems import fold, is_loinc, is_snomed, table


class Result(StrEnum):
    """What an observation says of a condition, in order of precedence."""

    POSITIVE = "positive"
    NEGATIVE = "negative"
    INDETERMINATE = "indeterminate"
    UNUSABLE = "unusable"

    @property
    def precedence(self) -> int:
        """Order in which one result speaks for several: positive first."""
        return _PRECEDENCE[self]


_PRECEDENCE: Final = {each: place for place, each in enumerate(Result)}


class _ResultTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    snomed: dict[Result, tuple[str, ...]]
    loinc_answers: dict[Result, tuple[str, ...]]
    hl7_0078: dict[Result, tuple[str, ...]]
    words: dict[Result, tuple[str, ...]]
    pending: tuple[str, ...]


class _LineTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    source: str
    notes: dict[Line, tuple[str, ...]]


_LINE_CHARACTERS: Final = 40
"""No line of a note that names the line of a test is longer."""
_0078_SYSTEMS: Final = frozenset({"HL70078", "HL7078", "2.16.840.1.113883.5.83"})


def _by_code(rows: dict[Result, tuple[str, ...]]) -> dict[str, Result]:
    found = {code: result for result, codes in rows.items() for code in codes}
    assert len(found) == sum(map(len, rows.values())), "an answer stands twice in results.json"
    return found


_RESULTS: Final = msgspec.json.decode(table("results.json"), type=_ResultTable)
_SNOMED: Final = _by_code(_RESULTS.snomed)
_ANSWERS: Final = _by_code(_RESULTS.loinc_answers)
_0078: Final = _by_code(_RESULTS.hl7_0078)
_WORDS: Final = _by_code(_RESULTS.words)
_PENDING: Final = frozenset(_RESULTS.pending)
_LINES: Final = {
    note: line
    for line, notes in msgspec.json.decode(table("lines.json"), type=_LineTable).notes.items()
    for note in notes
}


def line_of(notes: Iterable[str]) -> Line | None:
    """Return which line a test is by the notes beside it (NTE); None where no line of them says it.

    A line says it as a whole, or not at all: `pas de seconde intention` is no second line.
    """
    for note in notes:
        for text in note.splitlines():
            if len(text) <= _LINE_CHARACTERS:
                found = _LINES.get(fold(text))
                if found is not None:
                    return found
    return None


def result_of(observation: Observation) -> Result | None:
    """Return what an observation says, None where it says nothing that the tables know.

    The value (OBX-5) speaks before the interpretation (OBX-8), a code before its text. A number
    alone says nothing, and abnormal (A, H, L) is not positive.
    """
    coded = observation.coded
    if coded is not None:
        found = _result_of_code(coded)
        if found is not None:
            return found
    elif not observation.number:
        found = _WORDS.get(fold(observation.value))
        if found is not None:
            return found
    for each in observation.interpretations:
        found = _0078.get(each.strip().upper())
        if found is not None:
            return found
    return None


def is_pending(observation: Observation) -> bool:
    """Say whether an observation says in so many words that its answer comes later (`En cours`)."""
    coded = observation.coded
    texts = (observation.value,) if coded is None else (coded.text, coded.code)
    return any(fold(text) in _PENDING for text in texts)


def _result_of_code(coded: Coded) -> Result | None:
    triples = (
        (coded.code, coded.text, coded.system),
        (coded.alternate_code, coded.alternate_text, coded.alternate_system),
    )
    for code, _, system in triples:
        found = _result_in_system(code, system.upper())
        if found is not None:
            return found
    for code, text, system in triples:
        found = _WORDS.get(fold(text))
        if found is None and not is_snomed(system) and not is_loinc(system):
            found = _WORDS.get(fold(code))
        if found is not None:
            return found
    return None


def _result_in_system(code: str, system: str) -> Result | None:
    if is_snomed(system):
        return _SNOMED.get(code)
    if is_loinc(system):
        return _ANSWERS.get(code)
    if system in _0078_SYSTEMS:
        return _0078.get(code.upper())
    # Laboratories forget the system; no local code is as long as SNOMED's by chance.
    return _SNOMED.get(code) if not system and len(code) >= 7 else None
