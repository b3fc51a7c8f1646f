"""An attack on what is published: nobody can show of any cell that it holds somebody, and few.

Everything that was published is put into one system of equations (areas, ages, sexes, days, seven
days, weeks, six counts, and one extraction after the other), and linear programming gives the most
that a withheld count can be. It must reach the threshold. Attack and attacked share no code.

That the attack is one: it finds each of a list of known defects, put into the rules.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
import pytest

from tests.support import mutants
from tests.support.attack import Attack, Equation, Recovered, Target
from tests.support.attacks import ATTACKS, one_extraction

Attacking = Callable[[int], list[Recovered]]


@pytest.mark.parametrize(
    ("attack", "seed"), [*((attack, 102) for attack in ATTACKS), (one_extraction, 105)]
)
def test_no_protected_cell_is_recovered(attack: Attacking, seed: int) -> None:
    assert list(map(str, attack(seed))) == []


@pytest.mark.proof
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("seed", range(100, 400))
def test_no_protected_cell_is_recovered_of_many(attack: Attacking, seed: int) -> None:
    assert list(map(str, attack(seed))) == []


FOUND_BY: Final = {
    mutants.no_secondary: (106, one_extraction),
    mutants.residence_unknown: (102, one_extraction),
    mutants.windows_without_persons: (101, one_extraction),
    mutants.limits_level_by_level: (105, one_extraction),
    mutants.zeros_are_told: (100, one_extraction),
    mutants.rounded_instead: (106, one_extraction),
}
"""Defect -> a seed that finds it."""


@pytest.mark.parametrize("defect", FOUND_BY, ids=lambda each: str(each.__name__))
def test_the_attack_finds_a_known_defect(defect: mutants.Mutant) -> None:
    seed, attack = FOUND_BY[defect]
    with defect():
        assert attack(seed)


def columns(*numbers: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.array(numbers, dtype=np.int64)


def test_what_follows_by_subtraction_is_found() -> None:
    attack = Attack(3, [Equation(columns(0, 1, 2), 40, 40), Equation(columns(0, 1), 37, 37)])
    wanted = [Target(("third",), columns(2), 3), Target(("first",), columns(0), 4)]
    assert attack.recovered(wanted, 5) == [Recovered(("third",), 3, 3.0, 3.0)]


def test_what_lies_between_two_is_found() -> None:
    known = [Equation(columns(0, 1), 20, 24), Equation(columns(0), 19, 19)]
    found = Attack(2, known).recovered([Target(("second",), columns(1), 3)], 11)
    assert found == [Recovered(("second",), 3, 1.0, 5.0)]


def test_a_count_that_is_no_more_than_another_is_used() -> None:
    known = [Equation(columns(0), 3, 3), Equation(columns(0), 0, np.inf, columns(1))]
    found = Attack(2, known).recovered([Target(("persons",), columns(1), 2)], 5)
    assert found == [Recovered(("persons",), 2, 0.0, 3.0)]


def test_sums_of_systems_that_are_apart_are_added() -> None:
    known = [Equation(columns(0, 1), 3, 3), Equation(columns(2, 3), 3, 3)]
    attack = Attack(4, known)
    assert not attack.recovered([Target(("both",), columns(0, 2), 2)], 5)
    assert attack.recovered([Target(("both",), columns(0, 2), 2)], 7)


def test_whole_numbers_tell_more() -> None:
    pairs = [(0, 1), (1, 2), (0, 2)]
    known = [
        Equation(columns(first + at, second + at), 0, 1)
        for at in (0, 3, 6, 9)
        for first, second in pairs
    ]
    wanted = [Target(("each half, or one of three",), np.arange(12), 4)]
    assert not Attack(12, known).recovered(wanted, 5)
    assert [each.most for each in Attack(12, known, is_whole=True).recovered(wanted, 5)] == [4.0]
