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
    note: str = ""
    """What a reader of the page must know."""


class Analysis(msgspec.Struct, frozen=True, kw_only=True):
    """A LOINC code that looks for a tracked condition.

    `target` marks one gene of several: it counts only where the report gives no whole result.
    """

    loinc: str
    condition: Condition
    kind: Kind
    display: str
    target: bool = False
    source: str = ""
    """Where its label was read: a key of `sources` in conditions.json."""

    @property
    def makes_index_case(self) -> bool:
        """Say whether a positive result of this analysis makes an index case."""
        return self.kind in self.condition.index_kinds

    @property
    def is_second_line(self) -> bool:
        """Say whether this analysis is only made of what another one has found."""
        return self.kind in _SECOND_LINES


class AnalysisRow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A row of the table."""

    loinc: str
    condition: str
    kind: Kind
    display: str
    target: bool = False
    source: str = ""


class ConditionTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole of conditions.json."""

    source: str
    conditions: tuple[Condition, ...]
    analyses: tuple[AnalysisRow, ...]


def _read_analyses() -> dict[str, Analysis]:
    found = {
        row.loinc: Analysis(
            loinc=row.loinc,
            condition=CONDITIONS[row.condition],
            kind=row.kind,
            display=row.display,
            target=row.target,
            source=row.source,
        )
        for row in TABLE.analyses
    }
    assert len(found) == len(TABLE.analyses), "a LOINC code stands twice in conditions.json"
    return found


TABLE: Final = msgspec.json.decode(table("conditions.json"), type=ConditionTable)
CONDITIONS: Final = {each.code: each for each in TABLE.conditions}
ANALYSES: Final = _read_analyses()


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
