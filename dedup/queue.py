"""What a steward is asked: which decisions open review items, how urgent, and how many. Pure."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec

from schemas.decision import MatchDecision

POSSIBLE_DUPLICATE: Final = "possible_duplicate"

_INS_GUARDS: Final = frozenset(
    {"same_ins_other_traits", "two_qualified_ins", "nia_against_nir", "twin_ins"}
)
_DUPLICATE_GUARDS: Final = frozenset({POSSIBLE_DUPLICATE, "several_of_same_traits"})


class ItemKind(StrEnum):
    """What sort of question an item is."""

    GUARD = "guard"
    """A guard, or the score, stopped the machine before a link."""
    DUPLICATE = "duplicate"
    """Two persons that may be one."""
    INS = "ins"
    """An INS contradicts: somebody else's card, or one person with two numbers."""
    UNMERGE = "unmerge"
    """What came during a merge, and belongs to neither side for certain."""
    STEWARD = "steward"
    """Proposed by a steward; another one confirms."""


class Priority:
    """1 first. An INS that contradicts may stand in a wrong dossier; a duplicate counts twice."""

    FIRST: Final = 1
    SECOND: Final = 2
    LAST: Final = 3
    ALL: Final = (1, 2, 3)


class NewItem(msgspec.Struct, frozen=True, kw_only=True):
    """An item that a decision asks for."""

    other_person_id: int
    guard: str
    kind: ItemKind
    priority: int
    bits: int | None
    """Thousandths of a bit of the record against the other; None where nothing was compared."""


def items_of(decision: MatchDecision) -> list[NewItem]:
    """Return the items that a decision asks for, each person once; the more urgent first."""
    asked: dict[int, str] = {}
    if decision.contradicts is not None:
        asked[decision.contradicts] = decision.guard
    if decision.possible_duplicate is not None:
        asked.setdefault(decision.possible_duplicate, POSSIBLE_DUPLICATE)
    totals = {each.person_id: each.total for each in decision.candidates}
    return [
        NewItem(
            other_person_id=other,
            guard=guard,
            kind=kind_of(guard),
            priority=priority_of(guard),
            bits=totals.get(other),
        )
        for other, guard in asked.items()
    ]


def kind_of(guard: str) -> ItemKind:
    """Return what sort of question a guard asks."""
    if guard in _INS_GUARDS:
        return ItemKind.INS
    return ItemKind.DUPLICATE if guard in _DUPLICATE_GUARDS else ItemKind.GUARD


def priority_of(guard: str) -> int:
    """Return how urgent a guard's question is."""
    kind = kind_of(guard)
    if kind is ItemKind.INS:
        return Priority.FIRST
    return Priority.LAST if kind is ItemKind.DUPLICATE else Priority.SECOND


class ReviewBudget:
    """Keeps the items that a process opens to a share of its records.

    Every record pays in `share` of an item, up to `burst`; every item costs one. The last part of
    what is there is kept for the urgent: priority 3 leaves half of it, priority 2 a quarter. So
    over any run of records at most `share` of them and `burst` more are asked about, and what is
    not asked is what matters least.

    Args:
        share: Items a record, 0 to 1.
        burst: The most that may be saved up; what a process starts with.
    """

    def __init__(self, share: float, burst: int) -> None:
        self._share = share
        self._burst = burst
        self._left = float(burst)
        self._floor = {
            Priority.FIRST: 0.0,
            Priority.SECOND: burst / 4,
            Priority.LAST: burst / 2,
        }

    def pay_in(self, records: int) -> None:
        """Count records that were decided."""
        self._left = min(float(self._burst), self._left + self._share * records)

    def take(self, priority: int) -> bool:
        """Say whether an item may be opened, and pay for it."""
        if self._left - 1 < self._floor[priority]:
            return False
        self._left -= 1
        return True
