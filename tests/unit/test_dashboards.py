"""Dashboards: each panel says what to do, leads to a runbook, and asks only what there is."""

from __future__ import annotations

import json
import re

import pytest

from ops.grafana import dashboard
from ops.grafana.drawing import RUNBOOKS, TAG, Board, Drawn, drawn
from tests.support.prometheus.figures import given
from tests.support.prometheus.rules import RUNBOOKS as PAGES
from tests.support.prometheus.rules import figures_of, recorded

PANELS = [
    (name, panel)
    for name, board in dashboard.BOARDS.items()
    for _, panels in board.rows
    for panel in panels
]
UNITS = {"ops", "s", "short", "reqps", "bool", "bytes", "percentunit", "d"}


@pytest.mark.parametrize("name", dashboard.BOARDS)
def test_dashboard_is_what_its_code_writes(name: str) -> None:
    assert dashboard.output(name).read_text() == drawn(dashboard.BOARDS[name]), (
        "write it anew: python -m ops.grafana.dashboard"
    )


def test_no_dashboard_is_left_over() -> None:
    assert {path.stem for path in dashboard.FOLDER.glob("*.json")} == set(dashboard.BOARDS)
    assert len({board.uid for board in dashboard.BOARDS.values()}) == len(dashboard.BOARDS)


@pytest.mark.parametrize("board", dashboard.BOARDS.values(), ids=dashboard.BOARDS)
def test_every_panel_has_a_place_of_its_own_and_a_way_on(board: Board) -> None:
    made = json.loads(drawn(board))
    assert len({panel["id"] for panel in made["panels"]}) == len(made["panels"])
    taken: set[tuple[int, int]] = set()
    for panel in made["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken
        taken |= cells
        assert place["x"] + place["w"] <= 24
        if panel["type"] != "row":
            (link,) = panel["links"]
            assert link["title"] == "Runbook"
            assert panel["fieldConfig"]["defaults"]["unit"]
    # From each dashboard to all others, with the time that is looked at.
    (link,) = made["links"]
    assert (link["type"], link["tags"], link["keepTime"]) == ("dashboards", [TAG], True)
    assert made["tags"] == [TAG]
    (box,) = [each for each in made["templating"]["list"] if each["name"] == "runbooks"]
    assert box["query"] == RUNBOOKS


@pytest.mark.parametrize(("name", "panel"), PANELS, ids=[f"{n}-{p.title}" for n, p in PANELS])
def test_panel_says_what_to_do_and_where_to_read_on(name: str, panel: Drawn) -> None:
    assert len(panel.advice) > 60
    assert panel.unit in UNITS
    assert (PAGES / f"{panel.runbook}.md").is_file()
    assert panel.queries
    assert "docs/runbooks/" not in panel.advice, "the link leads there"


@pytest.mark.parametrize(
    "expression", sorted({query for _, panel in PANELS for query, _ in panel.queries})
)
def test_expression_uses_only_what_there_is(expression: str) -> None:
    names = given()
    figures = figures_of(expression, recorded())
    assert figures
    assert figures <= set(names)
    allowed = set().union(*(names[figure] for figure in figures))
    asked = re.findall(r"\b(?:by|on)\s*\(([^)]*)\)", expression)
    grouped = {each.strip() for part in asked for each in part.split(",")}
    matched = set(re.findall(r"(\w+)!?=~?\"", expression))
    assert grouped | matched <= allowed
    assert expression.count("(") == expression.count(")")


def test_what_alerts_look_at_is_drawn() -> None:
    shown = {
        name
        for _, panel in PANELS
        for expression, _ in panel.queries
        for name in figures_of(expression, recorded())
    }
    for wanted in (
        "answers_total", "ack_seconds_bucket", "append_seconds_bucket", "connections",
        "lag_records", "parked_records", "outcomes_total", "readable_seconds_bucket",
        "stream_events_total", "relay_lag_events", "errors_total", "limit_hits_total",
        "door_closed", "fence_losses_total", "not_taken_total", "review_oldest_seconds",
        "disk_free_bytes", "standby_lag_seconds", "database_clock_offset_seconds",
        "push_failing_seconds", "certificate_laboratories", "register_age_seconds",
    ):  # fmt: skip
        assert f"labdispatch_{wanted}" in shown
