"""Which variant a second line has found: a closed vocabulary, never the laboratory's own text.

Either mutations that were screened for, in the order of their letters (`A0B0C1`: absent, absent,
present), or a lineage: Pango (`BA.2.86`), WHO name (`Omicron`) or Nextstrain clade (`21K`).
Sources: variants.json; cov-lineages.org, Pango designation rules; nextstrain.org, clade names.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

import msgspec

from schemas.report import Observation

from .conditions import Analysis, Kind
from .results import Result, result_of
from .systems import fold, table

LETTERS: Final = "ABCD"
_LONGEST: Final = 60
# A lineage has its letters and up to three numbers; one that begins with X came of two others (a
# recombinant) and may stand without a number. I and O are no letters of it: they read as digits.
_PANGO: Final = re.compile(
    r"[A-HJ-NP-WYZ][A-HJ-NP-Z]{0,2}(?:\.[1-9]\d{0,3}){1,3}|X[A-HJ-NP-Z]{1,2}(?:\.[1-9]\d{0,3}){0,3}",
    re.ASCII,
)
_CLADE: Final = re.compile(r"(19|2\d)[A-M](?: ?\([A-Za-z]+(?:, ?V\d)?\))?", re.ASCII)
_SCREENED: Final = re.compile(r"[A-D][01](?:[ ,;/+_-]{0,3}[A-D][01]){0,3}", re.ASCII)


class _VariantTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    source: str
    mutations: dict[str, str]
    present: tuple[str, ...]
    absent: tuple[str, ...]
    who: tuple[str, ...]


_TABLE: Final = msgspec.json.decode(table("variants.json"), type=_VariantTable)
MUTATIONS: Final = _TABLE.mutations
_MUTATIONS: Final = {
    fold(pattern.format(mutation)): f"{letter}{digit}"
    for mutation, letter in _TABLE.mutations.items()
    for digit, patterns in ((1, _TABLE.present), (0, _TABLE.absent))
    for pattern in patterns
}
_WHO: Final = {fold(name): name for name in _TABLE.who}


def variant_of(analysis: Analysis, observation: Observation) -> str:
    """Return what one observation of a second line has found, empty where no table knows it."""
    texts = _texts(observation)
    if analysis.kind is Kind.SCREENING:
        if analysis.letter:
            return _letter(analysis.letter, observation, texts)
        return next(filter(None, map(_screened, texts)), "")
    if analysis.kind is Kind.SEQUENCE:
        return next(filter(None, map(lineage_of, texts)), "")
    return ""


def lineage_of(text: str) -> str:
    """Return the lineage that a text is as a whole, written as its nomenclature writes it."""
    text = text.strip()
    if not 1 < len(text) <= _LONGEST:
        return ""
    name = _WHO.get(fold(text))
    if name is not None:
        return name
    if _PANGO.fullmatch(text):
        return text
    clade = _CLADE.fullmatch(text)
    return text[:3] if clade else ""


def together(variants: Iterable[str]) -> str:
    """Return the variant that several observations of one condition tell together.

    A lineage says more than letters, and the first one counts. A letter that is both absent and
    present says nothing: it is left out.
    """
    digits: dict[str, set[str]] = {}
    for variant in variants:
        if not _SCREENED.fullmatch(variant):
            return variant
        for letter, digit in zip(variant[::2], variant[1::2], strict=True):
            digits.setdefault(letter, set()).add(digit)
    return "".join(
        letter + min(digits[letter]) for letter in LETTERS if len(digits.get(letter, ())) == 1
    )


def _screened(text: str) -> str:
    if not 0 < len(text) <= _LONGEST:
        return ""
    found = _MUTATIONS.get(fold(text))
    if found is not None:
        return found
    upper = text.strip().upper()
    if not _SCREENED.fullmatch(upper):
        return ""
    marks = re.findall(r"[A-D][01]", upper)
    return together(marks)


def _letter(letter: str, observation: Observation, texts: list[str]) -> str:
    """Read the answer of one letter: `A1`, `1`, `Positif`; another letter's mark says nothing."""
    for text in texts:
        found = _screened(text)
        if found:
            return found if found[0] == letter and len(found) == len("A0") else ""
        if text.strip() in {"0", "1"}:
            return letter + text.strip()
    result = result_of(observation)
    digit = {Result.POSITIVE: "1", Result.NEGATIVE: "0"}.get(result) if result else None
    return letter + digit if digit else ""


def _texts(observation: Observation) -> list[str]:
    coded = observation.coded
    if coded is None:
        return [observation.number or observation.value]
    given = (coded.text, coded.code, coded.alternate_text, coded.alternate_code)
    return [each for each in given if each]
