"""What a question about indicators means."""

from __future__ import annotations

from datetime import date

import pytest

from ops.indicators.asking import Behind, read_asked
from schemas.errors import PermanentError


@pytest.mark.parametrize(
    ("period", "label", "first", "last"),
    [
        ("day", "2026-03-06", "2026-03-06", "2026-03-06"),
        ("day", "2026-S10", "2026-03-02", "2026-03-08"),
        ("7days", "2026-S10", "2026-03-02", "2026-03-08"),
        ("week", "2026-S10", "2026-03-02", "2026-03-08"),
        ("day", "2026-S01", "2025-12-29", "2026-01-04"),
        ("day", "2026-03", "2026-03-01", "2026-03-31"),
        ("day", "2028-02", "2028-02-01", "2028-02-29"),
        ("day", "2026-12", "2026-12-01", "2026-12-31"),
        ("month", "2026-03", "2026-03-01", "2026-03-31"),
        ("month", "2026-03-06", "2026-03-01", "2026-03-06"),
        ("month", "2026-S10", "2026-03-01", "2026-03-08"),
    ],
)
def test_a_week_or_month_that_is_named_is_meant_whole(
    period: str, label: str, first: str, last: str
) -> None:
    asked = read_asked([("period", period), ("from", label), ("to", label)])
    assert date.fromordinal(asked.first).isoformat() == first
    assert date.fromordinal(asked.last).isoformat() == last


@pytest.mark.parametrize("label", ["2026-S54", "2026-13", "2026-02-30", "0000-01", "9999-S53"])
@pytest.mark.parametrize("name", ["from", "to"])
def test_a_time_that_does_not_exist_is_refused(name: str, label: str) -> None:
    with pytest.raises(PermanentError, match="bad_question") as found:
        read_asked([(name, label)])
    assert label not in str(found.value)


def test_where_an_answer_ended_is_read_again_and_nothing_else() -> None:
    behind = Behind(1, 739_000, 17)
    asked = read_asked([("area", "france,departments"), ("after", behind.text)])
    assert (asked.behind, asked.after) == (behind, 0)
    assert read_asked([("after", "739000")]).after == 739_000
    for after in ("1.2", "-1", "a.1.2", "1.2.3.4", "1.739000.17", "99999999", "1..2"):
        with pytest.raises(PermanentError, match="bad_question"):
            read_asked([("after", after)])
