"""Public holidays are computed, and what is due on them comes on the next open day."""

from __future__ import annotations

from datetime import date

import pytest

from routing.nowcast import estimate, learn
from schemas.holidays import easter, holidays, holidays_between
from tests.unit.test_nowcast import MONDAY, alike, made


@pytest.mark.parametrize(
    "sunday",
    ["1961-04-02", "2000-04-23", "2008-03-23", "2011-04-24", "2024-03-31", "2025-04-20",
     "2026-04-05", "2027-03-28", "2038-04-25", "2049-04-18"],
)  # fmt: skip
def test_easter(sunday: str) -> None:
    assert easter(int(sunday[:4])).isoformat() == sunday


def test_the_eleven_of_2026_and_two_more_in_alsace_moselle() -> None:
    assert sorted(each.isoformat() for each in holidays(2026)) == [
        "2026-01-01", "2026-04-06", "2026-05-01", "2026-05-08", "2026-05-14", "2026-05-25",
        "2026-07-14", "2026-08-15", "2026-11-01", "2026-11-11", "2026-12-25",
    ]  # fmt: skip
    more = {each.isoformat() for each in holidays(2026, "67") - holidays(2026)}
    assert more == {"2026-04-03", "2026-12-26"}
    assert holidays(2026, "57") == holidays(2026, "68") == holidays(2026, "67")
    assert holidays(2026, "75") == holidays(2026)


def test_between_two_days_over_a_year() -> None:
    first, last = date(2026, 12, 25).toordinal(), date(2027, 1, 1).toordinal()
    assert holidays_between(first, last) == {first, last}
    assert holidays_between(first, last, "57") == {first, first + 1, last}
    assert not holidays_between(first + 1, last - 1)


def closed_on(day: int) -> dict[int, list[int]]:
    """Days that come in alike, but nothing on one day: it comes on the next."""
    triangle = made(lambda _: 1_000, lambda each: [*alike(each), 0.0])
    for sampled, counts in triangle.items():
        delay = day - sampled
        if 0 <= delay < len(counts) - 1:
            counts[delay + 1] += counts[delay]
        if 0 <= delay < len(counts):
            counts[delay] = 0
    return triangle


@pytest.mark.parametrize("ago", [0, 1, 2, 5])
def test_after_a_holiday_that_is_known_the_estimate_is_right(ago: int) -> None:
    # A Thursday, so that nothing of it is made up for at a weekend.
    through = MONDAY + 3 + ago
    closed = MONDAY + 3
    triangle = {day + ago + 3: counts for day, counts in closed_on(MONDAY - ago).items()}
    learned = learn(triangle, through, holidays=frozenset({closed}))
    assert learned is not None
    assert learned.through == through, "a holiday is no outage"
    assert closed in learned.idle
    for back in range(1, 5):
        found = estimate(learned, triangle, through - back)
        assert found.expected == pytest.approx(1_000, rel=0.02), back


def test_of_the_holiday_itself_nothing_is_said_that_evening() -> None:
    closed = MONDAY
    triangle = closed_on(closed)
    learned = learn(triangle, closed, holidays=frozenset({closed}))
    assert estimate(learned, triangle, closed).share is None


def test_at_the_weekend_after_a_friday_nobody_knows_what_was_made_up() -> None:
    friday = MONDAY + 4
    for through in (friday + 1, friday + 2):
        later = through - MONDAY
        triangle = {day + later: counts for day, counts in closed_on(friday - later).items()}
        learned = learn(triangle, through, holidays=frozenset({friday}))
        assert estimate(learned, triangle, friday - 1).share is None
        assert estimate(learned, triangle, friday - 10).share is not None
