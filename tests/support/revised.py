"""An attack on what extractions tell together, between which results came, or were taken away.

Weeks are told first when they have settled, and told anew at ages of their own, as an extraction
does it; the attacker has all of it, and knows that nothing was taken away (or that nothing came).
Where both happen at one revision he knows all of the one, cell by cell, and asks for the other.
Asked is each count of what came to a time between two tellings, and each count that stands.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from random import Random
from typing import Final

from msgspec.structs import replace

from routing import disclosure, disclosure_revising
from routing.disclosure import Block, Shown
from routing.disclosure_revising import Change, Place
from schemas.figures import Figure, Period
from tests.support.attack import Attack, Equation, Recovered, Target
from tests.support.attacks import World, same_cells, world_of
from tests.support.changes import changes_of_one_sign, mixed_changes, of_sign, sum_of
from tests.support.knowing import Knowing
from tests.support.published import CONDITION, FIELDS, Cell, Leaf, Results, cell_of

GROUPS: Final = {
    "tests": ("tests", "persons", "eligible_persons"),
    "positives": ("positive_tests", "positive_persons", "cases"),
}
"""What is held together, and flagged `<group>_held`."""
_GROUP_OF: Final = {field: group for group, fields in GROUPS.items() for field in fields}


def what_came(seed: int) -> list[Recovered]:
    """Attack three extractions; results come between them."""
    return _attack(seed, is_loss=False)


def what_went(seed: int) -> list[Recovered]:
    """Attack three extractions; results are withdrawn between them."""
    return _attack(seed, is_loss=True)


def what_came_while_others_went(seed: int) -> list[Recovered]:
    """Attack what came, beside results that were withdrawn or corrected; these are known."""
    return _attack(seed, is_loss=False, is_mixed=True)


def what_went_while_others_came(seed: int) -> list[Recovered]:
    """Attack what was withdrawn or corrected, beside results that came; these are known."""
    return _attack(seed, is_loss=True, is_mixed=True)


class Teller:
    """Tells as an extraction does: block after block, each as of the epoch it was told last."""

    def __init__(self, world: World, epochs: Sequence[tuple[Results, Results]]) -> None:
        self._world = world
        self._epochs = epochs
        self.policy = replace(world.policy, revision_days=(8, 22))
        self.like = world.counted(*sum_of(epochs))
        self.mondays = world.days[::7]
        self.states = dict.fromkeys(self.mondays, -1)
        self._shown: dict[Block, Shown] = {}
        self._last: dict[Place, Figure] = {}
        self._changed: dict[int, tuple[Results, Results]] = {
            sign: (Results(), Results()) for sign in (1, -1)
        }

    def tell(self, epoch: int, on: date) -> tuple[list[Figure], dict[int, list[Figure]]]:
        """Publish an extraction: return what is told in it, and what had come (1) and gone (-1)."""
        told: list[Figure] = []
        came: dict[int, list[Figure]] = {1: [], -1: []}
        for monday in self.mondays:
            age = (on - monday).days - 6
            if age < max(1, self.policy.settle_days):
                continue
            before = self._shown.get(_block(monday))
            passed = disclosure_revising.revisions_passed(self.policy, age)
            was = self.states[monday]
            if was < 0 or (before is not None and passed > before.revised):
                self.states[monday] = epoch
            told += self._tell(monday, on, was, passed, came)
        self._last = {disclosure_revising.place_of(each): each for each in told}
        return told, came

    def _tell(
        self, monday: date, on: date, was: int, passed: int, came: dict[int, list[Figure]]
    ) -> list[Figure]:
        block, earlier = _block(monday), _block(monday - timedelta(days=7))
        now = self._of(monday, self.counted())
        sunday = [f for f in self._of(monday - timedelta(days=7), self.counted())
                  if f.period == Period.WEEK]  # fmt: skip
        before = self._shown.get(block)
        shown = disclosure.decide(now, self.policy, on, before, sunday)
        gains = losses = None
        if before is not None:
            shown = replace(shown, gained=before.gained, lost=before.lost, revised=before.revised)
        if before is not None and self.states[monday] > was >= 0:
            old = self._of(monday, self.counted({**self.states, monday: was}))
            more = self._of(monday, self._change(monday, was, self.states[monday], 1))
            less = self._of(monday, self._change(monday, was, self.states[monday], -1))
            gains, losses = more, less
            came[1] += more
            came[-1] += less
            if disclosure_revising.counts_anything(more):
                gained = disclosure.decide(more, self.policy, on, before.gained)
                shown = replace(shown, gained=gained)
            if disclosure_revising.counts_anything(less):
                lost = disclosure.decide(less, self.policy, on, before.lost, (), (old, before))
                shown = replace(shown, lost=lost)
        if was < 0 or gains is not None:
            shown = replace(shown, revised=passed)
        self._shown[block] = shown
        every = {each: self._shown[each] for each in (block, earlier) if each in self._shown}
        change = None
        if any(each.gained is not None or each.lost is not None for each in every.values()):
            none = same_cells([], now)
            change = Change(
                *(
                    disclosure.protect(
                        figures or none,
                        self.policy,
                        {at: getattr(each, part) or each for at, each in every.items()},
                    )
                    for part, figures in (("gained", gains), ("lost", losses))
                )
            )
        protected = disclosure.protect(now, self.policy, every)
        return disclosure_revising.hold(protected, self._last, change)

    def counted(self, states: Mapping[date, int] | None = None) -> list[Figure]:
        """Return the figures of what is told: each day as of its week's epoch."""
        states = self.states if states is None else states
        both: tuple[Results, Results] = (Results(), Results())
        for epoch, parts in enumerate(self._epochs):
            for whole, part in zip(both, parts, strict=True):
                for leaf, count in part.items():
                    if states[_monday(leaf)] >= epoch:
                        whole[leaf] += count
        return same_cells(self._world.counted(*both), self.like)

    def changed(self, sign: int) -> dict[Cell, Figure]:
        """Return all that has come (1) or gone (-1) of what is told, since it was told first."""
        figures = same_cells(self._world.counted(*self._changed[sign]), self.like)
        return {cell_of(figure): figure for figure in figures}

    def _change(self, monday: date, was: int, is_now: int, sign: int) -> list[Figure]:
        some: list[Results] = []
        for at in (0, 1):
            net: Results = Results()
            for parts in self._epochs[was + 1 : is_now + 1]:
                for leaf, count in parts[at].items():
                    if _monday(leaf) == monday:
                        net[leaf] += count
            some.append(of_sign(net, sign))
            for leaf, count in some[-1].items():
                self._changed[sign][at][leaf] += count
        return same_cells(self._world.counted(*some), self.like)

    def _of(self, monday: date, figures: Iterable[Figure]) -> list[Figure]:
        week = _block(monday)[1]
        labels = {week, *((monday + timedelta(days=at)).isoformat() for at in range(7))}
        return [figure for figure in figures if figure.label in labels]


def _attack(seed: int, *, is_loss: bool, is_mixed: bool = False) -> list[Recovered]:
    random = Random(seed)
    world = world_of(random)
    epochs = (
        mixed_changes(random, world)
        if is_mixed
        else changes_of_one_sign(random, world, is_loss=is_loss)
    )
    teller = Teller(world, epochs)
    days, few = world.days, teller.policy.threshold - 1
    knowing = Knowing(world.departments, days, epochs=3, persons_apart=False, is_corrected=is_mixed)
    equations: list[Equation] = []
    targets: list[Target] = []
    ages = (random.randint(2, 7), random.randint(8, 21), random.randint(22, 25))
    nothing = [-1] * len(days)
    for epoch, age in enumerate(ages):
        after = [teller.states[_monday_of(day)] for day in days]
        told, came = teller.tell(epoch, days[-1] + timedelta(days=age))
        states = [teller.states[_monday_of(day)] for day in days]
        if is_loss:  # backwards in time what was taken away is what came
            after, states = _backwards(states), _backwards(after)
        standing = after if is_loss else states
        known = teller.changed(1 if is_loss else -1)
        told = [_news(figure, is_first=epoch == 0) for figure in told]
        told = [_beside(figure, known[cell_of(figure)], is_loss=is_loss) for figure in told]
        equations += knowing.equations_as_told(told, standing, world.policy.rounding)
        targets += [
            Target((*cell_of(figure), field, f"came {epoch}"), columns, count)
            for figure in came[-1 if is_loss else 1]
            for field in FIELDS
            if 0 < (count := getattr(figure, field)) <= few
            and len(columns := knowing.columns_between(cell_of(figure), field, after, states))
        ]
        targets += [
            Target((*cell_of(figure), field, f"stands {epoch}"), columns, count)
            for figure in teller.counted()
            for field in FIELDS
            if 0 < (count := getattr(figure, field)) <= few
            and not getattr(known[cell_of(figure)], field)
            and len(columns := knowing.columns_between(cell_of(figure), field, nothing, standing))
        ]
    return Attack(knowing.width, equations).recovered(targets, teller.policy.threshold)


def _beside(figure: Figure, known: Figure, *, is_loss: bool) -> Figure:
    """Return what a figure would tell had only come (or gone) what is asked for."""
    sign = -1 if is_loss else 1
    changes: dict[str, object] = {
        field: told + sign * getattr(known, field)
        for field in FIELDS
        if (told := getattr(figure, field)) is not None
    }
    return replace(figure, **changes)


def _backwards(states: Sequence[int]) -> list[int]:
    """Return epochs counted from the last; a day that is not told has none."""
    return [2 - each if each >= 0 else -1 for each in states]


def _news(figure: Figure, *, is_first: bool) -> Figure:
    """Return what a figure tells that no earlier one did: what is held is the number of before."""
    held = {group for group in GROUPS if f"{group}_held" in figure.flags}
    nothing: dict[str, object] = {field: None for field in FIELDS if _GROUP_OF[field] in held}
    nothing |= dict.fromkeys(("incidence", "positivity", "screening"))
    if not is_first:
        nothing["incidence_class"] = ""
    return replace(figure, **nothing)


def _monday(leaf: Leaf) -> date:
    return _monday_of(leaf.day)


def _monday_of(day: date) -> date:
    return day - timedelta(days=day.weekday())


def _block(monday: date) -> Block:
    year, week, _ = monday.isocalendar()
    return CONDITION, f"{year:04d}-S{week:02d}"
