"""How much of the last days has come: what is promised in docs/nowcast.md."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import date
from itertools import accumulate, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routing.nowcast import (
    DEFAULT,
    Learned,
    Triangle,
    estimate,
    estimate_over,
    learn,
)
from routing.nowcast_spread import Z_80, Z_95, bounds

MONDAY = date(2026, 3, 2).toordinal()
DAYS = 120


def made(
    level: Callable[[int], int], shares: Callable[[int], list[float]], through: int = MONDAY
) -> dict[int, list[int]]:
    """Days that come in exactly as their shares say, cut at the evening of `through`."""
    triangle: dict[int, list[int]] = {}
    for day in range(through - DAYS, through + 1):
        total, upto = level(day), list(accumulate(shares(day)))
        come = [round(total * each) for each in upto]
        counts = [come[0], *(now - before for before, now in pairwise(come))]
        triangle[day] = counts[: through - day + 1]
    return triangle


def alike(_: int) -> list[float]:
    return [0.4, 0.3, 0.2, 0.1]


def open_days(day: int) -> list[float]:
    """What is due on a Sunday comes on Monday."""
    shares = [*alike(day), 0.0]
    for delay in range(4):
        if date.fromordinal(day + delay).isoweekday() == 7:
            shares[delay + 1] += shares[delay]
            shares[delay] = 0.0
    return shares


def learned_of(triangle: Triangle, through: int = MONDAY) -> Learned:
    learned = learn(triangle, through)
    assert learned is not None
    return learned


@pytest.mark.parametrize(("before", "share"), [(0, 0.4), (1, 0.7), (2, 0.9), (3, 1.0), (30, 1.0)])
def test_the_share_that_usually_comes_is_found_again(before: int, share: float) -> None:
    triangle = made(lambda _: 10_000, alike)
    answer = estimate(learned_of(triangle), triangle, MONDAY - before)
    assert answer.share == pytest.approx(share, abs=0.002)
    assert answer.expected == pytest.approx(10_000, rel=0.005)
    assert answer.reported == round(10_000 * share)


def test_days_of_the_week_have_their_own_delays() -> None:
    triangle = made(lambda _: 10_000, open_days)
    learned = learned_of(triangle)
    saturday, sunday = MONDAY - 2, MONDAY - 1
    at_monday = [estimate(learned, triangle, day).share for day in (saturday, sunday, MONDAY)]
    assert at_monday == pytest.approx([0.9, 0.7, 0.4], abs=0.01)


@pytest.mark.parametrize("weekly", [2.0, 0.5])
def test_an_epidemic_that_grows_or_falls_does_not_bend_the_estimate(weekly: float) -> None:
    triangle = made(lambda day: int(100_000 * weekly ** ((day - MONDAY) / 7)), alike)
    assert estimate(learned_of(triangle), triangle, MONDAY).share == pytest.approx(0.4, abs=0.01)


def test_what_the_day_itself_holds_beside_others_does_not_matter() -> None:
    """A true decline stays one: no level of other days is drawn in."""
    quiet = made(lambda day: 1_000 if day == MONDAY else 10_000, alike)
    answer = estimate(learned_of(quiet), quiet, MONDAY)
    assert answer.expected == pytest.approx(1_000, rel=0.02)


def test_a_true_value_lies_in_the_interval_as_often_as_said() -> None:
    """Chance of arrivals alone, 200 evenings; the whole evaluation: benchmarks/nowcast.py."""
    lots = random.Random(20260306)
    inside_80 = inside_95 = 0
    for evening in range(200):
        through = MONDAY + evening % 7
        true, triangle = 0, {}
        for day in range(through - 90, through + 1):
            delays = lots.choices(range(4), alike(day), k=lots.randrange(30, 60))
            counts = [delays.count(delay) for delay in range(4)]
            triangle[day] = counts[: through - day + 1]
            true = sum(counts)
        answer = estimate(learned_of(triangle, through), triangle, through)
        assert answer.share_80 is not None
        assert answer.share_95 is not None
        inside_80 += answer.share_80.low <= answer.reported / true <= answer.share_80.high
        inside_95 += answer.share_95.low <= answer.reported / true <= answer.share_95.high
    assert 150 <= inside_80 <= 185
    assert 182 <= inside_95 <= 200


def test_seven_days_together_are_between_their_days() -> None:
    triangle = made(lambda _: 10_000, alike)
    days = range(MONDAY - 6, MONDAY + 1)
    week = estimate_over(learned_of(triangle), triangle, days)
    assert week.share == pytest.approx((0.4 + 0.7 + 0.9 + 4) / 7, abs=0.002)
    assert week.share_95 is not None
    assert week.share_95.low <= 0.857 <= week.share_95.high


def test_what_comes_today_counts_as_come_and_is_not_learned_from() -> None:
    through = MONDAY - 1
    triangle = dict(made(lambda _: 10_000, alike))
    triangle[MONDAY - 1] = [4_000, 1_000]  # today brought a third of what it will bring
    triangle[MONDAY] = [100]
    learned = learned_of(triangle, through)
    yesterday = estimate(learned, triangle, through)
    assert yesterday.reported == 5_000
    assert yesterday.share == pytest.approx(0.5, abs=0.01)
    today = estimate(learned, triangle, MONDAY)
    assert (today.reported, today.share, today.share_95) == (100, None, None)


def test_tests_that_are_complete_as_they_are_make_a_day_more_complete() -> None:
    triangle = made(lambda _: 10_000, alike)
    answer = estimate(learned_of(triangle), triangle, MONDAY, settled=6_000)
    assert answer.reported == 10_000
    assert answer.share == pytest.approx(10_000 / 16_000, abs=0.01)


def test_days_on_which_nobody_received_are_not_learned_from() -> None:
    """The hub was away for two days a fortnight ago, and made up for it on the next."""
    usual = made(lambda _: 10_000, alike)
    away = {MONDAY - 14, MONDAY - 13}
    triangle = {}
    for day, counts in usual.items():
        moved = [0] * max(len(counts), 1)
        for delay, count in enumerate(counts):
            at = day + delay
            while at in away:
                at += 1
            moved += [0] * (at - day - len(moved) + 1)
            moved[at - day] += count
        triangle[day] = moved
    learned = learned_of(triangle)
    assert learned.idle == {MONDAY - 14, MONDAY - 13, MONDAY - 12}
    assert estimate(learned, triangle, MONDAY).share == pytest.approx(0.4, abs=0.01)


def test_while_the_hub_is_away_days_since_have_no_estimate() -> None:
    triangle = {
        day: counts[: max(0, MONDAY - 1 - day)]
        for day, counts in made(lambda _: 10_000, alike).items()
    }
    learned = learned_of(triangle)
    assert learned.through == MONDAY - 2
    assert estimate(learned, triangle, MONDAY).share is None
    assert estimate(learned, triangle, MONDAY - 2).share == pytest.approx(0.4, abs=0.01)


@pytest.mark.parametrize(
    "triangle",
    [
        {},
        {day: [1] for day in range(MONDAY - 3, MONDAY + 1)},
        {day: [10_000] for day in range(MONDAY - DEFAULT.delays + 1, MONDAY + 1)},
    ],
    ids=["nothing", "few", "history shorter than the longest delay"],
)
def test_too_little_gives_no_estimate(triangle: Triangle) -> None:
    learned = learn(triangle, MONDAY)
    assert learned is None
    answer = estimate(learned, triangle, MONDAY)
    assert (answer.expected, answer.share, answer.share_80, answer.share_95) == (None,) * 4


def test_a_day_of_which_hardly_anything_can_have_come_has_no_estimate() -> None:
    triangle = made(lambda _: 10_000, lambda _: [0.01, 0.0, 0.99])
    assert estimate(learned_of(triangle), triangle, MONDAY).share is None


def test_a_small_area_borrows_the_delays_of_the_larger() -> None:
    france = learned_of(made(lambda _: 10_000, alike))
    lozere = {MONDAY - 1: [2, 1], MONDAY: [1]}
    learned = learn(lozere, MONDAY, france)
    answer = estimate(learned, lozere, MONDAY)
    assert answer.share == pytest.approx(0.4, abs=0.05)
    assert answer.share_95 is not None
    assert answer.share_95.low < 0.2
    assert estimate(learned, lozere, MONDAY - 7).share == pytest.approx(1.0, abs=1e-4)


def test_a_day_without_tests_is_as_complete_as_days_usually_are() -> None:
    """Nothing has come of it: what that says is no more than what has come of others by then."""
    triangle = dict(made(lambda _: 10_000, alike))
    triangle[MONDAY] = []
    answer = estimate(learned_of(triangle), triangle, MONDAY)
    assert answer.expected == 0
    assert answer.share == pytest.approx(0.4, abs=0.02)


def test_the_same_triangle_gives_the_same_answer() -> None:
    triangle = made(lambda day: 900 + day % 200, open_days)
    again = dict(reversed(triangle.items()))
    assert learn(triangle, MONDAY) == learn(again, MONDAY)


@settings(max_examples=40, deadline=None)
@given(
    st.dictionaries(
        st.integers(MONDAY - 100, MONDAY + 2),
        st.lists(st.one_of(st.integers(0, 30), st.integers(0, 10**7)), max_size=25),
        max_size=90,
    ),
    st.integers(0, 10**6),
)
def test_any_triangle_gives_shares_in_order(triangle: Triangle, settled: int) -> None:
    learned = learn(triangle, MONDAY)
    local = learn({MONDAY: [3]}, MONDAY, learned)
    for of in (learned, local):
        for day in range(MONDAY - 25, MONDAY + 2):
            answer = estimate(of, triangle, day, settled)
            assert answer.reported == sum(triangle.get(day, ())) + settled
            if answer.share is None:
                assert answer.expected is None
                continue
            assert answer.expected is not None
            assert answer.share_80 is not None
            assert answer.share_95 is not None
            assert answer.expected >= answer.reported
            wide, narrow = answer.share_95, answer.share_80
            assert 0 <= wide.low <= narrow.low <= answer.share <= narrow.high <= wide.high <= 1


@pytest.mark.parametrize(("mean", "relative"), [(0.4, 2.0), (3.0, 0.3), (40.0, 0.05), (399, 0.01)])
def test_bounds_leave_so_much_outside_as_they_say(mean: float, relative: float) -> None:
    """Against a sum of probabilities written from the definition."""
    low, high = bounds(mean, relative, Z_95, 0.025)
    size = 1 / relative
    share = size / (size + mean)
    terms = [share**size]
    for count in range(4_000):
        terms.append(terms[-1] * (count + size) / (count + 1) * (1 - share))
    assert sum(terms[: int(low)]) < 0.025 <= sum(terms[: int(low) + 1])
    assert sum(terms[: int(high)]) < 0.975 <= sum(terms[: int(high) + 1])


@pytest.mark.parametrize("relative", [0.5, 0.05, 0.001])
def test_large_counts_go_on_where_small_ones_end(relative: float) -> None:
    """Just below and just above the change of method the bounds, per mean, are nearly the same."""
    for z, tail in ((Z_80, 0.1), (Z_95, 0.025)):
        small, large = bounds(399.9, relative, z, tail), bounds(400.1, relative, z, tail)
        assert large == pytest.approx(small, rel=0.03, abs=4)
