"""Alerts and recorded figures: each has a runbook, a case that fires and one that stays quiet."""

from __future__ import annotations

import copy
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.prometheus.figures import given, of_the_client
from tests.support.prometheus.resolve import programs
from tests.support.prometheus.rules import (
    FOLDER,
    RUNBOOKS,
    Rule,
    alerts,
    all_rules,
    case_files,
    cases,
    faults,
    figures_of,
    is_fresh,
    recorded,
    rule_files,
    runbook_faults,
    samples,
)

NOBODY = {"none", "heartbeat"}
"""Severities that call nobody: what only keeps others silent, and what says that alerts arrive."""


def _name(rule: Rule) -> str:
    return str(rule.get("alert") or rule["record"])


@pytest.mark.parametrize("rule", all_rules(), ids=_name)
def test_rule_uses_only_what_the_metric_table_declares(rule: Rule) -> None:
    names = given()
    figures = figures_of(rule["expr"], recorded())
    assert figures
    assert figures <= set(names)
    allowed = set().union(*(names[figure] for figure in figures)) | {"weeks_ago"}
    asked = re.findall(r"\b(?:by|on|group_left)\s*\(([^)]*)\)", rule["expr"])
    grouped = {each.strip() for part in asked for each in part.split(",") if each.strip()}
    matched = set(re.findall(r"(\w+)=~?\"", rule["expr"]))
    assert grouped | matched <= allowed


def test_no_rule_lives_on_what_a_run_does_not_give() -> None:
    """Under `run` one scrape is of all processes, and holds nothing of a single one."""
    missing = of_the_client(is_shared=False) - of_the_client(is_shared=True)
    assert "process_start_time_seconds" in missing
    blind = [_name(rule) for rule in all_rules() if figures_of(rule["expr"], recorded()) <= missing]
    assert blind == []


def test_every_alert_has_a_runbook_and_cases_that_fire_and_that_stay_quiet() -> None:
    assert len(alerts()) >= 10
    assert faults(alerts(), cases()) == []


@pytest.mark.parametrize("path", sorted(RUNBOOKS.glob("*.md")), ids=lambda path: path.stem)
def test_runbook_has_its_four_parts_and_stands_in_the_list(path: Path) -> None:
    if path.stem != "README":
        assert runbook_faults(path.stem) == []
        assert f"({path.name})" in (RUNBOOKS / "README.md").read_text()


REPEATED = {
    "LabdispatchRevocationListUnusable": "every handshake says it again",
    "LabdispatchFolderUnusable": "it is tried again each quarter of a minute",
    "LabdispatchReadersTurnedAway": "readers come again",
}
"""Alerts on any increase of a labelled figure whose first time may be missed, and why."""


def test_an_alert_on_any_increase_sees_the_first_time_of_a_label() -> None:
    """A labelled figure appears with its first count, and one sample has no increase."""
    names = given()
    missing = {
        name
        for name, rule in alerts().items()
        for figure in re.findall(r"increase\((labdispatch_\w+)", rule["expr"])
        if names[figure] - {"job", "instance"}
        and re.search(r"\) > 0$|\) > 0\n", rule["expr"].strip())
        and "unless" not in rule["expr"]
    }
    assert missing == set(REPEATED)


def _without(name: str, what: str) -> tuple[dict[str, Rule], list[Any]]:
    """Return alerts and cases with one thing taken away from an alert."""
    rules: dict[str, Any] = copy.deepcopy({name: alerts()[name]})
    tests: list[Any] = copy.deepcopy(cases())
    if what == "runbook":
        del rules[name]["annotations"]["runbook_url"]
    elif what == "page":
        rules[name]["annotations"]["runbook_url"] = "docs/runbooks/nobody-wrote-it.md"
    for test in tests:
        kept = []
        for case in test.get("alert_rule_test", []):
            is_gone = case["alertname"] == name and (
                (what == "fires" and case["exp_alerts"])
                or (what == "quiet" and not case["exp_alerts"])
            )
            if not is_gone:
                kept.append(case)
            if what == "stale" and case["alertname"] == name and not case["exp_alerts"]:
                case["eval_time"] = "400d"
        test["alert_rule_test"] = kept
    return rules, tests


@pytest.mark.parametrize("what", ["runbook", "page", "fires", "quiet", "stale"])
@pytest.mark.parametrize("name", ["LabdispatchDoorClosed", "LabdispatchReadableLateFast"])
def test_an_alert_that_lacks_something_is_found(name: str, what: str) -> None:
    (fault,) = faults(*_without(name, what))
    assert fault.startswith(f"{name}: ")


def test_cases_feed_only_figures_that_there_are() -> None:
    names = {**given(), **{record: {"stream", "ending"} for record in recorded()}}
    for test in cases():
        for series in test["input_series"]:
            name, _, labels = series["series"].partition("{")
            assert set(re.findall(r"(\w+)=", labels)) <= names[name], test["name"]


def test_each_alert_says_what_it_is() -> None:
    rules = [rule for rule in all_rules() if "alert" in rule]
    assert len({rule["alert"] for rule in rules}) == len(rules)
    for rule in rules:
        assert rule["labels"]["severity"] in {"page", "ticket", *NOBODY}
        assert rule["annotations"]["summary"].endswith(".")
        assert rule["annotations"]["description"]
        assert re.fullmatch(r"\d+[smh]", rule.get("for", "0s"))


def test_every_rule_file_is_loaded_and_every_test_file_names_one() -> None:
    config = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
    names = {path.name for path in rule_files()}
    assert set(config["rule_files"]) == names
    for path in case_files():
        assert set(yaml.safe_load(path.read_text())["rule_files"]) <= names


def test_promtool_takes_rules_and_configuration() -> None:
    promtool = programs().promtool
    checks = [["rules", path.name] for path in rule_files()] + [["config", "prometheus.yml"]]
    for check in checks:
        _done([str(promtool), "check", *check])


@pytest.mark.parametrize("path", case_files(), ids=lambda path: path.stem)
def test_promtool_works_the_cases_out(path: Path) -> None:
    _done([str(programs().promtool), "test", "rules", path.name])


def _done(command: list[str]) -> None:
    # From the rules' own folder, as an operator would: paths in the files are relative.
    done = subprocess.run(
        command, cwd=FOLDER, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_series_are_expanded_as_promtool_does() -> None:
    assert samples("1x2 _ 5-2x2 7") == [1, 1, 1, None, 5, 3, 1, 7]
    assert samples("0+60x2 _x2 1.5") == [0, 60, 120, None, None, 1.5]
    assert is_fresh("1x2 _x9", 60, 420)
    assert not is_fresh("1x2 _x9", 60, 480)
    assert not is_fresh("1x2", 60, 480)
