"""An attack on all extractions together: nobody can show of what came that it is somebody, and few.

Three extractions of one to three weeks, told when they settle and at two revisions, between which
results come, or are withdrawn, or both (who attacks then knows all of the one). Attack and attacked
share no code (tests/support/revised.py).
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support import mutants
from tests.support.attack import Recovered
from tests.support.revised import (
    what_came,
    what_came_while_others_went,
    what_went,
    what_went_while_others_came,
)

Attacking = Callable[[int], list[Recovered]]


@pytest.mark.parametrize("attack", [what_came, what_went])
def test_nothing_is_recovered_of_what_came_between_extractions(attack: Attacking) -> None:
    assert list(map(str, attack(102))) == []


@pytest.mark.proof
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("attack", [what_came, what_went])
@pytest.mark.parametrize("seed", range(100, 250))
def test_nothing_is_recovered_of_many(attack: Attacking, seed: int) -> None:
    assert list(map(str, attack(seed))) == []


@pytest.mark.proof
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("attack", [what_came_while_others_went, what_went_while_others_came])
@pytest.mark.parametrize("seed", range(100, 200))
def test_nothing_is_recovered_where_some_came_and_others_went(attack: Attacking, seed: int) -> None:
    assert list(map(str, attack(seed))) == []


def test_the_attack_finds_what_was_not_protected_before() -> None:
    with mutants.revisions_unprotected():
        assert what_came(100)
