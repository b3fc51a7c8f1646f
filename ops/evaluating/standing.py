"""How well records were put together: exact counts over persons and the truth. Pure.

Pairs are counted by sizes and never listed: of a person that holds n records of one truth,
n (n - 1) / 2 pairs are right. Sources: the usual definitions of pairwise precision and recall;
cluster F1 counts persons whose set of records is exactly that of one true person; B-cubed weighs
each record by how much of its person is right.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

import msgspec


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of one run. Shares of nothing are 1: nobody was put together wrongly."""

    records: int
    persons: int
    """As the matcher has them at the end."""
    true_persons: int
    pairs_right: int
    pairs_made: int
    pairs_true: int
    clusters_right: int
    """Persons that hold exactly the records of one true person."""
    b_cubed_precision: float
    """Over records: the share of a record's person that is its true person's."""
    b_cubed_recall: float
    false_links: int
    """Records linked, when they came, to a person founded by somebody else's record."""
    reviews: int
    """Records that opened a review item."""

    @property
    def pair_precision(self) -> float:
        """Share of the pairs made that are right."""
        return _share(self.pairs_right, self.pairs_made)

    @property
    def pair_recall(self) -> float:
        """Share of the true pairs that were made."""
        return _share(self.pairs_right, self.pairs_true)

    @property
    def pair_f1(self) -> float:
        """Harmonic mean of precision and recall of pairs."""
        return _share(2 * self.pairs_right, self.pairs_made + self.pairs_true)

    @property
    def cluster_f1(self) -> float:
        """Harmonic mean of precision and recall of whole clusters."""
        return _share(2 * self.clusters_right, self.persons + self.true_persons)

    @property
    def b_cubed_f1(self) -> float:
        """Harmonic mean of B-cubed precision and recall (Bagga and Baldwin 1998)."""
        both = self.b_cubed_precision + self.b_cubed_recall
        return _share(2 * self.b_cubed_precision * self.b_cubed_recall, both)

    @property
    def false_links_per_million(self) -> float:
        """False links per million records."""
        return self.false_links / self.records * 1e6 if self.records else 0.0

    @property
    def review_share(self) -> float:
        """Share of records that opened a review item."""
        return self.reviews / self.records if self.records else 0.0


class Count:
    """Takes one record after the other, with its true person and the person it was given."""

    def __init__(self) -> None:
        self._cells: Counter[tuple[int, int]] = Counter()
        self._founders: dict[int, int] = {}
        self.records = 0
        self.false_links = 0
        self.reviews = 0

    def take(self, person: int, truth: int, *, linked: bool, reviewed: bool) -> bool:
        """Count a record; say whether it is a false link."""
        self.records += 1
        self.reviews += reviewed
        self._cells[person, truth] += 1
        founder = self._founders.setdefault(person, truth)
        is_false = linked and founder != truth
        self.false_links += is_false
        return is_false

    def standing(self, ends: Mapping[int, int] | None = None) -> Standing:
        """Return the figures.

        Args:
            ends: Person -> whom they became, for persons that were merged since.
        """
        cells = self._cells
        if ends:
            cells = Counter()
            for (person, truth), size in self._cells.items():
                cells[ends.get(person, person), truth] += size
        persons: Counter[int] = Counter()
        truths: Counter[int] = Counter()
        for (person, truth), size in cells.items():
            persons[person] += size
            truths[truth] += size
        right = sum(
            1
            for (person, truth), size in cells.items()
            if size == persons[person] and size == truths[truth]
        )
        return Standing(
            records=self.records,
            persons=len(persons),
            true_persons=len(truths),
            pairs_right=_pairs(cells.values()),
            pairs_made=_pairs(persons.values()),
            pairs_true=_pairs(truths.values()),
            clusters_right=right,
            b_cubed_precision=_share(_squares(cells, persons, 0), self.records),
            b_cubed_recall=_share(_squares(cells, truths, 1), self.records),
            false_links=self.false_links,
            reviews=self.reviews,
        )


class Unions:
    """Who became whom: persons that turned out to be one. The smaller number stands for both."""

    def __init__(self) -> None:
        self._above: dict[int, int] = {}

    def end(self, person: int) -> int:
        """Return whom a person became; themselves if nothing happened to them."""
        path = []
        while person in self._above:
            path.append(person)
            person = self._above[person]
        for passed in path:
            self._above[passed] = person
        return person

    def join(self, one: int, other: int) -> None:
        """Make two persons one."""
        first, second = sorted((self.end(one), self.end(other)))
        if first != second:
            self._above[second] = first

    def ends(self) -> dict[int, int]:
        """Return everybody who became somebody else, with whom."""
        return {person: self.end(person) for person in list(self._above)}


def _pairs(sizes: Iterable[int]) -> int:
    return sum(size * (size - 1) // 2 for size in sizes)


def _squares(cells: Mapping[tuple[int, int], int], sizes: Mapping[int, int], side: int) -> float:
    return sum(size * size / sizes[cell[side]] for cell, size in cells.items())


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 1.0
