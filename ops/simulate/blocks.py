"""How eight neighbours live together: households, their ages, and who is whose twin."""

from __future__ import annotations

from enum import Enum
from functools import cache
from random import Random

import msgspec

from .seeds import Stream, Weighted, below, generator

BLOCK = 8
TWIN_SHARE = 0.033
"""Share of persons who are a twin (INSEE: 3.3 %)."""
HOMONYM_SHARE = 0.0005
"""Share of persons who have a homonym born the same day in the same town, twins apart."""


class Role(Enum):
    """A person's place in their household."""

    FIRST = "first"
    PARTNER = "partner"
    CHILD = "child"
    ALONE = "alone"


class Kind(Enum):
    """A kind of household: adults and children."""

    ALONE = (1, 0)
    COUPLE = (2, 0)
    LONE_PARENT_1 = (1, 1)
    LONE_PARENT_2 = (1, 2)
    FAMILY_1 = (2, 1)
    FAMILY_2 = (2, 2)
    FAMILY_3 = (2, 3)

    @property
    def adults(self) -> int:
        """Number of adults."""
        return int(self.value[0])

    @property
    def children(self) -> int:
        """Number of children."""
        return int(self.value[1])

    def first_sex(self, rng: Random) -> str:
        """Draw the sex of the first adult: lone parents are mostly mothers."""
        woman = 0.52 if self is Kind.ALONE else 0.83 if self.adults == 1 else 0.02
        return "F" if rng.random() < woman else "M"

    def years(self, rng: Random, today: int) -> tuple[int, int, tuple[int, ...]]:
        """Draw years of birth: first adult, partner, children.

        Each is the upper end of eight years, because the class of a person moves it down by up to
        seven (see `population`).
        """
        if self.children:
            mother = today - 32 - below(rng, 20)
            eldest = max(mother + 24, today - 18)
            youngest = min(mother + 42, today + 3)
            children = tuple(
                eldest + below(rng, max(1, youngest - eldest)) for _ in range(self.children)
            )
        else:
            low, width = _AGES.draw(rng)
            mother = today - low - below(rng, width) + 4
            children = ()
        return mother - below(rng, 7) + 2, mother, children


_AGES = Weighted(
    [((24, 6), 0.13), ((30, 10), 0.1), ((40, 10), 0.1), ((50, 10), 0.19), ((60, 10), 0.21),
     ((70, 10), 0.17), ((80, 10), 0.09), ((90, 7), 0.015)]
)  # fmt: skip

_SHAPES: Weighted[tuple[Kind, ...]] = Weighted(
    [
        ((Kind.FAMILY_2, Kind.COUPLE, Kind.ALONE, Kind.ALONE), 0.25),
        ((Kind.FAMILY_3, Kind.COUPLE, Kind.ALONE), 0.12),
        ((Kind.FAMILY_1, Kind.LONE_PARENT_1, Kind.COUPLE, Kind.ALONE), 0.2),
        ((Kind.FAMILY_2, Kind.LONE_PARENT_2, Kind.ALONE), 0.1),
        ((Kind.COUPLE, Kind.COUPLE, Kind.ALONE, Kind.ALONE, Kind.ALONE, Kind.ALONE), 0.18),
        ((Kind.FAMILY_1, Kind.FAMILY_2, Kind.ALONE), 0.15),
    ]
)


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """Two slots of a block that share a birth: twins, or homonyms of no kinship."""

    first: int
    second: int
    twins: bool


class Layout(msgspec.Struct, frozen=True, kw_only=True):
    """Who is what in a block: for each slot its household, its role and its rank among children."""

    shapes: tuple[Kind, ...]
    households: tuple[int, ...]
    roles: tuple[Role, ...]
    ranks: tuple[int, ...]
    pair: Pair | None


def household_shape(plan: Layout, number: int) -> Kind:
    """Return the kind of a household of a block."""
    return plan.shapes[number]


def layout(seed: int, block: int) -> Layout:
    """Return how a block lives: the same for the same seed and number, always."""
    rng = generator(seed, Stream.LAYOUT, block)
    shapes = _SHAPES.draw(rng)
    households, roles, ranks = _slots(shapes)
    return Layout(
        shapes=shapes,
        households=households,
        roles=roles,
        ranks=ranks,
        pair=_pair(rng, households, roles),
    )


@cache
def _slots(
    shapes: tuple[Kind, ...],
) -> tuple[tuple[int, ...], tuple[Role, ...], tuple[int, ...]]:
    households: list[int] = []
    roles: list[Role] = []
    ranks: list[int] = []
    for number, kind in enumerate(shapes):
        people = [(Role.ALONE if kind is Kind.ALONE else Role.FIRST, 0)]
        people += [(Role.PARTNER, 0)] * (kind.adults - 1)
        people += [(Role.CHILD, rank) for rank in range(kind.children)]
        households += [number] * len(people)
        roles += [role for role, _ in people]
        ranks += [rank for _, rank in people]
    return tuple(households), tuple(roles), tuple(ranks)


def _pair(rng: Random, households: tuple[int, ...], roles: tuple[Role, ...]) -> Pair | None:
    """Draw whether two of the block share a birth, and which two.

    Twins are siblings at home or grown-ups in two households; the younger of grown-ups lives
    alone, so that no partner's or child's age or name depends on them.
    """
    chance = rng.random()
    twins = chance < TWIN_SHARE * BLOCK / 2
    if not twins and chance >= (TWIN_SHARE + HOMONYM_SHARE / _SHARE_WITH_ADULTS) * BLOCK / 2:
        return None
    children = [
        (slot, slot + 1)
        for slot in range(BLOCK - 1)
        if roles[slot] is roles[slot + 1] is Role.CHILD and households[slot] == households[slot + 1]
    ]
    last = BLOCK - 1
    adults = [(slot, last) for slot in range(last) if _grown_up(slot, households, roles)]
    if twins and children and (not adults or rng.random() < 0.4):
        first, second = children[below(rng, len(children))]
    elif adults:
        first, second = adults[below(rng, len(adults))]
    else:
        return None
    return Pair(first=first, second=second, twins=twins)


_SHARE_WITH_ADULTS = 0.75
"""Share of the shapes in which a homonym finds somebody (see `_SHAPES`)."""


def _grown_up(slot: int, households: tuple[int, ...], roles: tuple[Role, ...]) -> bool:
    """Say whether a slot is an adult in a household without children."""
    home = [
        role for number, role in zip(households, roles, strict=True) if number == households[slot]
    ]
    return Role.CHILD not in home
