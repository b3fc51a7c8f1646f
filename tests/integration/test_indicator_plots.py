"""From events to a picture: delays are learned, published, and drawn of what was published."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from ops.indicators.answering import Published
from ops.plotting.about import About, Measure
from ops.plotting.command import asked_for, figures_for
from ops.plotting.drawing import Form
from ops.plotting.picture import Kind, picture
from schemas.figures import Flag
from tests.integration.test_indicators import world
from tests.support.indicating import TODAY, World
from tests.support.telling import CONDITION, row

__all__ = ["world"]

DAYS = 50
DELAYS = (0,) * 20 + (1,) * 12 + (2,) * 8
"""Of the forty tests of a day."""


async def test_late_results_are_drawn_as_late(world: World) -> None:
    await world.telling.tell(
        [
            row(1_000 * back + number, day, received_on=(day + timedelta(days=delay)).isoformat())
            for back in range(1, DAYS)
            for day in [TODAY - timedelta(days=back)]
            for number, delay in enumerate(DELAYS)
            if day + timedelta(days=delay) < TODAY
        ]
    )
    await world.count()

    extraction, figures = await figures_for(
        Published(world.pool, most=20), Kind.CURVE, CONDITION, asked_for(Kind.CURVE, [])
    )

    assert extraction.number == 1
    by_day = {date.fromisoformat(figure.label): figure for figure in figures}
    assert by_day[TODAY].tests == 0
    assert Flag.INCOMPLETE in by_day[TODAY].flags
    before = by_day[TODAY - timedelta(days=2)]
    assert before.tests == 32
    assert before.completeness == pytest.approx(0.8, abs=0.03)
    assert before.completeness_low is not None
    assert before.completeness_high is not None
    assert before.completeness_low < 0.8 < before.completeness_high
    assert by_day[TODAY - timedelta(days=20)].completeness == pytest.approx(1, abs=0.01)
    # Of yesterday too few have come to be told of; it is not read as a decline either.
    yesterday = by_day[TODAY - timedelta(days=1)]
    assert (yesterday.tests, yesterday.completeness) == (20, None)
    assert Flag.INCOMPLETE in yesterday.flags
    about = About(measure=Measure.TESTS, extraction=extraction)
    drawn = picture(Kind.CURVE, figures, about, Form.SVG)
    assert drawn == picture(Kind.CURVE, figures, about, Form.SVG)
    assert b"Extraction 1 of " in drawn
