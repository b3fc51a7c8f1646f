"""What a steward's word leads to: who is merged into whom, what goes where at an unmerge. Pure.

This module decides; `ops/stewards` reads, locks and writes, in the transaction script of
`ops/dispatch.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Final
from uuid import UUID

import msgspec

from schemas.errors import PermanentError

_LONGEST_WAY: Final = 10_000


class PairVerdict(StrEnum):
    """What a steward says of two persons; final for the pair until a steward changes it."""

    SAME = "same"
    DIFFERENT = "different"
    LATER = "later"


class Action(StrEnum):
    """What a verdict asks for."""

    MERGE = "merge"
    UNMERGE = "unmerge"
    NOTE = "note"
    """The persons stay as they are; the verdict is kept."""


class Pointers(msgspec.Struct, frozen=True, kw_only=True):
    """Who is merged into whom, of everybody that some persons stand for."""

    into: dict[int, int | None]

    def end_of(self, person_id: int) -> int:
        """Return whom a person stands for now: itself, or the end of its pointers."""
        return self.way_of(person_id)[-1]

    def way_of(self, person_id: int) -> list[int]:
        """Return a person and whom it leads to, to the end."""
        way = [person_id]
        while (after := self.into[way[-1]]) is not None:
            way.append(after)
            assert len(way) < _LONGEST_WAY, "pointers in a circle"
        return way

    def below(self, person_id: int) -> set[int]:
        """Return a person and everybody merged into it."""
        return {each for each in self.into if person_id in self.way_of(each)}

    def between(self, one: int, other: int) -> list[int]:
        """Return whose pointers join two persons of one end; one alone is the merge to undo."""
        mine, theirs = self.way_of(one), self.way_of(other)
        shared = set(mine) & set(theirs)
        return [each for each in (*mine, *theirs) if each not in shared]


def action_of(verdict: PairVerdict, *, joined: bool) -> Action:
    """Return what a verdict on two persons asks for, given whether they are one now."""
    if verdict is PairVerdict.SAME and not joined:
        return Action.MERGE
    if verdict is PairVerdict.DIFFERENT and joined:
        return Action.UNMERGE
    return Action.NOTE


def kept_of(one: int, other: int) -> tuple[int, int]:
    """Return (kept, gone) of two persons that become one: the older number is kept.

    So the pseudonym that was longest in the streams is the one that stays.
    """
    return min(one, other), max(one, other)


def pair_of(one: int, other: int) -> tuple[int, int]:
    """Return two persons as a verdict names them: the lower number first."""
    if one == other:
        raise PermanentError("same_person", "name two persons")
    return min(one, other), max(one, other)


def check_no_other_verdict(
    pair: tuple[int, int], standing: Mapping[tuple[int, int], str], pointers: Pointers
) -> None:
    """Refuse a merge that would join two persons of whom a steward said that they differ.

    Args:
        pair: Of whom the steward now says `same`: their own earlier verdict is replaced.
        standing: Verdicts between persons of both sides.
        pointers: As they stand before the merge.

    Raises:
        PermanentError: `verdicts_contradict`, with the pair whose verdict is to be changed first.
    """
    ends = {pointers.end_of(pair[0]), pointers.end_of(pair[1])}
    for (one, other), verdict in sorted(standing.items()):
        if verdict != PairVerdict.DIFFERENT or (one, other) == pair:
            continue
        if {pointers.end_of(one), pointers.end_of(other)} == ends:
            raise PermanentError(
                "verdicts_contradict",
                f"persons {one} and {other} were said to be different: change that verdict first",
            )


# -------------------------------------------------------------------------------- unmerge


class Side(StrEnum):
    """Whose a record is after an unmerge."""

    KEPT = "kept"
    GONE = "gone"
    NEITHER = "neither"
    """Nobody can say: a person of its own, and review items beside it."""


class Came(msgspec.Struct, frozen=True, kw_only=True):
    """What came while two persons were one: a record, or a set of traits without one at hand."""

    place: tuple[int, int] | None
    alias: UUID
    keys: frozenset[int]
    numbers: Mapping[UUID, int] = {}
    """Its qualified INS: digest -> blocking key."""


class Rows(msgspec.Struct, frozen=True, kw_only=True):
    """Identity rows of one person: digests of traits and INS, and blocking keys."""

    aliases: frozenset[UUID] = frozenset()
    ins: frozenset[UUID] = frozenset()
    keys: frozenset[int] = frozenset()

    def without(self, other: Rows) -> Rows:
        """Return the rows that the other has not."""
        return Rows(
            aliases=self.aliases - other.aliases,
            ins=self.ins - other.ins,
            keys=self.keys - other.keys,
        )

    def both(self, other: Rows) -> Rows:
        """Return the rows that both have."""
        return Rows(
            aliases=self.aliases & other.aliases,
            ins=self.ins & other.ins,
            keys=self.keys & other.keys,
        )

    def __bool__(self) -> bool:
        """Say whether there is any."""
        return bool(self.aliases or self.ins or self.keys)


def sides_of(
    came: Sequence[Came], judge: Callable[[int], Side], learn: Callable[[int, Side], None]
) -> list[Side]:
    """Decide again about what came during a merge, in its order; each sees those before it.

    Args:
        came: In the order in which it was accepted.
        judge: Says by place in `came` whose it is, of the two persons as they were and have learnt.
        learn: Is told the side, so that the next one is judged with it.
    """
    sides = []
    for at in range(len(came)):
        side = judge(at)
        learn(at, side)
        sides.append(side)
    return sides


def rows_of(came: Iterable[Came], attached: Collection[UUID]) -> Rows:
    """Return what a person is known by through some records.

    Args:
        came: The records.
        attached: INS that were given to the person; another's number leads nobody here.
    """
    aliases: set[UUID] = set()
    ins: set[UUID] = set()
    keys: set[int] = set()
    for each in came:
        aliases.add(each.alias)
        ins |= each.numbers.keys() & set(attached)
        others = {key for digest, key in each.numbers.items() if digest not in attached}
        keys |= each.keys - others
    return Rows(aliases=frozenset(aliases), ins=frozenset(ins), keys=frozenset(keys))


def taken_from(gained: Rows, moved: Rows, stays: Rows) -> Rows:
    """Return which rows a person loses at an unmerge: gained since, of what moves, of nothing else.

    What it had before, and what is needed by a record that stays, is never taken.
    """
    return gained.both(moved).without(stays)
