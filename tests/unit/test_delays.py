"""Delays as they are told: as finely as may be, and what follows from the classes alone."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from routing.delays import (
    BINS,
    DELAYS,
    ShownDelays,
    WeekTests,
    decide_delays,
    delay_figures,
    settled_sunday,
)
from routing.disclosure import Policy, Shown
from routing.disclosure_classes import Levels, ToldTests, area_bins, decide_classes
from schemas.figures import FRANCE, DelayFigure

WEEK = "2026-S10"
CONDITION = "sars-cov-2"
TESTS = Shown(
    condition=CONDITION,
    block=WEEK,
    nodes={
        "tests": {
            FRANCE: ("1:0", "2:0", "3:0", "4:0", "5:0", "6:0", "7:0"),
            "region:11": ("w:0",),
            "department:75": ("w:0",),
            "department:92": ("w:0",),
        }
    },
)


def day_of(**bins: int) -> list[int]:
    """Return a day's tests: `d0=5` came on the day itself."""
    return [bins.get(f"d{each}", 0) for each in range(BINS)]


def week_of(day: list[int]) -> list[list[int]]:
    return [list(day) for _ in range(7)]


def told_of(
    delays: dict[str, list[list[int]]], policy: Policy, before: ShownDelays | None = None
) -> dict[str, DelayFigure]:
    imputed = {area: [[sum(day), 0] for day in days] for area, days in delays.items()}
    tests = WeekTests(delays=delays, imputed=imputed)
    shown = decide_delays(tests, TESTS, policy, before)
    figures = delay_figures(CONDITION, WEEK, tests, shown, policy)
    return {each.area if each.period == "week" else each.label: each for each in figures}


def test_each_level_is_made_of_whole_classes_of_the_one_before() -> None:
    for finer, coarser in zip(DELAYS.levels, DELAYS.levels[1:], strict=False):
        assert sorted(sum(coarser, ())) == list(range(BINS))
        for some in finer:
            assert sum(set(some) <= set(each) for each in coarser) == 1


def test_what_is_many_is_told_day_by_day() -> None:
    found = told_of({"75": week_of(day_of(d0=40, d1=50, d2=10))}, Policy())
    france = found[FRANCE]
    assert france.tests == 700
    assert [each.tests for each in france.classes[:4]] == [280, 350, 70, 0]
    assert (france.within_1, france.within_2, france.within_3) == (0.9, 1.0, 1.0)
    assert (france.median_days, france.p90_days) == (1, 1)
    assert (france.by_reception_tests, france.imputed_tests) == (0, 0)
    assert found["2026-03-02"].tests == 100
    assert found["department:75"].classes == france.classes


def test_days_that_hold_few_are_told_together() -> None:
    found = told_of({"75": [day_of(d0=40, d1=50, d9=1, d23=9), *week_of(day_of(d0=10))[1:]]},
                    Policy())  # fmt: skip
    france = found[FRANCE]
    assert [(each.first, each.last, each.unknown, each.tests) for each in france.classes] == [
        (0, 0, False, 100),
        (1, 1, False, 50),
        (2, 2, False, 0),
        (3, 3, False, 0),
        (4, None, True, 10),
    ]
    assert france.by_reception_tests is None
    assert (france.within_3, france.p90_days) == (0.9375, 1)


def test_what_reaches_over_a_day_says_nothing_of_it() -> None:
    days = week_of(day_of(d1=10, d2=1, d3=9, d6=10))
    days[0] = day_of(d0=3, d1=7, d3=9, d6=10)
    for each in days[1:]:
        each[2] = 0
    found = told_of({"75": days}, Policy())
    france = found[FRANCE]
    assert [(each.first, each.last) for each in france.classes] == [(0, 1), (2, 3), (4, None)]
    assert (france.within_2, france.median_days, france.p90_days) == (None, None, None)
    assert france.within_1 is not None


def test_where_tests_are_withheld_so_are_delays() -> None:
    many = week_of(day_of(d0=50, d1=50))
    found = told_of({"75": many, "13": many, "92": many}, Policy())
    assert found["department:75"].classes
    assert not found["department:13"].classes
    assert found["department:13"].tests is None
    assert found["department:13"].flags == ("suppressed",)


def test_a_sister_tells_less_where_one_alone_would_be_few() -> None:
    """Of two departments the one that tells nothing would follow from the region and the other."""
    delays = {
        "75": week_of(day_of(d0=90, d1=90, d2=90)),
        "92": [day_of(d0=9, d1=2, d2=9), *week_of(day_of())[1:]],
    }
    found = told_of(delays, Policy())
    region, one, other = (found[a] for a in ("region:11", "department:75", "department:92"))
    assert len(region.classes) == len(DELAYS.levels[0])
    assert len(other.classes) < len(region.classes)
    assert len(one.classes) < len(region.classes), "or 1 day would be region less the other"


def test_what_was_withheld_once_stays_withheld() -> None:
    many = {"75": week_of(day_of(d0=50, d1=50))}
    coarse = Levels(areas={FRANCE: 2}, days=3)
    before = ShownDelays(delays=coarse, imputed=Levels())
    found = told_of(many, Policy(), before)
    assert len(found[FRANCE].classes) == len(DELAYS.levels[2])
    assert len(found["2026-03-02"].classes) == len(DELAYS.levels[3])
    assert not found["department:75"].classes
    assert found[FRANCE].imputed_tests is None


def test_without_protection_all_is_told() -> None:
    found = told_of({"75": week_of(day_of(d0=1))}, Policy(threshold=0))
    assert [each.tests for each in found["department:75"].classes[:2]] == [7, 0]


def test_small_areas_by_policy_and_rounding() -> None:
    many = {"75": week_of(day_of(d0=53, d1=50))}
    found = told_of(many, Policy(rounding=10, class_below=3_000_000))
    assert found["department:75"].flags == ("classed",)
    assert not found["department:75"].classes
    assert found[FRANCE].classes[0].tests == 370
    assert found[FRANCE].tests == 720
    assert found[FRANCE].flags == ("rounded",)


def test_nobody_is_no_figure() -> None:
    assert not decide_classes(
        DELAYS, {}, ToldTests(of_week=frozenset(), of_any=frozenset(), days=True), Policy()
    ).areas
    assert area_bins({}) == {}


@pytest.mark.parametrize("weekday", range(7))
def test_a_week_is_told_when_its_last_day_is_settled(weekday: int) -> None:
    on = date(2026, 3, 30) + timedelta(days=weekday)
    sunday = date.fromordinal(settled_sunday(on))
    assert sunday.isoweekday() == 7
    assert 22 <= (on - sunday).days <= 28
