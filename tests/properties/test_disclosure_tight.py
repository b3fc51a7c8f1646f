"""An attack on worlds in which nearly all tests are positive, or hardly one is.

What is told of positives limits tests from below, and what is told of tests limits positives from
above, in all levels together (tests/support/tight.py).
"""

from __future__ import annotations

import pytest

from tests.support import mutants
from tests.support.tight import tight_positives


@pytest.mark.parametrize("seed", [16, 30, 88, 95, 131, 156])
def test_nothing_is_recovered_where_positives_leave_no_room(seed: int) -> None:
    assert list(map(str, tight_positives(seed))) == []


@pytest.mark.proof
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", range(300))
def test_nothing_is_recovered_of_many(seed: int) -> None:
    assert list(map(str, tight_positives(seed))) == []


@pytest.mark.parametrize(
    ("defect", "seed"),
    [
        (mutants.limits_that_are_told, 29),
        (mutants.tests_without_positives, 30),
        (mutants.class_of_each, 88),
        (mutants.sexes_of_unknown_age, 156),
        (mutants.regions_without_departments, 131),
    ],
)
def test_the_attack_finds_a_known_defect(defect: mutants.Mutant, seed: int) -> None:
    with defect():
        assert tight_positives(seed)
