"""How two sets of traits agree, trait by trait. Pure; the only module that knows rapidfuzz."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from rapidfuzz.distance import JaroWinkler

from schemas.patient import Traits

from .normalize import PLACEHOLDER_GIVENS, fold_name, full_date, phonetic

_SIMILAR: Final = 0.88


class Agreement(StrEnum):
    """How far one trait agrees."""

    EXACT = "exact"
    SIMILAR = "similar"
    """A slip of the fingers, or the same sound."""
    DEFAULT = "default"
    """One of two dates stands for an unknown day of the same year."""
    MISSING = "missing"
    DIFFERENT = "different"


def compare_names(one: str, other: str) -> Agreement:
    """Compare two names after folding."""
    first, second = fold_name(one), fold_name(other)
    if not first or not second:
        return Agreement.MISSING
    if first == second:
        return Agreement.EXACT
    if phonetic(first) == phonetic(second):
        return Agreement.SIMILAR
    if JaroWinkler.similarity(first, second) >= _SIMILAR:
        return Agreement.SIMILAR
    return Agreement.DIFFERENT


def compare_givens(one: Traits, other: Traits) -> Agreement:
    """Compare first given names; one that stands in the other's list agrees."""
    first, second = fold_name(one.birth_given), fold_name(other.birth_given)
    if first in PLACEHOLDER_GIVENS or second in PLACEHOLDER_GIVENS:
        return Agreement.MISSING
    best = compare_names(first, second)
    if best is Agreement.DIFFERENT:
        lists = ({fold_name(n) for n in (*t.birth_givens, t.used_given)} for t in (one, other))
        mine, theirs = lists
        if first in theirs or second in mine:
            return Agreement.SIMILAR
    return best


def compare_families(one: Traits, other: Traits) -> Agreement:
    """Compare birth names, and birth against used name, because one stands in for the other."""
    best = compare_names(one.birth_family, other.birth_family)
    if best is not Agreement.DIFFERENT:
        return best
    crossed = (
        compare_names(one.birth_family, other.used_family),
        compare_names(one.used_family, other.birth_family),
    )
    return Agreement.SIMILAR if Agreement.EXACT in crossed else best


def compare_dates(one: str, other: str) -> Agreement:
    """Compare birth dates: exact, day and month swapped or one digit off, or a default date."""
    first, second = full_date(one), full_date(other)
    if not first or not second:
        return Agreement.MISSING
    if first == second:
        return Agreement.EXACT
    if first[:4] == second[:4]:
        if first[5:7] == second[8:] and first[8:] == second[5:7]:
            return Agreement.SIMILAR
        if first[5:] in {"01-01", "12-31"} or second[5:] in {"01-01", "12-31"}:
            return Agreement.DEFAULT
    if sum(a != b for a, b in zip(first, second, strict=True)) == 1:
        return Agreement.SIMILAR
    return Agreement.DIFFERENT
