"""Attacks on what disclosure control lets be published of made-up results, one for each seed.

Each publishes as an extraction does, puts everything that was published into one system (areas,
ages, sexes, days, seven days, weeks, six counts), and returns what an attacker finds out: what he
can show to hold somebody and fewer than the threshold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from random import Random
from typing import Final, NamedTuple

from msgspec.structs import replace

from routing import disclosure
from routing.disclosure import Block, Policy, Shown
from schemas.figures import AGE_CLASSES, SEXES, Figure, Period
from tests.support.attack import Attack, Equation, Recovered, Target
from tests.support.knowing import Knowing
from tests.support.published import (
    AGAIN,
    CONDITION,
    Leaf,
    Results,
    cell_of,
    figures_of,
    persons_in_windows,
    some_results,
)

MONDAY: Final = date(2026, 3, 2)
DEPARTMENTS: Final = ("2A", "2B", "22", "29", "35", "56", "971")
_SURE: Final = 1e-3


class World(NamedTuple):
    """What a seed makes: results of some departments, in one to three weeks."""

    departments: tuple[str, ...]
    days: list[date]
    results: Results
    policy: Policy
    persons: Results
    """Of windows."""
    is_small: bool
    """So small that what is known place by place is no burden."""
    inhabitants: int = 60_000
    """Of each area, few enough for classes."""

    def counted(
        self, results: Results | None = None, persons: Results | None = None
    ) -> list[Figure]:
        """Return the figures of some results, with their rates."""
        found = figures_of(
            self.results if results is None else results,
            self.days[0],
            self.days[-1],
            self.persons if persons is None else persons,
        )
        return [with_rates(figure, self.inhabitants) for figure in found]


def world_of(random: Random) -> World:
    """Make a world: of few results everywhere, or of many with a few of other ages now and then."""
    is_small, is_rich = random.random() < 0.3, random.random() < 0.4
    departments = random.sample(DEPARTMENTS, 3 if is_small else random.randint(3, 6))
    weeks = 1 if is_small else random.choice((1, 1, 1, 1, 2, 2, 3))
    days = [MONDAY + timedelta(days=at) for at in range(7 * weeks)]
    ages = random.sample(AGE_CLASSES, random.randint(1, 2 if is_small or is_rich else 4))
    policy = Policy(
        threshold=random.choice((5, 5, 11)),
        daily_from=random.choice((0, 3, 10)),
        settle_days=random.choice((1, 2, 3)),
        rounding=random.choice((1, 1, 1, 5)),
    )
    means = (30, 60, 120) if is_rich else (0.3, 1, 3, 8, 20, 60)
    positivity = random.choice((0.02, 0.1, 0.3, 0.8))
    results = some_results(
        random,
        {department: random.choice(means) for department in departments},
        days,
        {age: random.choice((1, 1, 5, 10)) for age in ages},
        positivity=positivity,
        unknown=0 if is_rich else random.choice((0, 0.02, 0.1)),
        elsewhere=random.choice((0, 0.005, 0.02, 0.1, 0.3)),
        kinds=random.choice(((1, 0, 0), (0.9, 0.05, 0.05), (0.6, 0.2, 0.2))),
    )
    if is_rich:
        others = [age for age in AGE_CLASSES if age not in ages]
        for _ in range(random.randint(2, 10) * weeks):
            place = random.choice(departments), random.choice(days), random.choice(others)
            for sex in SEXES:
                leaf = Leaf(*place, sex, positive=random.random() < positivity)
                results[leaf] += policy.threshold + random.randint(0, 4)
    moving = 0 if is_small else 0.1
    persons = persons_in_windows(random, results, days[0], days[-1], moving=moving)
    return World(tuple(departments), days, results, policy, persons, is_small)


def with_rates(figure: Figure, inhabitants: int) -> Figure:
    """Return a figure with its rates, as exact as they are told."""
    cases, eligible = figure.cases or 0, figure.eligible_persons or 0
    return replace(
        figure,
        population=inhabitants,
        incidence=round(100_000 * cases / inhabitants, 2),
        screening=round(100_000 * eligible / inhabitants, 2),
        positivity=round(100 * cases / eligible, 2) if eligible else None,
    )


def published(
    world: World, figures: Sequence[Figure], on: date, before: Mapping[Block, Shown]
) -> tuple[list[Figure], dict[Block, Shown]]:
    """Publish as an extraction does: block after block, each with what was said of it before."""
    shown: dict[Block, Shown] = {}
    last_week: list[Figure] = []
    for monday in world.days[::7]:
        week = "{:04d}-S{:02d}".format(*monday.isocalendar()[:2])
        labels = {week, *((monday + timedelta(days=at)).isoformat() for at in range(7))}
        of_week = [figure for figure in figures if figure.label in labels]
        block = (CONDITION, week)
        shown[block] = disclosure.decide(of_week, world.policy, on, before.get(block), last_week)
        last_week = [figure for figure in of_week if figure.period == Period.WEEK]
    return disclosure.protect(figures, world.policy, shown), shown


def one_extraction(seed: int, *, is_whole: bool = False) -> list[Recovered]:
    """Attack margins and windows of one extraction, early or late."""
    random = Random(seed)
    world = world_of(random)
    on = world.days[-1] + timedelta(random.randint(-3, 8))
    return attack_of(world, on, is_whole=is_whole)


def attack_of(world: World, on: date, *, is_whole: bool = False) -> list[Recovered]:
    """Attack what one extraction tells of a world."""
    counted = world.counted()
    shown, _ = published(world, counted, on, {})
    knowing = Knowing(world.departments, world.days)
    equations = knowing.equations(shown, base=world.policy.rounding)
    if world.is_small:
        equations += knowing.of_windows()
    few = world.policy.threshold - 1
    targets = [*knowing.targets(counted, few), *knowing.of_nowhere(counted, few)]
    attack = Attack(knowing.width, equations, is_whole=is_whole)
    return attack.recovered(targets, world.policy.threshold)


def extractions_day_after_day(seed: int) -> list[Recovered]:
    """Attack three extractions together: nothing new came, and the attacker knows it."""
    random = Random(seed)
    world = world_of(random)
    counted = world.counted()
    knowing = Knowing(world.departments, world.days)
    few = world.policy.threshold - 1
    equations: list[Equation] = []
    targets: list[Target] = []
    before: dict[Block, Shown] = {}
    for after in sorted(random.sample(range(-4, 9), 3)):
        on = world.days[-1] + timedelta(after)
        shown, before = published(world, counted, on, before)
        equations += knowing.equations(shown, base=world.policy.rounding)
        targets += knowing.targets(counted, few)
    targets += knowing.of_nowhere(counted, few)
    return Attack(knowing.width, equations).recovered(targets, world.policy.threshold)


def late_results(seed: int) -> list[Recovered]:
    """Attack two extractions between which results came late, and the attacker knows it.

    What the first extraction withheld does not come out by the second one; that it is nobody may
    be possible. What the second one withholds does not come out of it alone.
    """
    random = Random(seed)
    world = world_of(random)
    late = _some_late(random, world.results)
    first_results = world.results - late
    first_persons = Results(
        {
            leaf: sum(random.random() < 0.9 for _ in range(count))
            for leaf, count in world.persons.items()
        }
    )
    last = world.counted()
    first = same_cells(world.counted(first_results, first_persons), last)
    on = world.days[-1] + timedelta(random.randint(-2, 4))
    shown_first, before = published(world, first, on, {})
    shown_last, _ = published(world, last, on + timedelta(random.randint(0, 6)), before)
    threshold, base = world.policy.threshold, world.policy.rounding
    knowing = Knowing(world.departments, world.days, epochs=2)
    equations = knowing.equations(shown_first, 0, base) + knowing.equations(shown_last, 1, base)
    attack = Attack(knowing.width, equations)
    targets = [*knowing.targets(first, threshold - 1)]
    found = [each for each in attack.recovered(targets, threshold) if each.least > _SURE]
    knowing = Knowing(world.departments, world.days)
    attack = Attack(knowing.width, knowing.equations(shown_last, base=base))
    targets = [
        *knowing.targets(last, threshold - 1),
        *knowing.of_nowhere(last, threshold - 1),
    ]
    return found + attack.recovered(targets, threshold)


def _some_late(random: Random, results: Results) -> Results:
    """Return what comes late: some of each leaf."""
    return Results(
        {
            leaf: sum(random.random() < 0.15 for _ in range(count))
            for leaf, count in sorted(results.items())
            if leaf.kind != AGAIN
        }
    )


def same_cells(figures: Sequence[Figure], like: Sequence[Figure]) -> list[Figure]:
    """Return figures of the same cells as others, zeros where nobody was."""
    held = {cell_of(figure): figure for figure in figures}
    nothing = dict.fromkeys(
        (
            "tests", "persons", "eligible_persons", "positive_tests", "positive_persons", "cases",
        ),
        0,
    )  # fmt: skip
    return [held.get(cell_of(figure)) or replace(figure, **nothing) for figure in like]


ATTACKS: Final = (one_extraction, extractions_day_after_day, late_results)
