"""Which condition an organism is of that a culture names: organisms.json.

By its SNOMED CT code, else by its whole name, folded. `Absence de Vibrio cholerae` says that it is
not there, to an analysis that looks for it; no other text that holds a name names anything.
"""

from __future__ import annotations

from enum import StrEnum
from functools import lru_cache
from typing import Final

import msgspec

from schemas.report import Coded, Observation

from .conditions import CONDITIONS, Analysis, Condition, Identification, looked_for
from .systems import fold, is_snomed, table


class Says(StrEnum):
    """What an organism says of its condition."""

    POSITIVE = "positive"
    NEGATIVE = "negative"
    """A relative that is not it: says so only to an analysis that looks for this condition."""
    DOUBT = "doubt"
    """Named too broadly to know: neither; a person has to look."""


class Organism(msgspec.Struct, frozen=True, kw_only=True):
    """What a named organism says of which condition."""

    condition: Condition
    says: Says


class OrganismRow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A row of the table."""

    condition: str
    says: Says
    snomed: tuple[str, ...]
    names: tuple[str, ...]


class OrganismTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole of organisms.json."""

    source: str
    organisms: tuple[OrganismRow, ...]


_SHORTEST_SNOMED: Final = 7
_LONGEST_NAME: Final = 80
TABLE: Final = msgspec.json.decode(table("organisms.json"), type=OrganismTable)


def _read() -> tuple[dict[str, Organism], dict[str, Organism]]:
    codes: dict[str, Organism] = {}
    names: dict[str, Organism] = {}
    for row in TABLE.organisms:
        organism = Organism(condition=CONDITIONS[row.condition], says=row.says)
        for known, given in ((codes, row.snomed), (names, map(fold, row.names))):
            for each in given:
                assert each not in known, "an organism stands twice in organisms.json"
                known[each] = organism
        if row.says is not Says.NEGATIVE:
            # The one sentence that is known: that this whole name is absent.
            absent = Organism(condition=CONDITIONS[row.condition], says=Says.NEGATIVE)
            names |= {f"absence de {fold(name)}": absent for name in row.names}
    return codes, names


_BY_CODE, _BY_NAME = _read()


def organism_of(observation: Observation) -> Organism | None:
    """Return what the value of an observation names, None where no table knows it."""
    coded = observation.coded
    if coded is None:
        return None if observation.number else _named(observation.value)
    for code, system in (
        (coded.code, coded.system),
        (coded.alternate_code, coded.alternate_system),
    ):
        # Laboratories forget the system; no local code is as long as SNOMED's by chance.
        if is_snomed(system) or (not system and len(code) >= _SHORTEST_SNOMED):
            found = _BY_CODE.get(code)
            if found is not None:
                return found
    return _named(coded.text) or _named(coded.alternate_text)


def analysis_in(observation: Observation, code: Coded | None = None) -> Analysis | None:
    """Return the analysis that an observation is of: by its code, or by the organism it names.

    Args:
        observation: The observation.
        code: Of the order, where that speaks for an observation with a local code.
    """
    found = looked_for(observation.code if code is None else code)
    if found is None or (isinstance(found, Analysis) and not found.organism):
        return found
    organism = organism_of(observation)
    if organism is None or organism.says is not Says.POSITIVE:
        return found if isinstance(found, Analysis) else None
    named = organism.condition
    if isinstance(found, Identification):
        return _of_organism(found, named) if named.code in found.only else None
    return _of_organism(found, named) if named.part_of == found.condition.code else found


# Bounded by the tables: codes that name organisms times conditions that organisms have.
@lru_cache(maxsize=4_096)
def _of_organism(found: Analysis | Identification, condition: Condition) -> Analysis:
    return Analysis(
        loinc=found.loinc,
        condition=condition,
        kind=found.kind,
        display=found.display,
        organism=True,
        source=found.source,
    )


def _named(text: str) -> Organism | None:
    return _BY_NAME.get(fold(text)) if 0 < len(text) <= _LONGEST_NAME else None
