"""A whole birth date goes a shorter way than a shortened one: to the same age."""

from datetime import date

import pytest

from routing.ages import OLDEST, age_at

DAY = date(2026, 2, 28)


@pytest.mark.parametrize(
    ("birth_date", "age"),
    [
        ("1979-02-28", 47),
        ("1979-03-01", 46),
        ("2024-02-29", 1),
        ("2026-02-28", 0),
        ("2026-03-01", None),  # after the day
        (f"{2026 - OLDEST}-02-28", OLDEST),
        (f"{2025 - OLDEST}-02-28", None),  # implausible
        ("1979-02-30", None),
        ("0000-01-01", None),
        ("1979-W09-3", None),  # a week, which our dates never name
        ("", None),
        ("1979", None),  # 46 or 47
        ("1979-02", 47),
        ("1980-02", None),  # the 29th is still to come
        ("1979-03", 46),
    ],
)
def test_the_age_of_a_birth_date(birth_date: str, age: int | None) -> None:
    assert age_at(birth_date, DAY) == age
