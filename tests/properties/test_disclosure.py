"""An attack on what is published: nobody can show of any cell that it holds somebody, and few.

Everything that was published is put into equations (areas, ages, sexes, days, seven days, weeks,
tests and positives, and one extraction after the other), and linear programming gives the most that
a withheld count can be. It must reach the threshold. Attack and attacked share no code.

Attacked besides: the persons of weeks and seven days, which are not the sums of the days' persons,
and those of unknown residence, who are in no table but are what France has more than its regions.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from datetime import date, timedelta
from random import Random
from typing import NamedTuple

import pytest
from msgspec.structs import replace

from routing.disclosure import Block, Policy, Shown, decide, protect
from schemas.figures import AGE_CLASSES, FRANCE, Figure, Period
from tests.support.attack import Attack
from tests.support.published import (
    CONDITION,
    Cell,
    Leaf,
    Results,
    cell_of,
    figures_of,
    leaves_by_cell,
    persons_in_windows,
    some_results,
)

MONDAY = date(2026, 3, 2)
DEPARTMENTS = ("2A", "2B", "22", "29", "35", "56", "971")
SLACK = 1e-3
MOST_TARGETS = 40
MOST_WINDOWS = 3

Equation = tuple[frozenset[Hashable], int]
Tag = str | date
"""Which of several tables a leaf is in."""


class World(NamedTuple):
    """What a seed makes: results of some departments, in one or two weeks."""

    departments: tuple[str, ...]
    days: list[date]
    results: Results
    policy: Policy
    persons: Results
    """Of windows."""


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
        elsewhere=random.choice((0, 0.005, 0.02, 0.1, 0.3)),
    )
    policy = Policy(
        threshold=random.choice((5, 5, 11)),
        daily_from=random.choice((0, 3, 10)),
        settle_days=random.choice((1, 2, 3)),
    )
    persons = persons_in_windows(random, results, days[0], days[-1])
    return World(tuple(departments), days, results, policy, persons)


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
        shown[block] = decide(of_week, world.policy, on, before.get(block), last_week)
        last_week = [figure for figure in of_week if figure.period == Period.WEEK]
    return protect(figures, world.policy, shown), shown


def known(
    shown: Iterable[Figure], leaves: Mapping[Cell, list[Leaf]], tags: Sequence[Tag]
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
    counted: Iterable[Figure], shown: Iterable[Figure], leaves: Mapping[Cell, list[Leaf]], most: int
) -> list[tuple[int, list[Leaf], Cell]]:
    """Return what must not be found out: counts from 1 to `most`, none of which is shown."""
    found = []
    for true, told in zip(counted, shown, strict=True):
        members = leaves.get(cell_of(true), [])
        for count, said, some in (
            (true.tests, told.tests, members),
            (true.positive_tests, told.positive_tests, [each for each in members if each.positive]),
        ):
            assert count is not None
            assert said in {None, count}
            if 0 < count <= most:
                assert said is None, cell_of(true)
                found.append((count, some, cell_of(true)))
    return found


def of_nowhere(
    results: Results, leaves: Mapping[Cell, list[Leaf]], most: int
) -> list[tuple[int, list[Leaf], Cell]]:
    """Return what must not be found out of those whose residence is unknown.

    No figure is theirs: they are what France has more than its regions.
    """
    found = []
    for cell, every in leaves.items():
        if cell[0] != FRANCE:
            continue
        members = [leaf for leaf in every if not leaf.department]
        for some in (members, [leaf for leaf in members if leaf.positive]):
            count = sum(results[leaf] for leaf in some)
            if 0 < count <= most:
                found.append((count, some, ("nowhere", *cell[1:])))
    return found


def attack_windows(
    random: Random, world: World, counted: Sequence[Figure], extractions: Sequence[list[Figure]]
) -> int:
    """Attack the persons of weeks and seven days: of each window by itself, all extractions."""
    days = sorted({leaf.day for leaf in world.persons})
    done = 0
    for ends in random.sample(days, min(MOST_WINDOWS, len(days))):
        leaves = leaves_by_cell(world.departments, [ends], of_windows=True)
        of_window = [as_tests(figure) for figure in counted if cell_of(figure) in leaves]
        tables = [
            [as_tests(figure) for figure in shown if cell_of(figure) in leaves]
            for shown in extractions
        ]
        equations = [each for table in tables for each in known(table, leaves, [ends])]
        attack = attack_on(leaves, equations, [ends])
        few = world.policy.threshold - 1
        for wanted in (
            *(targets(of_window, table, leaves, few) for table in tables),
            of_nowhere(world.persons, leaves, few),
        ):
            done += attacked(random, attack, wanted, [ends], world.policy.threshold)
    return done


def as_tests(figure: Figure) -> Figure:
    """Return a figure whose persons stand where tests do: attacked alike."""
    assert (figure.persons, figure.positive_persons) == (figure.eligible_persons, figure.cases)
    return replace(figure, tests=figure.eligible_persons, positive_tests=figure.cases)


def attacked(
    random: Random,
    attack: Attack,
    wanted: list[tuple[int, list[Leaf], Cell]],
    tags: Sequence[Tag],
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
    leaves: Mapping[Cell, list[Leaf]], equations: Iterable[Equation], tags: Sequence[Tag]
) -> Attack:
    every = {leaf for members in leaves.values() for leaf in members}
    return Attack([(tag, leaf) for tag in tags for leaf in every], equations)


def one_extraction(seed: int) -> None:
    """Margins and windows of one extraction, early or late."""
    random = Random(seed)
    world = world_of(random)
    leaves = leaves_by_cell(world.departments, world.days)
    counted = figures_of(world.results, world.days[0], world.days[-1], world.persons)
    shown, _ = published(world, counted, world.days[-1] + timedelta(random.randint(-3, 8)), {})
    attack = attack_on(leaves, known(shown, leaves, ["now"]), ["now"])
    wanted = targets(counted, shown, leaves, world.policy.threshold - 1)
    assert attacked(random, attack, wanted, ["now"], world.policy.threshold)
    wanted = of_nowhere(world.results, leaves, world.policy.threshold - 1)
    attacked(random, attack, wanted, ["now"], world.policy.threshold)
    attack_windows(random, world, counted, [shown])


def extractions_day_after_day(seed: int) -> None:
    """Nothing new came, and the attacker knows it: what each extraction shows adds up."""
    random = Random(seed)
    world = world_of(random)
    leaves = leaves_by_cell(world.departments, world.days)
    counted = figures_of(world.results, world.days[0], world.days[-1], world.persons)
    extractions = []
    equations: list[Equation] = []
    shown: list[Figure] = []
    before: dict[Block, Shown] = {}
    for after in sorted(random.sample(range(-4, 9), 3)):
        shown, before = published(world, counted, world.days[-1] + timedelta(after), before)
        extractions.append(shown)
        equations += known(shown, leaves, ["now"])
    attack = attack_on(leaves, equations, ["now"])
    wanted = targets(counted, shown, leaves, world.policy.threshold - 1)
    assert attacked(random, attack, wanted, ["now"], world.policy.threshold)
    wanted = of_nowhere(world.results, leaves, world.policy.threshold - 1)
    attacked(random, attack, wanted, ["now"], world.policy.threshold)
    attack_windows(random, world, counted, extractions)


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
@pytest.mark.parametrize("seed", range(100, 400))
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


def test_the_attack_finds_persons_of_windows_where_only_the_small_ones_are_withheld() -> None:
    random = Random(1)
    world = world_of(random)
    days = [MONDAY + timedelta(days=at) for at in range(2)]
    results = some_results(random, {"2A": 5, "2B": 20}, days, {"29": 1, "39": 1}, unknown=0)
    persons = persons_in_windows(random, results, days[0], days[-1])
    world = world._replace(
        departments=("2A", "2B"), days=days, results=results, persons=persons, policy=Policy()
    )
    counted = figures_of(results, days[0], days[-1], persons)
    naive = [
        replace(figure, eligible_persons=None, persons=None, cases=None, positive_persons=None)
        if 0 < (figure.persons or 0) < 5 or 0 < (figure.cases or 0) < 5
        else figure
        for figure in counted
    ]
    with pytest.raises(AssertionError, match="can be shown"):
        attack_windows(random, world, counted, [naive])


def test_the_attack_finds_who_is_of_unknown_residence() -> None:
    random = Random(2)
    results = some_results(random, {"2A": 90}, [MONDAY], {"39": 1}, unknown=0, elsewhere=0)
    results[Leaf("", MONDAY, "39", "F", positive=False)] = 1
    leaves = leaves_by_cell(("2A",), [MONDAY])
    counted = figures_of(results, MONDAY, MONDAY)
    attack = attack_on(leaves, known(counted, leaves, ["now"]), ["now"])
    with pytest.raises(AssertionError, match="nowhere"):
        attacked(random, attack, of_nowhere(results, leaves, 4), ["now"], 5)
