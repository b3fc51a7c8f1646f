"""How long the counting of public health waits for more: longer where many come at once."""

from __future__ import annotations

import pytest

from ops.indicators.keeper import rest_of


@pytest.mark.parametrize(
    ("events", "rests"),
    [(0, 1.0), (1, 1.0), (250, 1.0), (500, 2.0), (1_000, 4.0), (50_000, 4.0)],
)
def test_it_waits_for_as_many_as_come(events: int, rests: float) -> None:
    assert rest_of(events, 0.5) == pytest.approx(0.5 * rests)
