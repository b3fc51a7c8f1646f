"""Attacks on worlds in which nearly everybody is positive, or hardly anybody; in few cells.

Positives are at most the tests that are told. Where they nearly are, there is little room for what
an area withholds to be elsewhere, and that ties a region to its departments: also a region that
itself has few positives of a class.
"""

from __future__ import annotations

from datetime import timedelta
from random import Random
from typing import Final

from routing.disclosure import Policy
from schemas.figures import AGE_CLASSES, SEXES
from tests.support.attack import Recovered
from tests.support.attacks import MONDAY, World, attack_of
from tests.support.published import AGAIN, Leaf, Results

_COUNTRY: Final = ("2A", "2B", "22", "29", "35", "56", "971")
"""Of regions with two, four and one department."""
_LATE: Final = 8


def tight_positives(seed: int) -> list[Recovered]:
    """Attack one extraction of a few cells in which positives are nearly all, or few."""
    return attack_of(tight_world(Random(seed)), MONDAY + timedelta(days=6 + _LATE))


def tight_world(random: Random) -> World:
    """Make a world of one week: two or three regions, few days and ages with anybody."""
    departments = random.sample(_COUNTRY, random.randint(3, 6))
    days = [MONDAY + timedelta(days=at) for at in range(7)]
    ages = random.sample(AGE_CLASSES, random.randint(1, 3))
    policy = Policy(daily_from=random.choice((0, 0, 3)))
    unknown = random.choice((0, 0, 0.3))
    results = Results()
    for day in random.sample(days, random.randint(1, 2)):
        for department in departments:
            for age in ages:
                for sex in SEXES:
                    _fill(random, results, Leaf(department, day, age, sex, positive=True))
            if random.random() < unknown:
                age, sex = random.choice(((ages[0], "U"), ("", "U"), ("", "F"), ("", "M")))
                leaf = Leaf(department, day, age, sex, positive=random.random() < 0.5)
                results[leaf] += random.choice((1, 3, 5, 8))
    persons = Results()
    for leaf, count in results.items():
        for end in days[leaf.day.weekday() :]:
            persons[leaf._replace(day=end)] += count * (leaf.kind != AGAIN)
    return World(tuple(departments), days, results, policy, persons, is_small=False)


def _fill(random: Random, results: Results, positive: Leaf) -> None:
    """Put tests into a place, and make all, nearly all, few or none of them positive."""
    tests = random.choice((0, 3, 5, 6, 7, 8, 10, 14))
    positives = min(tests, random.choice((0, 0, 1, 2, 3, 4, tests - 1, tests, tests, tests // 2)))
    results[positive] += max(0, positives)
    results[positive._replace(positive=False)] += tests - max(0, positives)
