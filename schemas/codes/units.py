"""Which unit a number of a tracked analysis may have: units.json. Of others nothing is said."""

from __future__ import annotations

from typing import Final

import msgspec

from schemas.report import Coded

from .conditions import ANALYSES, Kind
from .systems import table


class _UnitTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    source: str
    loinc: dict[str, tuple[str, ...]]
    kinds: dict[Kind, tuple[str, ...]]


def _folded(unit: str) -> str:
    """UCUM tells cases apart; laboratories do not, and write blanks, braces and brackets freely."""
    return "".join(each for each in unit.casefold() if each not in " {}[]()_.")


def _read() -> dict[str, frozenset[str]]:
    rows = msgspec.json.decode(table("units.json"), type=_UnitTable)
    by_kind = {kind: frozenset(map(_folded, units)) for kind, units in rows.kinds.items()}
    found = {
        loinc: by_kind[analysis.kind]
        for loinc, analysis in ANALYSES.items()
        if analysis.kind in by_kind
    }
    return found | {loinc: frozenset(map(_folded, units)) for loinc, units in rows.loinc.items()}


_UNITS: Final = _read()


def unit_fits(loinc: str, unit: Coded | str | None) -> bool:
    """Say whether a number of this analysis may have this unit; True where no table knows better.

    A missing unit fits: nobody wrote anything that makes no sense. The code is looked at, then the
    text, then both of the alternate.
    """
    known = _UNITS.get(loinc)
    if known is None or unit is None:
        return True
    if isinstance(unit, str):
        given = [unit]
    else:
        given = [unit.code, unit.text, unit.alternate_code, unit.alternate_text]
    said = [each for each in map(_folded, given) if each]
    return not said or any(each in known for each in said)
