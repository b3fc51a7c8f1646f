"""What agreement says: Fellegi-Sunter log odds in thousandths of a bit. Pure.

The weight of a level is log2(m / u), m and u its shares among pairs of one person and of two
(Fellegi and Sunter 1969); where names are equal, u is how common this name is (term frequencies,
Winkler 1988). A rare name that agrees says more than MARTIN does.
"""

from __future__ import annotations

import math

from .compare import Levels
from .identity import Identity
from .levels import CROSSED, EXACT, FAMILY, GIVEN, LISTED, PART
from .model import Model

Weights = tuple[int, ...]
"""A weight for each field, in thousandths of a bit."""


def weigh(levels: Levels, one: Identity, other: Identity, model: Model) -> Weights:
    """Return what each field's level says for these two; the other way round says the same."""
    table = model.weights
    weights = [table[field][level] for field, level in enumerate(levels)]
    level = levels[FAMILY]
    share = model.family_shares[level]
    if share:
        rarity = _family_rarity(level, one, other, model)
        weights[FAMILY] += share * (rarity - model.usual_family[level]) // 1000
    level = levels[GIVEN]
    share = model.given_shares[level]
    if share:
        rarity = _given_rarity(level, one, other, model)
        weights[GIVEN] += share * (rarity - model.usual_given[level]) // 1000
    return tuple(weights)


def total_of(weights: Weights, model: Model) -> int:
    """Return the log odds that both are one person, in thousandths of a bit."""
    return sum(weights) - model.prior


def posterior_of(total: int) -> float:
    """Return the probability that goes with log odds."""
    if total > 50_000:
        return 1.0
    odds = math.exp2(max(total, -1_000_000) / 1000)
    return odds / (1.0 + odds)


def _family_rarity(level: int, one: Identity, other: Identity, model: Model) -> int:
    if level == EXACT:
        return model.family_rarity(one.family)
    if level == CROSSED:
        names = {one.family, one.used_family} & {other.family, other.used_family}
        names.discard("")
        return min([model.family_rarity(name) for name in names] or [model.unseen_surname])
    return min(model.family_rarity(one.family), model.family_rarity(other.family))


def _given_rarity(level: int, one: Identity, other: Identity, model: Model) -> int:
    sex = one.sex if one.sex == other.sex else ""
    born = min(one.birth_date, other.birth_date) or one.birth_date or other.birth_date
    if level == EXACT and one.given == other.given:
        return model.given_rarity(one.given, sex, born)
    if level in {PART, LISTED}:
        mine = {*one.given.split(" "), *one.givens, one.used_given}
        names = mine & {*other.given.split(" "), *other.givens, other.used_given}
        names.discard("")
        if names:
            return min(model.given_rarity(name, sex, born) for name in names)
    return min(model.given_rarity(one.given, sex, born), model.given_rarity(other.given, sex, born))
