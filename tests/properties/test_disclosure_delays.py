"""An attack on published delays: no class that is withheld can be shown to hold few."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, timedelta
from random import Random
from typing import NamedTuple

import numpy as np
import pytest
from msgspec.structs import replace

from routing.delays import DELAYS, ShownDelays, WeekTests, decide_delays, delay_figures
from routing.disclosure import Policy, decide, protect
from routing.disclosure_classes import Levels, area_bins
from schemas.figures import FRANCE, DelayFigure
from tests.support import attack as attacks
from tests.support.attack import Attack
from tests.support.published import CONDITION, Results, figures_of, some_results
from tests.support.published_delays import (
    Equation,
    Sample,
    Tests,
    by_department,
    known_of_delays,
    known_of_tests,
    members,
    with_delays,
)

MONDAY = date(2026, 3, 2)
DAYS = [MONDAY + timedelta(days=at) for at in range(7)]
WEEK = "2026-S10"
DEPARTMENTS = ("2A", "2B", "22", "29", "35", "56", "971")
MOST_TARGETS = 40

Target = tuple[str, int, frozenset[Sample]]


class World(NamedTuple):
    departments: tuple[str, ...]
    results: Results
    tests: Tests
    policy: Policy


def world_of(random: Random) -> World:
    departments = tuple(random.sample(DEPARTMENTS, random.randint(3, 6)))
    results = some_results(
        random,
        {department: random.choice((0.3, 1, 3, 8, 20, 60, 200)) for department in departments},
        DAYS,
        {"39": 1},
        unknown=0,
        elsewhere=random.choice((0, 0.005, 0.05, 0.3)),
    )
    unknown, slow = random.choice((0, 0.01, 0.1)), random.choice((0, 0.01, 0.05, 0.3))
    return World(
        departments,
        results,
        with_delays(random, results, unknown=unknown, slow=slow),
        Policy(threshold=random.choice((5, 5, 11)), daily_from=random.choice((0, 3, 10))),
    )


def published(
    world: World, told: Callable[[WeekTests, ShownDelays], ShownDelays] | None = None
) -> tuple[list[Equation], list[DelayFigure]]:
    """Return what is known of tests, and the delays that are told; `told` spoils the decision."""
    counted = figures_of(world.results, DAYS[0], DAYS[-1])
    of_week = [each for each in counted if each.label == WEEK or each.period == "day"]
    on = DAYS[-1] + timedelta(days=22)
    shown = decide(of_week, world.policy, on)
    figures = protect(of_week, world.policy, {(CONDITION, WEEK): shown})
    bins = by_department(world.tests, DAYS)
    # Who is imputed is a division of its own, and the simplest: it is attacked as delays of
    # 0 and more would be.
    tests = WeekTests(delays=bins, imputed={k: [[sum(d), 0] for d in v] for k, v in bins.items()})
    decided = decide_delays(tests, shown, world.policy)
    if told is not None:
        decided = told(tests, decided)
    delays = delay_figures(CONDITION, WEEK, tests, decided, world.policy)
    return known_of_tests(figures, world.departments, DAYS), delays


def targets(world: World, delays: Iterable[DelayFigure]) -> list[Target]:
    """Return what must not be found out: classes of any level that hold few."""
    told = {members for members, _ in known_of_delays(delays, world.departments, DAYS)}
    found: dict[frozenset[Sample], Target] = {}
    spans: list[tuple[str, Sequence[date]]] = [(FRANCE, [day]) for day in DAYS]
    spans += [(area, DAYS) for area in area_bins(by_department(world.tests, DAYS))]
    for area, days in spans:
        every = list(members(area, world.departments, days))
        for level in DELAYS.levels:
            for bins in level:
                some = frozenset(test for test in every if test.bin in bins)
                count = sum(world.tests[test] for test in some)
                if 0 < count < world.policy.threshold:
                    assert some not in told, f"{area} is told to have {count}"
                    found[some] = (f"{area} {days[0]} {bins}", count, some)
    return list(found.values())


def attack(random: Random, world: World, known: list[Equation], delays: list[DelayFigure]) -> int:
    """Attack some of them; each must be able to reach the threshold."""
    column = {leaf: at for at, leaf in enumerate(members(FRANCE, world.departments, DAYS))}
    every = known + known_of_delays(delays, world.departments, DAYS)
    for some, count in every:
        assert sum(world.tests[test] for test in some) == count, "what is known is wrong"
    attacker = Attack(len(column), [_equation(column, some, count) for some, count in every])
    wanted = targets(world, delays)
    chosen = random.sample(wanted, min(MOST_TARGETS, len(wanted)))
    found = attacker.recovered(
        [
            attacks.Target(name=(name,), columns=_columns(column, some), truth=count)
            for name, count, some in chosen
        ],
        world.policy.threshold,
    )
    assert not found, "\n".join(map(str, found))
    return len(chosen)


def _columns(column: Mapping[Sample, int], some: Iterable[Sample]) -> attacks.Columns:
    return np.array(sorted(column[each] for each in some), dtype=np.int64)


def _equation(column: Mapping[Sample, int], some: Iterable[Sample], count: int) -> attacks.Equation:
    return attacks.Equation(columns=_columns(column, some), least=count, most=count)


def one_week(seed: int) -> int:
    random = Random(seed)
    world = world_of(random)
    known, delays = published(world)
    attack(random, world, known, delays)
    return sum(bool(each.classes) for each in delays)


def test_no_class_that_is_withheld_is_recovered() -> None:
    told = [one_week(seed) for seed in range(4)]
    assert sum(told) > 15, "an attack on what tells nothing shows nothing"


@pytest.mark.proof
@pytest.mark.parametrize("seed", range(1_000, 1_400))
def test_no_class_that_is_withheld_is_recovered_of_many(seed: int) -> None:
    one_week(seed)


def without_sisters(tests: WeekTests, decided: ShownDelays) -> ShownDelays:
    """Each area tells as finely as its own classes allow, whatever follows for its sisters."""
    policy = Policy()
    levels = {}
    for area, days in area_bins(tests.delays).items():
        week = [sum(each) for each in zip(*days, strict=True)]
        for level, classes in enumerate(DELAYS.levels):
            if all(policy.safe(sum(week[each] for each in some)) for some in classes):
                levels[area] = level
                break
    return replace(decided, delays=Levels(areas=levels))


def test_the_attack_finds_classes_where_sisters_tell_all_they_can() -> None:
    found = [seed for seed in range(4) if _is_found(seed)]
    assert len(found) >= 2


def _is_found(seed: int) -> bool:
    random = Random(seed)
    world = world_of(random)._replace(policy=Policy())
    known, delays = published(world, without_sisters)
    try:
        attack(random, world, known, delays)
    except AssertionError as error:
        return "can be shown" in str(error)
    return False
