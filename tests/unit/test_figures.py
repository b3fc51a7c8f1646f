"""Figures read back from Prometheus text: sums, and quantiles between two looks."""

from __future__ import annotations

import math

import pytest

from ops import figures
from ops.figures import NOTHING, Figures, figures_of, parse, quantile
from ops.runtime.settings import Settings, load_settings

EARLIER = """
# HELP labdispatch_ack_seconds x
labdispatch_ack_seconds_bucket{le="0.01"} 100.0
labdispatch_ack_seconds_bucket{le="0.1"} 100.0
labdispatch_ack_seconds_bucket{le="+Inf"} 100.0
labdispatch_answers_total{code="AA",reason=""} 7.0
"""
LATER = """
labdispatch_ack_seconds_bucket{le="0.01"} 150.0
labdispatch_ack_seconds_bucket{le="0.1"} 200.0
labdispatch_ack_seconds_bucket{le="+Inf"} 200.0
labdispatch_answers_total{code="AA",reason=""} 9.0
labdispatch_answers_total{code="AE",reason="a \\"quoted\\" one"} 1.0
labdispatch_disk_free_bytes 1.5e+10
"""


@pytest.mark.parametrize(
    ("answers", "asked"),
    [
        ({"http://a:1"}, ["http://a:1", "http://api:2"]),
        ({"http://elsewhere:3"}, ["http://a:1", "http://api:2", "http://elsewhere:3"]),
        (set(), ["http://a:1", "http://api:2"]),
    ],
)
async def test_on_the_cluster_nobody_is_asked_twice(
    monkeypatch: pytest.MonkeyPatch, answers: set[str], asked: list[str]
) -> None:
    seen: list[str] = []

    async def read(address: str, _: Settings) -> Figures | None:
        seen.append(address)
        return parse(LATER) if address in answers else None

    monkeypatch.setattr(figures, "read_figures", read)
    settings = load_settings(
        engine="cluster", postgres_dsn="postgresql://nobody@127.0.0.1/none",
        figures_addresses="a:1,api:2",
    )  # fmt: skip
    last = "http://elsewhere:3" if "http://elsewhere:3" in asked else "http://api:2"
    found = await figures_of(last, settings)
    assert (found is None) == (not answers)
    assert sorted(seen) == asked


def test_sums_are_by_labels() -> None:
    found = parse(LATER)
    assert found.total("labdispatch_answers_total") == 10
    assert found.total("labdispatch_answers_total", code="AA") == 9
    assert found.by("labdispatch_answers_total", "code") == {"AA": 9, "AE": 1}
    assert found.largest("labdispatch_disk_free_bytes") == 1.5e10
    assert found.largest("no_such_figure") == 0


def test_a_quantile_is_of_the_time_between_two_looks() -> None:
    now, before = parse(LATER), parse(EARLIER)
    assert quantile(0.5, now, before, "labdispatch_ack_seconds") == pytest.approx(0.01)
    assert quantile(0.75, now, before, "labdispatch_ack_seconds") == pytest.approx(0.055)
    assert quantile(0.5, now, NOTHING, "labdispatch_ack_seconds") == pytest.approx(0.01 * 2 / 3)
    assert quantile(0.5, now, now, "labdispatch_ack_seconds") is None
    assert quantile(0.5, now, before, "no_such_figure") is None


def test_what_lies_beyond_the_last_bound_is_that_bound() -> None:
    figures = parse('x_bucket{le="1.0"} 1\nx_bucket{le="+Inf"} 100\n')
    told = quantile(0.99, figures, NOTHING, "x")
    assert told is not None
    assert math.isclose(told, 1.0)
