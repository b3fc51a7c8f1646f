"""What is called flat, and what is not."""

from __future__ import annotations

import random

import pytest

from benchmarks.soak_slopes import slope_of, student
from benchmarks.soak_stalls import stalls_of


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


def test_the_door_is_told_apart_by_whether_a_base_backup_is_copied() -> None:
    def seen(*, backs_up: bool, p50: float, longest: float, count: int = 9) -> dict[str, object]:
        due = {"count": count} if not count else {"count": count, "p50": p50, "p99": 2 * p50}
        return {"backs_up": backs_up, "due_to_ack": {**due, "max": longest}}

    found = stalls_of(
        [
            seen(backs_up=True, p50=0.010, longest=0.5),
            seen(backs_up=True, p50=0.030, longest=0.1),
            seen(backs_up=False, p50=0.001, longest=0.2),
            seen(backs_up=False, p50=9.0, longest=9.0, count=0),
        ]
    )
    taken, none = found["a base backup is taken"], found["none is taken"]
    assert (taken.samples, taken.p50, taken.p99, taken.longest) == (2, 20, 40, 500)
    assert (none.samples, none.p50, none.longest) == (1, 1, 200)
