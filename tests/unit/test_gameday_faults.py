"""What is said of the faults of a game day is there: alerts, panels, words of runbooks."""

from __future__ import annotations

from typing import cast

import pytest
import yaml

from tests.gameday import page
from tests.gameday.days import FAULTS
from tests.gameday.fault import AFTERMATH, Fault
from tests.gameday.playing import calm, differs, query_of
from tests.gameday.routes import matches, route_of
from tests.gameday.stage import PROCESSES, Stage
from tests.support.prometheus.rules import FOLDER, RUNBOOKS, alerts

EACH = pytest.mark.parametrize("fault", list(FAULTS.values()), ids=list(FAULTS))


@EACH
def test_its_alerts_are_there_and_lead_to_the_runbook_that_is_followed(fault: Fault) -> None:
    named = {alerts()[name]["annotations"]["runbook_url"] for name in fault.alerts}
    assert named == {f"docs/runbooks/{fault.steps[0].runbook}.md"}
    assert fault.also <= alerts().keys() and bool(fault.also) == bool(fault.why_also)
    assert not any(alerts()[name]["labels"]["severity"] == "page" for name in fault.also)


@EACH
def test_each_step_stands_in_its_runbook(fault: Fault) -> None:
    for step in fault.steps:
        text = " ".join((RUNBOOKS / f"{step.runbook}.md").read_text().split())
        assert step.says in text, (step.runbook, step.says)


@EACH
def test_its_panels_are_there(fault: Fault) -> None:
    assert fault.panels
    for panel in fault.panels:
        assert query_of(panel)
        assert differs(panel, 1.0, (2.0 + panel.by) if panel.is_more else (0.5 - panel.by))
        assert not differs(panel, 1.0, 1.0)


def test_what_an_outage_leaves_behind_is_a_ticket() -> None:
    assert {alerts()[name]["labels"]["severity"] for name in AFTERMATH} == {"ticket"}


@pytest.mark.parametrize(
    ("matcher", "fits"),
    [('a="x"', True), ("a=x", True), ('a!="x"', False), ('a=~"y|x"', True), ('a=~"y"', False),
     ('a!~"y|z"', True), ('b=""', True), ('b=~".+"', False)],
)  # fmt: skip
def test_a_matcher_is_read_as_alertmanager_does(matcher: str, fits: bool) -> None:
    assert matches(matcher, {"a": "x"}) is fits


def test_the_first_route_that_fits_is_taken_with_what_stands_above_it() -> None:
    route = {
        "group_wait": "30s", "receiver": "all",
        "routes": [{"matchers": ['severity="page"'], "receiver": "now"}, {"receiver": "rest"}],
    }  # fmt: skip
    assert route_of(route, {"severity": "page"}) == {
        "group_wait": "30s", "receiver": "now", "matchers": ['severity="page"'],
    }  # fmt: skip
    assert route_of(route, {"severity": "ticket"})["receiver"] == "rest"


def test_every_alert_that_pages_takes_a_route_to_somebody() -> None:
    config = yaml.safe_load((FOLDER / "alertmanager.yml").read_text())
    for name, rule in alerts().items():
        if rule["labels"]["severity"] in {"page", "ticket"}:
            found = route_of(config["route"], {**rule["labels"], "alertname": name})
            assert found["receiver"] != "nobody", name


def test_the_page_says_what_the_faults_and_their_results_say() -> None:
    assert page.PAGE.read_text("utf-8") == page.page(page.read()).rstrip() + "\n"


class Quietening:
    """A stage on which one alert fires once more before it is calm."""

    scale = 1_000_000.0

    def __init__(self) -> None:
        self._fires = [{"LabdispatchLagGrowing"}]
        self.prometheus = self

    def firing(self) -> set[str]:
        return self._fires.pop() if self._fires else set()

    def is_ready(self) -> bool:
        return True

    def now(self, _: str) -> list[dict[str, list[str]]]:
        return [{"value": ["0", f"{len(PROCESSES)}"]}]


def test_what_fires_in_the_last_calm_is_remembered() -> None:
    fired = {"LabdispatchDiskFull"}
    assert calm(cast("Stage", Quietening()), fired) > 0
    assert fired == {"LabdispatchDiskFull", "LabdispatchLagGrowing"}
