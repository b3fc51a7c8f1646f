"""What a laboratory usually sends, and how surprising its silence is."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import date, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ops.silence.hours import PARIS, SLOTS, place_of, spans, weekday_of
from ops.silence.past import WINDOW_DAYS, Hour, Past, learn
from ops.silence.surprise import completeness_of_day, completeness_of_week, silence_score

TODAY = date(2026, 4, 27)
"""A Monday; Easter Monday lies in the weeks before it, 1 May in the week after."""


def second(day: date, hour: float) -> float:
    return (datetime.combine(day, datetime.min.time(), PARIS) + timedelta(hours=hour)).timestamp()


def hours(
    of: Callable[[date, int], int], *, days: int = WINDOW_DAYS, rest: float = 0.02
) -> list[Hour]:
    """What a hub has counted: of each local day and hour so many."""
    found = []
    for number in range(days):
        day = TODAY - timedelta(days=days - number)
        for hour in range(24):
            n = of(day, hour)
            found += [Hour(int(second(day, hour) // 3_600), n, rest)] * (n > 0)
    return found


def weekday_hours(day: date, hour: int) -> int:
    return 40 if weekday_of(day.toordinal()) < 5 and 8 <= hour < 18 else 0


def known(
    of: Callable[[date, int], int] = weekday_hours, *, days: int = WINDOW_DAYS, rest: float = 0.02
) -> Past:
    past = learn(hours(of, days=days, rest=rest), TODAY.toordinal())
    assert past is not None
    return past


def score(past: Past, last: tuple[date, float], now: tuple[date, float], *closed: date) -> float:
    days = frozenset(day.toordinal() for day in closed)
    return silence_score(past, second(*last), second(*now), days)


def test_hours_are_those_of_france_and_holidays_are_sundays() -> None:
    assert place_of(int(second(date(2026, 7, 1), 8) // 3_600)) == (date(2026, 7, 1).toordinal(), 8)
    assert place_of(int(second(date(2026, 1, 5), 8) // 3_600)) == (date(2026, 1, 5).toordinal(), 8)
    assert weekday_of(date(2026, 4, 6).toordinal()) == 6, "Easter Monday"
    assert weekday_of(TODAY.toordinal()) == 0
    assert list(spans(3_600 * 1.5, 3_600 * 3.25)) == [(1, 0.5), (2, 1.0), (3, 0.25)]


def test_rates_are_of_weekday_and_hour() -> None:
    past = known()
    assert len(past.rates) == SLOTS
    assert past.rates[9] == pytest.approx(40, rel=0.01)
    assert past.rates[24 * 6 + 9] == 0
    assert past.none[9] < 0.01
    assert past.none[3] > 0.99
    assert past.level == pytest.approx(1, rel=0.01)
    assert past.days == WINDOW_DAYS
    week = completeness_of_week(past)
    assert week is not None
    assert week.ratio == pytest.approx(1, rel=0.02)


def test_a_silent_morning_is_found_within_an_hour_and_a_night_or_a_weekend_never() -> None:
    past = known()
    assert score(past, (TODAY, 9.0), (TODAY, 10.0)) > 4
    friday = TODAY - timedelta(days=3)
    assert score(past, (friday, 17.99), (TODAY, 7.9)) < 1
    assert score(past, (friday, 17.99), (TODAY, 9.0)) > 3


def test_nothing_is_due_on_a_holiday_or_while_it_is_closed() -> None:
    past = known()
    thursday, friday, monday = (date(2026, 4, 30), date(2026, 5, 1), date(2026, 5, 4))
    assert score(past, (thursday, 17.99), (monday, 7.9)) < 1
    assert score(past, (thursday, 17.99), (friday, 20.0)) < 1
    tuesday = TODAY + timedelta(days=1)
    assert score(past, (TODAY, 17.99), (tuesday, 20.0), tuesday) < 1
    assert score(past, (TODAY, 17.99), (tuesday, 20.0)) > 5


def test_who_sends_once_in_the_evening_is_missed_when_the_second_evening_has_passed() -> None:
    past = known(lambda day, hour: 60 if hour == 19 and day.weekday() < 5 else 0, rest=0.5)
    assert past.batch == pytest.approx(60, rel=0.05)
    tuesday, wednesday = TODAY + timedelta(days=1), TODAY + timedelta(days=2)
    assert score(past, (TODAY, 19.5), (tuesday, 18.5)) < 1
    assert score(past, (TODAY, 19.5), (tuesday, 23.0)) > 2
    assert score(past, (TODAY, 19.5), (wednesday, 23.0)) > 4


def test_who_sends_each_hour_at_once_is_not_called_silent_within_it() -> None:
    steady, hourly = known(rest=0.02), known(rest=0.7)
    assert hourly.batch > 10 * steady.batch
    assert score(hourly, (TODAY, 9.3), (TODAY, 10.0)) < 1
    assert score(steady, (TODAY, 9.3), (TODAY, 10.0)) > 3


def test_days_off_in_the_past_make_it_less_surprising_and_one_is_forgiven() -> None:
    def off(*days: date) -> Past:
        return known(lambda day, hour: 0 if day in days else weekday_hours(day, hour))

    weeks = [TODAY - timedelta(days=each) for each in (19, 25, 26, 33)]
    none, one, four = off(), off(weeks[0]), off(*weeks)
    assert one.rates == none.rates
    assert one.day_off == none.day_off < four.day_off
    silence = ((TODAY, 9.0), (TODAY, 18.0))
    assert score(four, *silence) < 2
    assert score(one, *silence) > 5


def test_an_archive_sent_again_raises_nothing() -> None:
    day = TODAY - timedelta(days=12)
    often = known(lambda at, hour: 9_000 if at == day and hour == 9 else weekday_hours(at, hour))
    assert often.rates[24 * 2 + 9] < 3 * 40


def test_known_closures_are_not_learned_from() -> None:
    closed = {TODAY - timedelta(days=each) for each in range(10, 25)}
    rows = hours(lambda day, hour: 0 if day in closed else weekday_hours(day, hour))
    past = learn(rows, TODAY.toordinal(), frozenset(day.toordinal() for day in closed))
    assert past is not None
    assert past.rates == known().rates
    assert past.level == pytest.approx(1, rel=0.02)


def test_half_of_a_day_is_seen_and_a_week_sees_less() -> None:
    past = known()
    begun, ended = second(TODAY, -1.0), second(TODAY, 23.0)
    whole = completeness_of_day(past, 400, begun, ended)
    half = completeness_of_day(past, 200, begun, ended)
    assert whole is not None
    assert half is not None
    assert whole.low < 1 < whole.high
    assert half.high < 1
    assert whole.score < 1
    assert half.score > 3
    less = known(lambda day, hour: weekday_hours(day, hour) // (2 if (TODAY - day).days < 8 else 1))
    week = completeness_of_week(less)
    assert week is not None
    assert week.ratio == pytest.approx(0.5, abs=0.05)
    assert week.score > 4
    night = completeness_of_day(past, 0, second(TODAY, 0), second(TODAY, 6))
    assert night is None


def test_growth_is_followed() -> None:
    past = known(lambda day, hour: int(weekday_hours(day, hour) * (1 + (TODAY - day).days / 60)))
    assert past.level < 0.8
    assert past.cautious_level <= past.level


def test_nothing_is_learned_of_nothing_and_not_of_today() -> None:
    day = TODAY.toordinal()
    assert learn([], day) is None
    assert learn([Hour(int(second(TODAY, 9) // 3_600), 5, 0.1)], day) is None
    young = known(days=5)
    assert young.days == 5


@settings(max_examples=25, deadline=None)
@given(
    counts=st.lists(st.integers(0, 500), min_size=1, max_size=200),
    rest=st.floats(0, 1),
    begins=st.integers(0, 6 * 24),
    lengths=st.lists(st.floats(0, 14 * 24), min_size=2, max_size=4),
)
def test_a_longer_silence_is_never_less_surprising_and_all_is_finite(
    counts: list[int], rest: float, begins: int, lengths: list[float]
) -> None:
    first = int(second(TODAY, -len(counts)) // 3_600)
    rows = [Hour(first + n, count, rest) for n, count in enumerate(counts) if count]
    past = learn(rows, TODAY.toordinal())
    if past is None:
        return
    last = second(TODAY, begins)
    scores = [silence_score(past, last, last + each * 3_600) for each in sorted(lengths)]
    assert all(0 <= each <= 99 for each in scores)
    assert all(a <= b + 1e-9 for a, b in pairwise(scores))
    for received in (0.0, 7.0, 1e6):
        held = completeness_of_day(past, received, last, last + 86_400)
        if held is not None:
            assert math.isfinite(held.score)
            assert held.low <= held.ratio <= held.high
