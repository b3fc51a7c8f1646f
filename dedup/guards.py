"""What stops the machine from linking, whatever the score says. Pure.

Raising a threshold does not remove false links: twins agree on everything but the given name.
Guards are asked in order and the first that hits wins. The numbers are those of docs/identity.md;
a model says which are on, and whether what one stops goes to a steward or is simply somebody new.

Guard 1 (isolation) is in `dedup.keys`, 10 to 12 (score, two above the threshold, a steward's word)
in `dedup.decide`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from schemas.patient import INS_NIA_OIDS, Ins

from .compare import Levels
from .identity import DEFAULT, Candidate, Identity, PersonKeys
from .levels import (
    BIRTH_PLACE,
    BOTH_DEFAULT,
    CITY,
    CROSSED,
    DATE,
    DATE_SWAPPED,
    DEFAULT_DATE,
    DIFFERENT,
    EMAIL,
    EXACT,
    FAMILY,
    GIVEN,
    INITIAL,
    LISTED,
    MIDDLE,
    MISSING,
    NAME_DIFFERENT,
    NEAR,
    ONE_DIGIT,
    PART,
    PARTLY,
    PHONE,
    POSTCODE,
    SEX,
    SIMILAR,
    SWAPPED,
)
from .model import Model

SAME_INS_OTHER_TRAITS: Final = "same_ins_other_traits"
TWO_QUALIFIED_INS: Final = "two_qualified_ins"
NIA_AGAINST_NIR: Final = "nia_against_nir"
TWIN_INS: Final = "twin_ins"
HOMONYM: Final = "homonym"
SETTLED_DIFFERENT: Final = "settled_different"
SEVERAL_OF_SAME_TRAITS: Final = "several_of_same_traits"

_CARD_DATES: Final = frozenset({EXACT, DATE_SWAPPED, ONE_DIGIT, DEFAULT_DATE, BOTH_DEFAULT, PARTLY})
_AGREES: Final = frozenset({EXACT, NEAR, SIMILAR, PART, CROSSED, SWAPPED})
_SIGNATURE: Final = 10


def card_fits(levels: Levels) -> bool:
    """Guard 2: the same qualified INS, but is it the same person?

    A valid INS that conflicts with the traits is almost never a typo, the key catches those: it is
    somebody else's card, a parent's or a twin's.
    """
    family, given = levels[FAMILY], levels[GIVEN]
    return (
        levels[DATE] in _CARD_DATES
        and given != NAME_DIFFERENT
        and (family in _AGREES or given in _AGREES)
    )


def stopped_by_ins(keys: PersonKeys, candidate: Candidate) -> str:
    """Guards 3 and 4: two different qualified INS are two persons.

    A NIA that became a NIR is for a steward. An INS that is only evidence counts where it shares
    the first ten characters with the person's, but not the order number: twins.
    """
    held = candidate.ins
    if not held:
        return ""
    if keys.ins is None:
        for evidence in keys.held_ins:
            for known in held.values():
                if is_twin_of(evidence, known.ins):
                    return TWIN_INS
        return ""
    if keys.ins.digest in held or any(former.digest in held for former in keys.former_ins):
        return ""
    mine = keys.ins.ins.oid in INS_NIA_OIDS
    if all((known.ins.oid in INS_NIA_OIDS) != mine for known in held.values()):
        return NIA_AGAINST_NIR
    return TWO_QUALIFIED_INS


def shares_evidence(keys: PersonKeys, candidate: Candidate) -> bool:
    """Say whether an INS that is no identity (PROV) is one that the person holds."""
    held = {known.ins.matricule for known in candidate.ins.values()}
    return any(ins.matricule in held for ins in keys.held_ins)


def is_twin_of(one: Ins, other: Ins) -> bool:
    """Say whether two INS differ in the order number only: born in one place in one month."""
    return (
        one.matricule[:_SIGNATURE] == other.matricule[:_SIGNATURE]
        and one.matricule[:13] != other.matricule[:13]
    )


def given_missing(levels: Levels, _one: Identity, _other: Identity, _model: Model) -> bool:
    """Guard 5: no given name, a placeholder or a letter says nothing about which child it is."""
    return levels[GIVEN] in {MISSING, INITIAL}


def given_different(levels: Levels, _one: Identity, _other: Identity, _model: Model) -> bool:
    """Guard 5: another given name is another person: a twin, a sister, a child with its parent."""
    return levels[GIVEN] == NAME_DIFFERENT


def given_listed(levels: Levels, one: Identity, other: Identity, model: Model) -> bool:
    """Guard 5: a first name that only stands in the other's list may be a twin's or a father's.

    Not where one is the other's used name: that is said of this very person.
    """
    if levels[GIVEN] != LISTED or one.given not in model.attested:
        return False
    said_used = {one.used_given, other.used_given} & {one.given, other.given}
    return other.given in model.attested and not said_used


def given_both_attested(levels: Levels, one: Identity, other: Identity, model: Model) -> bool:
    """Guard 6: MARIE and MARTINE, ANNE and ANNE MARIE: alike, but both are names."""
    return (
        levels[GIVEN] in {NEAR, SIMILAR, PART}
        and one.given in model.attested
        and other.given in model.attested
    )


def date_default(levels: Levels, one: Identity, other: Identity, _model: Model) -> bool:
    """Guard 7: a default date that is not the other's date says nothing."""
    return levels[DATE] not in {EXACT, BOTH_DEFAULT} and DEFAULT in {
        one.date_kind,
        other.date_kind,
    }


def date_not_exact(levels: Levels, _one: Identity, _other: Identity, _model: Model) -> bool:
    """Guard 7: day and month swapped or one digit off pass with both names exact; no more does."""
    date = levels[DATE]
    if date in {EXACT, BOTH_DEFAULT}:
        return False
    both_exact = levels[FAMILY] == EXACT and levels[GIVEN] == EXACT
    return not (both_exact and date in {DATE_SWAPPED, ONE_DIGIT})


def family_different(levels: Levels, _one: Identity, _other: Identity, _model: Model) -> bool:
    """Guard 8: another birth name (a married one) passes only with equal birth place or phone."""
    return levels[FAMILY] in {NAME_DIFFERENT, CROSSED, MISSING, INITIAL} and not (
        levels[BIRTH_PLACE] == EXACT or levels[PHONE] == EXACT
    )


def sex_contradicts(levels: Levels, _one: Identity, _other: Identity, _model: Model) -> bool:
    """Guard 9: the other sex passes only with the given name exact."""
    return levels[SEX] == DIFFERENT and levels[GIVEN] not in {EXACT, LISTED}


def homonym(levels: Levels, one: Identity, other: Identity, _model: Model) -> bool:
    """Guard 10: the birth agrees and nothing else does, but something else speaks against it.

    People of one name are born on one day in one town (measured: 83 false links per million without
    this guard). Where home, phone, mail and further given names all differ or are not there, and
    one of them differs, it is not decided by a machine. One further given name in common is chance.
    """
    home = levels[POSTCODE] or levels[CITY]
    if home == EXACT or levels[PHONE] == EXACT or levels[EMAIL] == EXACT:
        return False
    if levels[MIDDLE] == EXACT and _one_holds_the_other(one.givens, other.givens):
        return False
    return bool(levels[MIDDLE] or home or levels[PHONE])


def _one_holds_the_other(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    shorter, longer = (one, other) if len(one) <= len(other) else (other, one)
    return all(name in longer for name in shorter)


_Guard = Callable[[Levels, Identity, Identity, Model], bool]

PAIR_GUARDS: Final[tuple[tuple[str, _Guard], ...]] = (
    ("given_missing", given_missing),
    ("given_different", given_different),
    ("given_listed", given_listed),
    ("given_both_attested", given_both_attested),
    ("date_default", date_default),
    ("date_not_exact", date_not_exact),
    ("family_different", family_different),
    ("sex_contradicts", sex_contradicts),
    (HOMONYM, homonym),
)
"""In their order; each is on where the model names it."""

GUARDS: Final = frozenset(
    {name for name, _ in PAIR_GUARDS} | {TWO_QUALIFIED_INS, NIA_AGAINST_NIR, TWIN_INS}
)
"""All that a model file may name."""

ALWAYS: Final = {
    TWO_QUALIFIED_INS: "new",
    NIA_AGAINST_NIR: "review",
    TWIN_INS: "review",
    SETTLED_DIFFERENT: "new",
}
"""Guards that no model switches off, and what becomes of what they stop unless it says so."""


def stopped_by_traits(levels: Levels, one: Identity, other: Identity, model: Model) -> str:
    """Return the first guard of a pair that hits, or nothing."""
    on = model.guards
    for name, hits in PAIR_GUARDS:
        if name in on and hits(levels, one, other, model):
            return name
    return ""


def act_of(guard: str, model: Model) -> str:
    """Return what becomes of a record that a guard stops: `review` or `new`."""
    act = model.guards.get(guard)
    return act if act is not None else ALWAYS.get(guard, "review")
