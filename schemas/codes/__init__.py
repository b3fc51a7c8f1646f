"""Which analysis looks for which tracked condition, and what a laboratory's answer means.

Tables, read once; no text is ever searched for a word inside it: `Non détecté` holds `détecté`.
Sources: LOINC, SNOMED CT and HL7 table 0078 codes as listed in the JSON files beside this one.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import Final

import msgspec

from schemas.decision import Line
from schemas.report import Coded, Observation


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


class Kind(StrEnum):
    """What an analysis detects, hence how it was made."""

    RNA = "rna"
    ANTIGEN = "antigen"
    IGM = "igm"
    IGG = "igg"
    IGA = "iga"
    ANTIBODY = "antibody"
    SEQUENCE = "sequence"
    """Which variant it is: always a second line, never a case of its own."""


class Condition(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A tracked condition, and the kinds of analysis whose positive result makes an index case."""

    code: str
    display: str
    index_kinds: frozenset[Kind]


class Analysis(msgspec.Struct, frozen=True, kw_only=True):
    """A LOINC code that looks for a tracked condition.

    `target` marks one gene of several: it counts only where the report gives no whole result.
    """

    loinc: str
    condition: Condition
    kind: Kind
    display: str
    target: bool = False

    @property
    def makes_index_case(self) -> bool:
        """Say whether a positive result of this analysis makes an index case."""
        return self.kind in self.condition.index_kinds

    @property
    def is_second_line(self) -> bool:
        """Say whether this analysis is only made of what another one has found."""
        return self.kind is Kind.SEQUENCE


class _AnalysisRow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    loinc: str
    condition: str
    kind: Kind
    display: str
    target: bool = False


class _ConditionTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    source: str
    conditions: tuple[Condition, ...]
    analyses: tuple[_AnalysisRow, ...]


class _ResultTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    snomed: dict[Result, tuple[str, ...]]
    loinc_answers: dict[Result, tuple[str, ...]]
    hl7_0078: dict[Result, tuple[str, ...]]
    words: dict[Result, tuple[str, ...]]


class _LineTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    source: str
    notes: dict[Line, tuple[str, ...]]


_LINE_CHARACTERS: Final = 40
"""No line of a note that names the line of a test is longer."""
_LOINC_SYSTEMS: Final = frozenset({"LN", "LOINC", "HTTP://LOINC.ORG", "2.16.840.1.113883.6.1"})
_SNOMED_SYSTEMS: Final = frozenset(
    {"SCT", "SCT2", "SNM", "SNOMED", "SNOMED-CT", "SNOMED CT", "2.16.840.1.113883.6.96"}
)
_0078_SYSTEMS: Final = frozenset({"HL70078", "HL7078", "2.16.840.1.113883.5.83"})


def is_loinc(system: str) -> bool:
    """Say whether a coding system's name, as laboratories write it, means LOINC."""
    return system.upper() in _LOINC_SYSTEMS


def is_snomed(system: str) -> bool:
    """Say whether a coding system's name, as laboratories write it, means SNOMED CT."""
    return system.upper() in _SNOMED_SYSTEMS


def fold(text: str) -> str:
    """Return a text as the table of words holds it: no accents, no case, single spaces."""
    if not text.isascii():
        text = unicodedata.normalize("NFKD", text.replace("\u2019", "'"))
        text = "".join(each for each in text if not unicodedata.combining(each))
    return " ".join(text.split()).strip(" .;:,!*").casefold()


def _read_analyses() -> dict[str, Analysis]:
    table = msgspec.json.decode(_file("conditions.json"), type=_ConditionTable)
    conditions = {each.code: each for each in table.conditions}
    found = {
        row.loinc: Analysis(
            loinc=row.loinc,
            condition=conditions[row.condition],
            kind=row.kind,
            display=row.display,
            target=row.target,
        )
        for row in table.analyses
    }
    assert len(found) == len(table.analyses), "a LOINC code stands twice in conditions.json"
    return found


def _by_code(table: dict[Result, tuple[str, ...]]) -> dict[str, Result]:
    found = {code: result for result, codes in table.items() for code in codes}
    assert len(found) == sum(map(len, table.values())), "an answer stands twice in results.json"
    return found


def _file(name: str) -> bytes:
    return Path(__file__).with_name(name).read_bytes()


ANALYSES: Final = _read_analyses()
CONDITIONS: Final = {each.condition.code: each.condition for each in ANALYSES.values()}
_RESULTS: Final = msgspec.json.decode(_file("results.json"), type=_ResultTable)
_SNOMED: Final = _by_code(_RESULTS.snomed)
_ANSWERS: Final = _by_code(_RESULTS.loinc_answers)
_0078: Final = _by_code(_RESULTS.hl7_0078)
_WORDS: Final = _by_code(_RESULTS.words)
_LINES: Final = {
    note: line
    for line, notes in msgspec.json.decode(_file("lines.json"), type=_LineTable).notes.items()
    for note in notes
}


def analysis_of(code: Coded) -> Analysis | None:
    """Return the tracked analysis that a code or its alternate names, None if neither does."""
    for number, system in ((code.code, code.system), (code.alternate_code, code.alternate_system)):
        if is_loinc(system) and number in ANALYSES:
            return ANALYSES[number]
    return None


def condition_of(system: str, code: str) -> Condition | None:
    """Return the condition that an analysis looks for, None if it is not a tracked one."""
    analysis = analysis_of(Coded(code=code, system=system))
    return None if analysis is None else analysis.condition


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
