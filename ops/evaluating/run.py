"""Records in their order through a matcher, and what is counted of it."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from typing import Protocol

import msgspec

from schemas.decision import MatchDecision, Verdict
from schemas.patient import Traits

from .standing import Count, Standing, Unions


class Persons(Protocol):
    """What finds or makes the persons of records, in their order."""

    async def take(self, batch: Sequence[Traits]) -> list[tuple[int, MatchDecision]]:
        """Return person and decision of each record."""
        ...


class Truthful(msgspec.Struct, frozen=True, kw_only=True):
    """A record and whose it is."""

    truth: int
    traits: Traits


class Run:
    """Counts records as they are decided; holds twelve bytes of each, whatever stood in it."""

    def __init__(self) -> None:
        self.persons = array("q")
        self.verdicts = array("b")
        self._count = Count()
        self._merged = Unions()
        self._reviewed = Unions()
        self._founders: dict[int, int] = {}
        self._asked: set[tuple[int, int]] = set()

    def note(self, truth: int, person_id: int, decision: MatchDecision) -> bool:
        """Count a record; say whether it was linked to a person whom another's record founded."""
        self._founders.setdefault(person_id, truth)
        asks = self._ask(person_id, decision.contradicts)
        asks |= self._ask(person_id, decision.possible_duplicate)
        is_link = decision.verdict is Verdict.LINK
        self.persons.append(person_id)
        self.verdicts.append(2 if asks else 1 if is_link else 0)
        for other in decision.bridges:
            self._merged.join(person_id, other)
        return self._count.take(person_id, truth, linked=is_link, reviewed=asks)

    def _ask(self, person_id: int, other: int | None) -> bool:
        """Open a review item, once for a pair; a steward who knows the truth would merge it."""
        if other is None or other == person_id:
            return False
        pair = (min(person_id, other), max(person_id, other))
        if pair in self._asked:
            return False
        self._asked.add(pair)
        if self._founders.get(person_id) == self._founders.get(other):
            self._reviewed.join(person_id, other)
        return True

    @property
    def before_review(self) -> Standing:
        """The figures of the machine alone."""
        return self._count.standing(self._merged.ends())

    @property
    def after_review(self) -> Standing:
        """The figures once stewards have answered every item rightly."""
        both = Unions()
        for unions in (self._merged, self._reviewed):
            for person, end in unions.ends().items():
                both.join(person, end)
        return self._count.standing(both.ends())

    def end(self, person_id: int) -> int:
        """Return whom a person became by bridging."""
        return self._merged.end(person_id)


WORDS = ("new", "link", "review")
"""What `Run.verdicts` says; a record that opened an item is `review`, linked or not."""


async def run_all(records: Iterable[Truthful], persons: Persons, *, batch: int = 100) -> Run:
    """Take all records in their order and return the counts."""
    run = Run()
    part: list[Truthful] = []
    for record in records:
        part.append(record)
        if len(part) == batch:
            await _take(part, persons, run)
            part = []
    if part:
        await _take(part, persons, run)
    return run


async def _take(part: list[Truthful], persons: Persons, run: Run) -> None:
    found = await persons.take([record.traits for record in part])
    for record, (person_id, decision) in zip(part, found, strict=True):
        run.note(record.truth, person_id, decision)
