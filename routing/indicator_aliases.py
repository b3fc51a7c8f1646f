"""Pseudonyms that stand for one person: which are counted together. Pure.

A `PseudonymReplaced` says that two pseudonyms of a half-year are one person's. For counting it does
not matter which replaces which: what they join is one person, in whatever order they come, and also
while the reversal of an old one is still under way in another partition.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import NamedTuple

from .indicator_rows import Alias, RowKey

Person = tuple[str, bytes]
"""Half-year and pseudonym."""


class HeldAlias(NamedTuple):
    """An alias as kept; None where it was withdrawn."""

    version: int
    alias: Alias | None


class Aliases:
    """What joins pseudonyms. Small: it holds merges, not persons."""

    def __init__(self, held: Mapping[RowKey, HeldAlias] | None = None) -> None:
        self._held: dict[RowKey, HeldAlias] = {}
        self._beside: dict[Person, dict[Person, int]] = {}
        self.take(held or {})

    def __len__(self) -> int:
        """Return how many were told, with those that were withdrawn."""
        return len(self._held)

    def held(self, key: RowKey) -> HeldAlias | None:
        """Return what was told under a key last."""
        return self._held.get(key)

    def is_joined(self, person: Person) -> bool:
        """Say whether a pseudonym stands for the person of another, too."""
        return person in self._beside

    def take(self, changes: Mapping[RowKey, HeldAlias]) -> None:
        """Put newer aliases in the place of those of the same key."""
        for key, told in changes.items():
            before = self._held.get(key)
            if before is not None and before.alias is not None:
                self._join(before.alias, -1)
            self._held[key] = told
            if told.alias is not None:
                self._join(told.alias, 1)

    def ends(self, changes: Mapping[RowKey, HeldAlias]) -> Iterator[tuple[Person, Person]]:
        """Return the two persons of each alias that changes, as it was and as it will be."""
        for key, told in changes.items():
            for held in (self._held.get(key), told):
                if held is not None and held.alias is not None:
                    yield persons_of(held.alias)

    def together(
        self, person: Person, more: Mapping[Person, Collection[Person]] = {}
    ) -> tuple[Person, ...]:
        """Return all pseudonyms of a person, also by what `more` joins; itself where it has one."""
        if person not in self._beside and person not in more:
            return (person,)
        found = {person}
        asked = [person]
        while asked:
            each = asked.pop()
            for other in (*self._beside.get(each, ()), *more.get(each, ())):
                if other not in found:
                    found.add(other)
                    asked.append(other)
        return tuple(sorted(found))

    def parts(self, persons: Iterable[Person]) -> Iterator[tuple[Person, ...]]:
        """Return these pseudonyms by person, as they are joined now."""
        left = dict.fromkeys(persons)
        while left:
            found = self.together(next(iter(left)))
            yield found
            for each in found:
                left.pop(each, None)

    def _join(self, alias: Alias, by: int) -> None:
        old, new = persons_of(alias)
        if old == new:
            return
        for one, other in ((old, new), (new, old)):
            beside = self._beside.setdefault(one, {})
            beside[other] = beside.get(other, 0) + by
            if not beside[other]:
                del beside[other]
            if not beside:
                del self._beside[one]


def persons_of(alias: Alias) -> tuple[Person, Person]:
    """Return the two persons that an alias joins."""
    return (alias.period, alias.old), (alias.period, alias.new)
