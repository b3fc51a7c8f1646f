"""An attack on what is published: nobody can show of any cell that it holds somebody, and few.

Everything that was published is put into equations (areas, ages, sexes, days, seven days, weeks,
tests and positives, and one extraction after the other), and linear programming gives the most that
a withheld count can be. It must reach the threshold. Attack and attacked share no code.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from datetime import date, timedelta
from random import Random
from typing import NamedTuple

import pytest
from msgspec.structs import replace

from routing.disclosure import Block, Policy, Shown, decide, protect
from schemas.figures import AGE_CLASSES, ALL_AGES, Figure, Period
from tests.support.attack import Attack
from tests.support.published import (
    CONDITION,
    Cell,
    Leaf,
    Results,
    cell_of,
    figures_of,
    leaves_by_cell,
    some_results,
)

MONDAY = date(2026, 3, 2)
DEPARTMENTS = ("2A", "2B", "22", "29", "35", "56", "971")
SLACK = 1e-3
MOST_TARGETS = 40

Equation = tuple[frozenset[Hashable], int]
Tag = tuple[str, Leaf]


class World(NamedTuple):
    """What a seed makes: results of some departments, in one or two weeks."""

    departments: tuple[str, ...]
    days: list[date]
    results: Results
    policy: Policy


def world_of(random: Random) -> World:
    departments = random.sample(DEPARTMENTS, random.randint(3, 6))
    days = [MONDAY + timedelta(days=at) for at in range(7 * random.choice((1, 2)))]
    results = some_results(
        random,
        {department: random.choice((0.3, 1, 3, 8, 20, 60)) for department in departments},
        days,
        {
            age: random.choice((1, 1, 5, 10))
            for age in random.sample(AGE_CLASSES, random.randint(1, 4))
        },
        positivity=random.choice((0.02, 0.1, 0.3, 0.8)),
        unknown=random.choice((0, 0.02, 0.1)),
    )
    policy = Policy(
        threshold=random.choice((5, 5, 11)),
        daily_from=random.choice((0, 3, 10)),
        settle_days=random.choice((1, 2, 3)),
    )
    return World(tuple(departments), days, results, policy)


def published(
    world: World, figures: Sequence[Figure], on: date, before: Mapping[Block, Shown]
) -> tuple[list[Figure], dict[Block, Shown]]:
    """Publish as an extraction does: block after block, each with what was said of it before."""
    shown: dict[Block, Shown] = {}
    last_week: list[Figure] = []
    for monday in world.days[::7]:
        week = "{:04d}-S{:02d}".format(*monday.isocalendar()[:2])
        labels = {week, *((monday + timedelta(days=at)).isoformat() for at in range(7))}
        of_week = [
            figure
            for figure in figures
            if figure.label in labels and figure.period != Period.SEVEN_DAYS
        ]
        block = (CONDITION, week)
        shown[block] = decide(of_week, world.policy, on, before.get(block), last_week)
        last_week = [figure for figure in of_week if figure.period == Period.WEEK]
    return protect(figures, world.policy, shown), shown


def known(
    shown: Iterable[Figure], leaves: Mapping[Cell, list[Leaf]], tags: Sequence[str]
) -> list[Equation]:
    """Return what published figures say: the sum of leaves (of all tags) is a count."""
    found: list[Equation] = []
    for figure in shown:
        members = leaves.get(cell_of(figure), [])
        for count, positive_only in ((figure.tests, False), (figure.positive_tests, True)):
            if count is not None:
                found.append(
                    (
                        frozenset(
                            (tag, leaf)
                            for tag in tags
                            for leaf in members
                            if leaf.positive or not positive_only
                        ),
                        count,
                    )
                )
    return found


def targets(
    counted: Sequence[Figure], shown: Sequence[Figure], leaves: Mapping[Cell, list[Leaf]], most: int
) -> list[tuple[int, list[Leaf], Cell]]:
    """Return what must not be found out: counts from 1 to `most`, none of which is shown.

    Not that of a sex over all ages whose ages are all unknown: docs/disclosure.md.
    """
    found = []
    aged: Counter[tuple[Cell, str]] = Counter()
    for figure in counted:
        if figure.age_class != ALL_AGES:
            of_all = replace(figure, age_class=ALL_AGES)
            aged[cell_of(of_all), "tests"] += figure.tests or 0
            aged[cell_of(of_all), "positive_tests"] += figure.positive_tests or 0
    for true, told in zip(counted, shown, strict=True):
        members = leaves.get(cell_of(true), [])
        positive = [each for each in members if each.positive]
        for field, some in (("tests", members), ("positive_tests", positive)):
            count, said = getattr(true, field), getattr(told, field)
            assert count is not None
            assert said in {None, count}
            if 0 < count <= most:
                assert said is None, cell_of(true)
                by_sex = true.age_class == ALL_AGES and true.sex
                if not by_sex or aged[cell_of(true), field]:
                    found.append((count, some, cell_of(true)))
    return found


def attacked(
    random: Random,
    attack: Attack,
    wanted: list[tuple[int, list[Leaf], Cell]],
    tags: Sequence[str],
    threshold: int,
    *,
    may_be_nobody: bool = False,
) -> int:
    """Attack some targets; return how many were attacked.

    Each must be able to reach the threshold; or, where that is enough, to be nobody.
    """
    chosen = random.sample(wanted, min(MOST_TARGETS, len(wanted)))
    for count, members, cell in chosen:
        least, most = attack.bounds((tag, leaf) for tag in tags for leaf in members)
        assert least - SLACK <= count <= most + SLACK, "the attack is wrong"
        enough = most >= threshold - SLACK or (may_be_nobody and least <= SLACK)
        assert enough, f"{cell} can be shown to be {least} to {most}, and is {count}"
    return len(chosen)


def attack_on(
    leaves: Mapping[Cell, list[Leaf]], equations: Iterable[Equation], tags: Sequence[str]
) -> Attack:
    every = {leaf for members in leaves.values() for leaf in members}
    return Attack([(tag, leaf) for tag in tags for leaf in every], equations)


def one_extraction(seed: int) -> None:
    """Margins and windows of one extraction, early or late."""
    random = Random(seed)
    world = world_of(random)
    leaves = leaves_by_cell(world.departments, world.days)
    counted = figures_of(world.results, world.days[0], world.days[-1])
    shown, _ = published(world, counted, world.days[-1] + timedelta(random.randint(-3, 8)), {})
    attack = attack_on(leaves, known(shown, leaves, ["now"]), ["now"])
    wanted = targets(counted, shown, leaves, world.policy.threshold - 1)
    assert attacked(random, attack, wanted, ["now"], world.policy.threshold)


def extractions_day_after_day(seed: int) -> None:
    """Nothing new came, and the attacker knows it: what each extraction shows adds up."""
    random = Random(seed)
    world = world_of(random)
    leaves = leaves_by_cell(world.departments, world.days)
    counted = figures_of(world.results, world.days[0], world.days[-1])
    equations: list[Equation] = []
    shown: list[Figure] = []
    before: dict[Block, Shown] = {}
    for after in sorted(random.sample(range(-4, 9), 3)):
        shown, before = published(world, counted, world.days[-1] + timedelta(after), before)
        equations += known(shown, leaves, ["now"])
    attack = attack_on(leaves, equations, ["now"])
    wanted = targets(counted, shown, leaves, world.policy.threshold - 1)
    assert attacked(random, attack, wanted, ["now"], world.policy.threshold)


def late_results(seed: int) -> None:
    """Results came late, and the attacker knows that none was taken away.

    What the first extraction withheld does not come out by the second one. Of what the second one
    withholds an attacker can learn more where he knows what came between: docs/disclosure.md.
    """
    random = Random(seed)
    world = world_of(random)
    leaves = leaves_by_cell(world.departments, world.days)
    late = Results({leaf: n for leaf, n in world.results.items() if random.random() < 0.15})
    span = (world.days[0], world.days[-1])
    last = figures_of(world.results, *span)
    first = _same_places(figures_of(world.results - late, *span), last)
    on = world.days[-1] + timedelta(random.randint(-2, 4))
    shown_first, before = published(world, first, on, {})
    shown_last, _ = published(world, last, on + timedelta(random.randint(0, 6)), before)
    equations = known(shown_first, leaves, ["first"])
    equations += known(shown_last, leaves, ["first", "late"])
    attack = attack_on(leaves, equations, ["first", "late"])
    threshold = world.policy.threshold
    wanted = targets(first, shown_first, leaves, threshold - 1)
    attacked(random, attack, wanted, ["first"], threshold, may_be_nobody=True)
    attack = attack_on(leaves, known(shown_last, leaves, ["now"]), ["now"])
    wanted = targets(last, shown_last, leaves, threshold - 1)
    attacked(random, attack, wanted, ["now"], threshold)


def _same_places(figures: list[Figure], like: list[Figure]) -> list[Figure]:
    """Return figures of the same cells as others, zeros where nobody was."""
    held = {cell_of(figure): figure for figure in figures}
    return [
        held.get(
            cell_of(figure),
            Figure(
                condition=CONDITION,
                area=figure.area,
                period=figure.period,
                label=figure.label,
                age_class=figure.age_class,
                sex=figure.sex,
                tests=0,
                persons=0,
                eligible_persons=0,
                positive_tests=0,
                positive_persons=0,
                cases=0,
                screened=0,
            ),
        )
        for figure in like
    ]


ATTACKS = (one_extraction, extractions_day_after_day, late_results)


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("seed", [103, 107, 125, 140])
def test_no_protected_cell_is_recovered(attack: object, seed: int) -> None:
    assert callable(attack)
    attack(seed)


@pytest.mark.proof
@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("seed", range(100, 180))
def test_no_protected_cell_is_recovered_of_many(attack: object, seed: int) -> None:
    assert callable(attack)
    attack(seed)


def test_the_attack_finds_cells_where_only_the_small_ones_are_withheld() -> None:
    random = Random(1)
    days = [MONDAY + timedelta(days=at) for at in range(2)]
    results = some_results(random, {"2A": 3, "2B": 20}, days, {"29": 1, "39": 1}, unknown=0)
    leaves = leaves_by_cell(("2A", "2B"), days)
    counted = figures_of(results, days[0], days[-1])
    few = [
        0 < (figure.tests or 0) < 5 or 0 < (figure.positive_tests or 0) < 5 for figure in counted
    ]
    naive = [
        replace(figure, tests=None, positive_tests=None) if is_few else figure
        for figure, is_few in zip(counted, few, strict=True)
    ]
    attack = attack_on(leaves, known(naive, leaves, ["now"]), ["now"])
    with pytest.raises(AssertionError, match="can be shown"):
        attacked(random, attack, targets(counted, naive, leaves, 4), ["now"], 5)
