"""How two identities agree, field by field. Pure; the only module that knows rapidfuzz.

Symmetric: comparing the other way round gives the same levels. Both are folded already, and every
field is bounded, so the work on a pair is.
"""

from __future__ import annotations

from typing import Final

from rapidfuzz.distance import OSA, DamerauLevenshtein, JaroWinkler

from .identity import DEFAULT, Identity
from .levels import (
    APART,
    AREA,
    BOTH_DEFAULT,
    CLOSE,
    CROSSED,
    DATE_DIFFERENT,
    DATE_SWAPPED,
    DEFAULT_DATE,
    DIFFERENT,
    EXACT,
    INITIAL,
    LISTED,
    MISSING,
    MOVED,
    NAME_DIFFERENT,
    NEAR,
    ONE_DIGIT,
    PART,
    PARTLY,
    SIMILAR,
    SWAPPED,
    TWO_DIGITS,
)

SIMILAR_FROM: Final = 0.88
NEAR_FROM: Final = 0.945
_UNLIKE: Final = frozenset({NAME_DIFFERENT, MISSING})
_STREET_FROM: Final = 0.9

_winkler = JaroWinkler.similarity
_edits = DamerauLevenshtein.distance
_near_edits = OSA.distance

Levels = tuple[int, ...]
"""A level for each field, in the order of `dedup.levels`."""


def compare(one: Identity, other: Identity) -> Levels:
    """Return the level to which each field agrees."""
    family = compare_families(one, other)
    given = compare_givens(one, other)
    if (NAME_DIFFERENT in {family, given}) and _are_swapped(one, other):
        family = given = SWAPPED
    elif family in _UNLIKE and given in _UNLIKE and _is_moved(one, other):
        family = MOVED
    return (
        family,
        given,
        _middle(one, other),
        compare_dates(one, other),
        _equal(one.sex, other.sex),
        _birth_place(one.birth_place, other.birth_place),
        _postcode(one, other),
        _text(one.city, other.city),
        _text(one.street, other.street),
        _house(one.house, other.house),
        _shared(one.phones, other.phones),
        _shared(one.emails, other.emails),
        _state(one.state, other.state) if one.state else MISSING,
    )


# ------------------------------------------------------------------------------- names


def compare_names(one: str, other: str) -> int:
    """Compare two folded names."""
    if not one or not other:
        return MISSING
    if one == other:
        return EXACT
    if len(one) == 1 or len(other) == 1:
        return INITIAL if one[0] == other[0] else NAME_DIFFERENT
    likeness = _winkler(one, other)
    if likeness >= NEAR_FROM:
        return NEAR
    spaced = " " in one or " " in other
    if spaced and one.replace(" ", "") == other.replace(" ", ""):
        return NEAR
    if likeness >= 0.7 and min(len(one), len(other)) >= 4 and _is_one_edit(one, other):
        return NEAR
    if spaced and _is_part(one, other):
        return PART
    return SIMILAR if likeness >= SIMILAR_FROM else NAME_DIFFERENT


def _is_one_edit(one: str, other: str) -> bool:
    """Say whether texts are one insertion, deletion, change or swap of neighbours apart at most."""
    longer = len(one) - len(other)
    return -1 <= longer <= 1 and _near_edits(one, other, score_cutoff=1) <= 1


def _is_part(one: str, other: str) -> bool:
    """Say whether all words of the shorter name stand in the longer one."""
    mine, theirs = set(one.split(" ")), set(other.split(" "))
    shorter = mine if len(mine) <= len(theirs) else theirs
    return (mine <= theirs or theirs <= mine) and any(len(word) > 2 for word in shorter)


def compare_families(one: Identity, other: Identity) -> int:
    """Compare birth names; a birth name that is the other's used name is `crossed`."""
    best = compare_names(one.family, other.family)
    if best == EXACT or not (one.used_family or other.used_family):
        if best == NAME_DIFFERENT and one.family_sound == other.family_sound:
            return SIMILAR
        return best
    if best in {MISSING, NAME_DIFFERENT, INITIAL}:
        mine, theirs = one.used_family, other.used_family
        if (mine and mine in {other.family, theirs}) or (theirs and theirs == one.family):
            return CROSSED
        if best == NAME_DIFFERENT and one.family_sound == other.family_sound:
            return SIMILAR
    return best


def compare_givens(one: Identity, other: Identity) -> int:
    """Compare first given names; one in the other's list, or its used one, is `listed`."""
    mine, theirs = one.given, other.given
    best = compare_names(mine, theirs)
    if best in {MISSING, EXACT}:
        return best
    if best == PART and (_is_list(one, theirs) or _is_list(other, mine)):
        return EXACT
    if best != NEAR and (
        theirs in one.givens
        or mine in other.givens
        or (one.used_given and one.used_given in {theirs, other.used_given})
        or (other.used_given and other.used_given == mine)
    ):
        return LISTED
    if best == NAME_DIFFERENT and one.given_sound == other.given_sound:
        return SIMILAR if " " not in mine and " " not in theirs else best
    return best


def _is_list(identity: Identity, whole: str) -> bool:
    """Say whether a name is given name and further ones of an identity, written into one field."""
    if not identity.givens or not whole.startswith(identity.given):
        return False
    text = identity.given
    for name in identity.givens:
        text = f"{text} {name}"
        if text == whole:
            return True
    return False


def _are_swapped(one: Identity, other: Identity) -> bool:
    """Say whether each one's family name is the other's given name."""
    if not one.family or not other.family or not one.given or not other.given:
        return False
    if one.family == other.given and one.given == other.family:
        return True
    mine, theirs = one.family.replace(" ", ""), other.family.replace(" ", "")
    return _are_like(mine, other.given.replace(" ", "")) and _are_like(
        one.given.replace(" ", ""), theirs
    )


def _are_like(one: str, other: str) -> bool:
    return one == other or _winkler(one, other) >= SIMILAR_FROM


def _is_moved(one: Identity, other: Identity) -> bool:
    """Say whether a name of one stands in the other field of the other: LODGE, Adele and Lodge."""
    return _is_likely(one.family, other.given) or _is_likely(one.given, other.family)


def _is_likely(one: str, other: str) -> bool:
    if not one or not other:
        return False
    if one == other:
        return True
    return (
        min(len(one), len(other)) >= 4 and _winkler(one, other) >= 0.7 and _is_one_edit(one, other)
    )


def _middle(one: Identity, other: Identity) -> int:
    """Compare further given names as a set: one in common agrees."""
    if not one.givens or not other.givens:
        return MISSING
    if one.givens == other.givens:
        return EXACT
    theirs = other.givens
    for name in one.givens:
        if name in theirs:
            return EXACT
    return DIFFERENT


# ------------------------------------------------------------------------------- dates


def compare_dates(one: Identity, other: Identity) -> int:
    """Compare birth dates digit by digit; a default date says little more than its year."""
    mine, theirs = one.birth_date, other.birth_date
    if not mine or not theirs:
        return MISSING
    if mine == theirs:
        if one.date_kind == DEFAULT:
            return BOTH_DEFAULT
        return EXACT if len(mine) == 10 else PARTLY
    if len(mine) != len(theirs):
        shorter = min(len(mine), len(theirs))
        if mine[:shorter] == theirs[:shorter]:
            return PARTLY
        return TWO_DIGITS if _off(mine[:4], theirs[:4]) <= 1 else DATE_DIFFERENT
    if mine[:4] == theirs[:4]:
        if mine[5:7] == theirs[8:] and mine[8:] == theirs[5:7]:
            return DATE_SWAPPED
        if (one.date_kind == DEFAULT) != (other.date_kind == DEFAULT):
            return DEFAULT_DATE
    off = _off(mine, theirs)
    if off == 1 or (off == 2 and _is_one_edit(mine, theirs)):
        return ONE_DIGIT
    if off == 2:
        return TWO_DIGITS
    return DATE_DIFFERENT


def _off(one: str, other: str) -> int:
    """Return how many places two texts of one length differ in."""
    off = 0
    for place in range(len(one)):
        if one[place] != other[place]:
            off += 1
    return off


# ------------------------------------------------------------------------------- the rest


def _equal(one: str, other: str) -> int:
    if not one or not other:
        return MISSING
    return EXACT if one == other else DIFFERENT


_OLD_DEPARTMENTS: Final = {"2A": "20", "2B": "20"}
_OLD_PARIS: Final = frozenset({"75", "78", "91", "92", "93", "94", "95"})
_ALGERIA: Final = frozenset({"91", "92", "93", "94"})


def _birth_place(one: str, other: str) -> int:
    """Compare INSEE codes: the commune, or the department as it is or once was (matchID)."""
    if not one or not other:
        return MISSING
    if one == other:
        return EXACT
    if len(one) != 5 or len(other) != 5 or not one[2:].isdigit() or not other[2:].isdigit():
        return CLOSE if _winkler(one, other) >= _STREET_FROM else APART
    if _is_one_edit(one, other):
        return CLOSE
    mine, theirs = one[:2], other[:2]
    if _OLD_DEPARTMENTS.get(mine, mine) == _OLD_DEPARTMENTS.get(theirs, theirs):
        return AREA if mine != "99" else APART
    if mine in _OLD_PARIS and theirs in _OLD_PARIS:
        return AREA
    algeria = "99352" in {one, other} and (mine in _ALGERIA or theirs in _ALGERIA)
    return AREA if algeria else APART


def _postcode(one: Identity, other: Identity) -> int:
    """Compare postcodes; two of one commune are close."""
    mine, theirs = one.postcode, other.postcode
    if not mine or not theirs:
        if one.commune and other.commune:
            return EXACT if one.commune == other.commune else APART
        return MISSING
    if mine == theirs:
        return EXACT
    if one.commune and one.commune == other.commune:
        return CLOSE
    if _is_one_edit(mine, theirs):
        return CLOSE
    return AREA if mine[:2] == theirs[:2] else APART


def _text(one: str, other: str) -> int:
    if not one or not other:
        return MISSING
    if one == other:
        return EXACT
    mine, theirs = one.replace(" ", ""), other.replace(" ", "")
    if mine == theirs:
        return CLOSE
    longer = max(len(mine), len(theirs))
    likeness = _winkler(mine, theirs)
    edits = _edits(mine, theirs) if likeness > 0.6 else longer
    if edits <= 1 or 5 * edits <= longer:
        return CLOSE
    if " " in one and " " in other and sorted(one.split(" ")) == sorted(other.split(" ")):
        return CLOSE
    return AREA if 3 * edits <= longer or likeness >= 0.88 else APART


def _house(one: str, other: str) -> int:
    if not one or not other:
        return MISSING
    if one == other:
        return EXACT
    return CLOSE if _is_one_edit(one, other) else APART


def _state(one: str, other: str) -> int:
    if not other:
        return MISSING
    if one == other:
        return EXACT
    return CLOSE if min(len(one), len(other)) > 2 and _is_one_edit(one, other) else APART


def _shared(one: tuple[str, ...], other: tuple[str, ...]) -> int:
    """Compare phones or mail addresses: one in common, or one digit off."""
    if not one or not other:
        return MISSING
    if one == other:
        return EXACT
    for value in one:
        if value in other:
            return EXACT
    for mine in one:
        for theirs in other:
            if _is_one_edit(mine, theirs):
                return CLOSE
    return APART
