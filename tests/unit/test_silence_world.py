"""The judge of silence, judged: a few invented laboratories that know nothing of its model."""

from __future__ import annotations

from statistics import median

from benchmarks.silence import Found, class_of, judge
from benchmarks.silence_world import DAYS, FIRST, JUDGED_DAYS, LEARNED_DAYS, life

LABORATORIES = 25
TREND = 1.3
"""Of the wave that all share in the judged days."""


def test_a_life_is_the_same_for_the_same_seed_and_no_other() -> None:
    one, again, other = life(1), life(1), life(2)
    assert (one.sent == again.sent).all()
    assert len(one.sent) != len(other.sent)
    assert all(FIRST <= day < FIRST + DAYS + 9 for day in one.closed | other.closed)


def test_outages_are_found_and_quiet_days_are_quiet() -> None:
    days = range(FIRST + LEARNED_DAYS, FIRST + LEARNED_DAYS + JUDGED_DAYS + 1)
    found = Found(trends=dict.fromkeys(days, TREND))
    for seed in range(LABORATORIES):
        judge(seed, found)
    assert found.judged == LABORATORIES
    assert found.false[5.0] <= 1
    assert found.false[4.0] <= 2
    hours = [
        took
        for (threshold, when, name), times in found.whole.items()
        if threshold == 4.0 and when == "working hours" and name != class_of(0)
        for took in times
    ]
    assert len(hours) >= LABORATORIES / 2
    assert median(hours) < 24
    assert max(hours) < 7 * 24
