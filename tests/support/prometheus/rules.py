"""The rules that operators get, their promtool cases, and what is missing between the two.

An alert without a runbook of four parts, without a case that fires or without one that stays quiet
although its figures are there is a fault; `faults` names each.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

ROOT: Final = Path(__file__).resolve().parents[3]
FOLDER: Final = ROOT / "ops" / "prometheus"
RUNBOOKS: Final = ROOT / "docs" / "runbooks"
PARTS: Final = (
    "## What it means",
    "## First look",
    "## What to do",
    "## How to know that it is over",
)
LOOKBACK_SECONDS: Final = 300
"""For how long Prometheus goes on giving the last sample of a series."""

Rule = Mapping[str, Any]
_UNITS: Final = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
_EXPANDING: Final = re.compile(
    r"(?P<start>-?[\d.]+(?:e\d+)?|_)(?:(?P<sign>[+-])(?P<step>[\d.]+(?:e\d+)?))?(?:x(?P<times>\d+))?"
)


@functools.cache
def _loaded(path: Path) -> Any:
    return yaml.load(path.read_text(), Loader=yaml.CSafeLoader)


def rule_files() -> list[Path]:
    """Return every file of rules, without their tests and the configuration."""
    return [
        path
        for path in sorted(FOLDER.glob("*.yml"))
        if not path.stem.endswith("_test") and path.stem not in {"prometheus", "alertmanager"}
    ]


def case_files() -> list[Path]:
    """Return every file of promtool cases."""
    return sorted(FOLDER.glob("*_test.yml"))


def all_rules() -> list[Rule]:
    """Return every rule of every file."""
    loaded = (_loaded(path) for path in rule_files())
    return [rule for one in loaded for group in one["groups"] for rule in group["rules"]]


def alerts() -> dict[str, Rule]:
    """Return the alerts by name."""
    return {rule["alert"]: rule for rule in all_rules() if "alert" in rule}


def recorded() -> dict[str, str]:
    """Return the expressions of recording rules by what they record."""
    return {rule["record"]: rule["expr"] for rule in all_rules() if "record" in rule}


def cases() -> list[Mapping[str, Any]]:
    """Return every promtool test of every file."""
    return [test for path in case_files() for test in _loaded(path)["tests"]]


def figures_of(expression: str, records: Mapping[str, str]) -> set[str]:
    """Return the scraped figures an expression goes back to, through what is recorded."""
    bare = re.sub(r'"[^"]*"', "", expression)
    found = set(re.findall(r"\blabdispatch_\w+|\bup\b|\bprocess_\w+|\bALERTS\b", bare))
    for record in re.findall(r"\blabdispatch:[\w:]+", bare):
        found |= figures_of(records[record], records)
    return found


def seconds(text: str) -> int:
    """Return a duration of Prometheus (`2h30m`) in seconds."""
    return sum(int(count) * _UNITS[unit] for count, unit in re.findall(r"(\d+)([dhms])", text))


def samples(values: str) -> list[float | None]:
    """Expand promtool's notation of series; None where there is no sample."""
    found: list[float | None] = []
    for part in values.split():
        match = _EXPANDING.fullmatch(part)
        assert match is not None, f"not understood: {part}"
        times = int(match["times"] or 0)
        if match["start"] == "_":
            found += [None] * max(1, times)
            continue
        step = float((match["sign"] or "+") + (match["step"] or "0"))
        # `axn` and `a+bxn` mean n+1 samples.
        found += [float(match["start"]) + step * turn for turn in range(times + 1)]
    return found


def is_fresh(values: str, interval: int, at: int) -> bool:
    """Return whether a series has a sample at a time, or one that Prometheus still gives then."""
    expanded = samples(values)
    earliest = max(0, -(-(at - LOOKBACK_SECONDS) // interval))
    return any(each is not None for each in expanded[earliest : at // interval + 1])


def quiet_with_figures(rule: Rule, tests: Iterable[Mapping[str, Any]]) -> bool:
    """Return whether a case says that an alert stays quiet while what it looks at is there."""
    wanted = figures_of(rule["expr"], recorded())
    for test in tests:
        interval = seconds(test["interval"])
        for case in test.get("alert_rule_test", []):
            if case["alertname"] != rule["alert"] or case["exp_alerts"]:
                continue
            at = seconds(case["eval_time"])
            there = {
                series["series"].partition("{")[0]
                for series in test["input_series"]
                if is_fresh(series["values"], interval, at)
            }
            if wanted <= there:
                return True
    return False


def faults(rules: Mapping[str, Rule], tests: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return what is missing of alerts, in words; nothing is as it should be."""
    found = []
    fired = {
        case["alertname"]
        for test in tests
        for case in test.get("alert_rule_test", [])
        if case["exp_alerts"]
    }
    for name, rule in rules.items():
        url = rule.get("annotations", {}).get("runbook_url", "")
        match = re.search(r"runbooks/([a-z0-9-]+)\.md$", url)
        if match is None:
            found.append(f"{name}: its runbook_url does not end in runbooks/NAME.md")
        elif not (RUNBOOKS / f"{match[1]}.md").is_file():
            found.append(f"{name}: there is no docs/runbooks/{match[1]}.md")
        else:
            found += [f"{name}: {fault}" for fault in runbook_faults(match[1])]
        if name not in fired:
            found.append(f"{name}: no promtool case in which it fires")
        if not quiet_with_figures(rule, tests):
            found.append(f"{name}: no promtool case in which it stays quiet with its figures there")
    return found


def runbook_faults(name: str) -> list[str]:
    """Return what a runbook lacks of its four parts."""
    text = (RUNBOOKS / f"{name}.md").read_text()
    headings = re.findall(r"(?m)^## .*$", text)
    if tuple(headings) != PARTS:
        return [f"runbook {name} has the parts {headings}, wanted are {list(PARTS)}"]
    bodies = re.split(r"(?m)^## .*$", text)[1:]
    return [
        f"runbook {name}: {part} is empty"
        for part, body in zip(PARTS, bodies, strict=True)
        if len(body.split()) < 5
    ]
