"""Whether a specimen is of a place where a germ lives without illness: specimens.json."""

from __future__ import annotations

from typing import Final

import msgspec

from schemas.report import Specimen

from .systems import fold, is_snomed, table


class SpecimenTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole of specimens.json."""

    source: str
    carried: tuple[str, ...]
    names: tuple[str, ...]


TABLE: Final = msgspec.json.decode(table("specimens.json"), type=SpecimenTable)
_CODES: Final = frozenset(TABLE.carried)
_NAMES: Final = frozenset(map(fold, TABLE.names))


def is_carried(specimen: Specimen | None) -> bool:
    """Say whether a specimen is known to be of a place that is not sterile.

    False where nobody says what was sampled: then a germ that makes ill is taken for one.
    """
    if specimen is None:
        return False
    of = specimen.type
    for code, text, system in (
        (of.code, of.text, of.system),
        (of.alternate_code, of.alternate_text, of.alternate_system),
    ):
        if (is_snomed(system) and code in _CODES) or (text and fold(text) in _NAMES):
            return True
    return False
