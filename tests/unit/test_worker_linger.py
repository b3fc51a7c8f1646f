"""How long a dispatch worker waits for more: hardly where few come, not where more wait already."""

from __future__ import annotations

import pytest

from ops.runtime.worker import linger_of


@pytest.mark.parametrize(
    ("records", "limit", "lingers"),
    [
        (1, 100, 1.0),
        (8, 100, 1.0),
        (16, 100, 2.0),
        (32, 100, 4.0),
        (49, 100, 6.0),
        (50, 100, 0.0),
        (80, 200, 6.0),
        (99, 200, 6.0),
        (100, 200, 0.0),
        (100, 100, 0.0),
        (1, 1, 0.0),  # one alone, after the database was short of room for locks
        (1, 4, 1.0),
        (2, 4, 0.0),
    ],
)
def test_it_lingers_for_as_many_as_come(records: int, limit: int, lingers: float) -> None:
    assert linger_of(records, limit, 0.02) == pytest.approx(0.02 * lingers)
