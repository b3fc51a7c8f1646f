"""What is called flat, and what is not."""

from __future__ import annotations

import random

import pytest

from benchmarks.soak_slopes import slope_of, student


def course(per_hour: float, noise: float = 0.0, level: float = 100.0) -> list[tuple[float, float]]:
    rng = random.Random(7)
    return [
        (second, level + per_hour * second / 3_600 + rng.gauss(0, noise))
        for second in range(0, 3_600, 15)
    ]


def test_a_line_is_found_again() -> None:
    found = slope_of(course(12.0), 300)
    assert found is not None
    assert found.per_hour == pytest.approx(12.0)
    assert [found.low, found.high] == pytest.approx([12.0, 12.0])
    assert found.last - found.first == pytest.approx(11.0), "eleven blocks of five minutes apart"


@pytest.mark.parametrize(
    ("per_hour", "noise", "says"),
    [
        (0.0, 0.0, "flat"),
        (0.0, 4.0, "flat"),
        (4.0, 0.5, "flat"),
        (30.0, 4.0, "grows"),
        (-30.0, 4.0, "falls"),
        (7.0, 20.0, "unclear"),
    ],
)
def test_what_is_called_flat(per_hour: float, noise: float, says: str) -> None:
    found = slope_of(course(per_hour, noise), 300)
    assert found is not None
    assert found.verdict(5.0) == says


def test_noise_makes_the_interval_wide_and_it_holds_the_truth() -> None:
    narrow, wide = slope_of(course(10.0, 1.0), 300), slope_of(course(10.0, 10.0), 300)
    assert narrow is not None
    assert wide is not None
    assert narrow.high - narrow.low < wide.high - wide.low
    assert wide.low < 10.0 < wide.high


def test_of_two_blocks_nothing_is_said() -> None:
    assert slope_of(course(1.0)[:40], 300) is None
    assert slope_of([], 300) is None


@pytest.mark.parametrize(("free", "t"), [(1, 12.706), (10, 2.228), (20, 2.086), (60, 2.000)])
def test_student_as_the_tables_have_it(free: int, t: float) -> None:
    assert student(free) == pytest.approx(t, abs=2e-3)
