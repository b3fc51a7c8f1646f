"""hl7apy judges the same messages: each difference is of a class that a page explains.

The short part; `make proof-oracle` compares 5,000 messages and more.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from random import Random

import pytest

from tests.golden.test_corpus import COUNTS, messages_of
from tests.support.oracle import CLASSES, compare, damaged, simulated

PAGE = Path(__file__).parents[2] / "docs" / "profile-differences.md"


def test_valid_messages_get_the_same_verdict_or_a_named_difference() -> None:
    seen = Counter[str]()
    for raw in simulated(36):
        one = compare(raw)
        if one is not None:
            assert one.unexplained == ()
            seen["same"] += not one.classes
            seen["compared"] += 1
    assert seen["compared"] > 30 and seen["same"] > 3


@pytest.mark.parametrize("seed", range(4))
def test_damaged_messages_get_the_same_verdict_or_a_named_difference(seed: int) -> None:
    random = Random(seed)
    valid = simulated(40, seed=seed + 1)
    verdicts = Counter[bool]()
    for _ in range(25):
        what, raw = damaged(random.choice(valid), random)
        one = compare(raw)
        if one is not None:
            assert one.unexplained == (), what
            assert set(one.classes) <= set(CLASSES)
            verdicts[one.is_ok] += 1
    assert verdicts[True] and verdicts[False]


@pytest.mark.parametrize("name", COUNTS)
def test_messages_of_others_get_the_same_verdict_or_a_named_difference(name: str) -> None:
    for raw in messages_of(name)[:4]:
        one = compare(raw)
        if one is not None:
            assert one.unexplained == ()


def test_the_page_explains_each_class_and_no_other() -> None:
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    assert [row.split("`")[1] for row in rows] == list(CLASSES)
