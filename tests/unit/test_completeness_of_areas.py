"""What is said of an area's completeness follows from what is told, and from nothing else."""

from __future__ import annotations

from datetime import date

import pytest
from msgspec.structs import replace

from ops.indicators.completing import Shares
from ops.indicators.completing_areas import (
    AreaOdds,
    odds_of,
    pack_odds,
    unpack_odds,
    with_area_completeness,
)
from schemas.figures import FRANCE, DelayClass, DelayFigure, Figure, Flag

TODAY = date(2026, 3, 25).toordinal()
SHARES: Shares = {
    "day": {TODAY - 1: (0.5, 0.48, 0.52), TODAY - 3: (0.9, 0.88, 0.92), TODAY: (None, None, None)},
    "7days": {TODAY - 1: (0.85, 0.83, 0.87)},
}


def week(area: str, *tests: int) -> DelayFigure:
    """Return a told week: 0, 1, 2, 3 days, and 4 and later."""
    classes = tuple(
        DelayClass(first=at, last=at if at < 4 else None, unknown=False, tests=count)
        for at, count in enumerate(tests)
    )
    return DelayFigure(
        condition="sars-cov-2", area=area, period="week", label="", tests=sum(tests),
        classes=classes,
    )  # fmt: skip


def odds_beside_france(*tests: int, area: str = "department:75") -> AreaOdds:
    france = week(FRANCE, 5_000, 2_500, 1_250, 750, 500)
    return odds_of([[france, week(area, *tests)]] * 4)


def day(ago: int, tests: int | None, area: str = "department:75", period: str = "day") -> Figure:
    return Figure(
        condition="sars-cov-2", area=area, period=period, label="", tests=tests,
        flags=(Flag.INCOMPLETE.value,) if ago < 4 else (),
    )  # fmt: skip


def completed(odds: AreaOdds, figure: Figure, ago: int = 1) -> Figure:
    return with_area_completeness(figure, SHARES, odds, TODAY, TODAY - ago)


def test_an_area_that_is_as_quick_as_france_is_as_complete() -> None:
    found = completed(odds_beside_france(500, 250, 125, 75, 50), day(1, 400))
    assert found.completeness == pytest.approx(0.5, abs=0.005)
    assert found.completeness_low is not None
    assert found.completeness_high is not None
    assert found.completeness_low < 0.45
    assert found.completeness_high > 0.55


def test_a_slower_area_is_less_complete_and_a_quicker_one_more() -> None:
    slower = completed(odds_beside_france(250, 250, 250, 150, 100), day(1, 400)).completeness
    faster = completed(odds_beside_france(800, 100, 50, 30, 20), day(1, 400)).completeness
    assert slower is not None
    assert faster is not None
    assert slower < 0.35
    assert faster > 0.7


def test_few_are_drawn_towards_france_and_fewer_say_nothing() -> None:
    few = completed(odds_beside_france(0, 10, 10, 5, 5), day(1, 400)).completeness
    many = completed(odds_beside_france(0, 100, 100, 50, 50), day(1, 400)).completeness
    assert few is not None
    assert many is not None
    assert many < few < 0.5
    assert not odds_beside_france(0, 5, 5, 5, 5)


def test_seven_days_are_moved_by_the_days_that_are_not_there_yet() -> None:
    found = completed(odds_beside_france(250, 250, 250, 150, 100), day(1, 400, period="7days"))
    assert found.completeness is not None
    assert 0.7 < found.completeness < 0.85


@pytest.mark.parametrize(
    ("figure", "ago"),
    [
        (day(1, None), 1),
        (day(1, 29), 1),
        (day(0, 400), 0),
        (day(30, 400), 30),
        (day(1, 400, area="department:13"), 1),
    ],
    ids=["withheld", "few", "today", "long ago", "no delays told"],
)
def test_where_nothing_can_be_said_nothing_is(figure: Figure, ago: int) -> None:
    assert completed(odds_beside_france(500, 250, 125, 75, 50), figure, ago) == figure


def test_france_is_left_as_it_is_and_what_france_does_not_tell_is_not_used() -> None:
    odds = odds_beside_france(500, 250, 125, 75, 50)
    assert completed(odds, day(1, 400, area=FRANCE)) == day(1, 400, area=FRANCE)
    assert odds_of([[week("department:75", 500, 250, 125, 75, 50)]]) == {}
    withheld = replace(week(FRANCE, 5_000), classes=())
    assert odds_of([[withheld, week("department:75", 500, 250, 125, 75, 50)]]) == {}


def test_after_a_holiday_of_its_own_alsace_moselle_says_nothing() -> None:
    today = date(2026, 4, 5).toordinal()  # Good Friday was the 3rd
    shares: Shares = {"day": {today - 3: (0.9, 0.88, 0.92)}}
    for area, is_said in (("department:67", False), ("region:44", False), ("department:75", True)):
        odds = odds_beside_france(500, 250, 125, 75, 50, area=area)
        found = with_area_completeness(day(3, 400, area=area), shares, odds, today, today - 3)
        assert (found.completeness is not None) == is_said


def test_where_hardly_any_are_to_come_all_may_have_come() -> None:
    shares: Shares = {"day": {TODAY - 5: (0.99, 0.985, 0.995)}}
    odds = odds_beside_france(500, 250, 125, 75, 50)
    found = with_area_completeness(day(5, 100), shares, odds, TODAY, TODAY - 5)
    assert found.completeness_high == 1.0


def test_odds_are_kept_and_read_again() -> None:
    odds = odds_beside_france(250, 250, 250, 150, 100)
    assert unpack_odds(pack_odds(odds)) == odds
    assert unpack_odds(None) == {}
