"""Which analysis looks for which tracked condition: conditions.json, read once, by dict alone."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec

from schemas.report import Coded

from .systems import is_loinc, table


class Kind(StrEnum):
    """What an analysis detects, hence how it was made."""

    RNA = "rna"
    DNA = "dna"
    ANTIGEN = "antigen"
    CULTURE = "culture"
    """A germ grown, and named."""
    MICROSCOPY = "microscopy"
    TOXIN = "toxin"
    """The toxin of a germ, or its gene."""
    IGM = "igm"
    IGG = "igg"
    IGA = "iga"
    ANTIBODY = "antibody"
    MARKER = "marker"
    """A protein that goes with a disease and is no part of a germ."""
    VIRAL_LOAD = "viral_load"
    """How much of what is known to be there: follows an infection, never finds one."""
    SEQUENCE = "sequence"
    """Which variant it is: always a second line, never a case of its own."""
    SCREENING = "screening"
    """Which mutations it has: a second line like a sequence (criblage)."""


_SECOND_LINES: Final = frozenset({Kind.SEQUENCE, Kind.SCREENING})


class Condition(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A tracked condition, and the kinds of analysis whose positive result makes an index case."""

    code: str
    display: str
    display_fr: str
    index_kinds: frozenset[Kind]
    notifiable: bool = False
    """On the French list of notifiable diseases (Code de la santé publique, D3113-6 and -7)."""
    anonymous: bool = False
    """Of special anonymity: no recipient of public health may join it with anything else."""
    invasive: bool = False
    """A germ that many carry: only of a place that is sterile by nature is it the disease."""
    part_of: str = ""
    """The condition that tests look for which do not tell this one apart."""
    note: str = ""
    """What a reader of the page must know."""


class Analysis(msgspec.Struct, frozen=True, kw_only=True):
    """A code that looks for a tracked condition.

    `target` marks one gene of several: it counts only where the report gives no whole result.
    """

    loinc: str
    """The LOINC code; of the French screening, whose codes are not public, one of our own."""
    condition: Condition
    kind: Kind
    display: str
    target: bool = False
    positive_only: bool = False
    """It looks for a part (a subtype, a toxin): not to find that says nothing of the whole."""
    organism: bool = False
    """Its value may name the organism that was found."""
    letter: str = ""
    """The letter of the French screening that its answer is about."""
    source: str = ""
    """Where its label was read: a key of `sources` in conditions.json."""
    system: str = "LN"

    @property
    def makes_index_case(self) -> bool:
        """Say whether a positive result of this analysis makes an index case."""
        return self.kind in self.condition.index_kinds

    @property
    def is_second_line(self) -> bool:
        """Say whether this analysis is only made of what another one has found."""
        return self.kind in _SECOND_LINES


class Identification(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A LOINC code that looks for any germ: which condition it is about, its value says."""

    loinc: str
    kind: Kind
    display: str
    source: str
    only: frozenset[str]
    """The conditions whose organisms it can find: a culture for bacteria finds no virus."""


class AnalysisRow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A row of the table."""

    loinc: str
    condition: str
    kind: Kind
    display: str
    source: str
    target: bool = False
    positive_only: bool = False
    organism: bool = False
    letter: str = ""
    system: str = "LN"


class ConditionTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole of conditions.json."""

    sources: dict[str, str]
    conditions: tuple[Condition, ...]
    analyses: tuple[AnalysisRow, ...]
    identifications: tuple[Identification, ...]


OWN_SYSTEM: Final = "99LABDISPATCH"
"""Coding system of our own codes (HL7 table 0396: 99 and a name is a local one)."""
TABLE: Final = msgspec.json.decode(table("conditions.json"), type=ConditionTable)
CONDITIONS: Final = {each.code: each for each in TABLE.conditions}


def _read_analyses() -> dict[str, Analysis]:
    found = {
        row.loinc: Analysis(
            loinc=row.loinc,
            condition=CONDITIONS[row.condition],
            kind=row.kind,
            display=row.display,
            target=row.target,
            positive_only=row.positive_only,
            organism=row.organism,
            letter=row.letter,
            source=row.source,
            system=row.system,
        )
        for row in TABLE.analyses
    }
    assert len(found) == len(TABLE.analyses), "a LOINC code stands twice in conditions.json"
    return found


ANALYSES: Final = _read_analyses()
_CODES: Final[dict[str, Analysis | Identification]] = {
    **ANALYSES,
    **{each.loinc: each for each in TABLE.identifications},
}
TRACKED_CODES: Final = frozenset(_CODES)
"""Every code that is looked for."""
assert len(_CODES) == len(ANALYSES) + len(TABLE.identifications), "a code stands in both tables"


def looked_for(code: Coded) -> Analysis | Identification | None:
    """Return what a code or its alternate looks for, None where it is nothing tracked."""
    # The number first: most codes are in no table, and a dict says so sooner than the system does.
    found = _CODES.get(code.code)
    if found is not None and _is_of_its_system(found, code.system):
        return found
    if code.alternate_code:
        found = _CODES.get(code.alternate_code)
        if found is not None and _is_of_its_system(found, code.alternate_system):
            return found
    return None


def analysis_of(code: Coded) -> Analysis | None:
    """Return the tracked analysis that a code or its alternate names, None if neither does."""
    found = looked_for(code)
    return found if isinstance(found, Analysis) else None


def condition_of(system: str, code: str) -> Condition | None:
    """Return the condition that an analysis looks for, None if it is not a tracked one."""
    analysis = analysis_of(Coded(code=code, system=system))
    return None if analysis is None else analysis.condition


def _is_of_its_system(found: Analysis | Identification, system: str) -> bool:
    if isinstance(found, Analysis) and found.system == OWN_SYSTEM:
        return system.upper() == OWN_SYSTEM
    return is_loinc(system)
