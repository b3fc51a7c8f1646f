"""Rules in a tenth of the time: what is a duration is divided, what is not stays."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.gameday import scaling
from tests.support.prometheus.resolve import programs
from tests.support.prometheus.rules import FOLDER, all_rules, rule_files


@pytest.mark.parametrize(
    ("text", "scale", "divided"),
    [("5m", 10, "30s"), ("30s", 10, "3s"), ("1h30m", 10, "540s"), ("15s", 10, "1500ms"),
     ("28d", 10, "241920s"), ("5s", 1, "5s"), ("1m", 7, "8571ms")],
)  # fmt: skip
def test_a_duration_is_divided(text: str, scale: float, divided: str) -> None:
    assert scaling.duration(text, scale) == divided


def test_what_is_no_duration_is_refused() -> None:
    with pytest.raises(ValueError, match="no duration: 5 minutes"):
        scaling.milliseconds("5 minutes")


@pytest.mark.parametrize(
    ("text", "divided"),
    [
        ("sum(rate(a_total[5m])) > 0.1", "sum(rate(a_total[30s])) > 0.1"),
        ("avg_over_time(sum(a)[10m:30s]) < 0.8", "avg_over_time(sum(a)[60s:3s]) < 0.8"),
        ("max_over_time(a[1d:1m])", "max_over_time(a[8640s:6s])"),
        ("max_over_time(a[2m:])", "max_over_time(a[15s:])"),
        ("rate(a_total[30s])", "rate(a_total[15s])"),
        ("rate(a_total[10s])", "rate(a_total[10s])"),
        ("(a unless a offset 10m) > 0", "(a unless a offset 60s) > 0"),
        ("max(a_age_seconds) > 86400", "max(a_age_seconds) > 8640"),
        ("max(a_oldest_seconds) > 7 * 86400", "max(a_oldest_seconds) > 60480"),
        ("max(a_oldest_seconds) > bool 7 * 86400", "max(a_oldest_seconds) > bool 60480"),
        ("min(a_timestamp_seconds) - time() < 14 * 86400",
         "min(a_timestamp_seconds) - time() < 120960"),
        ("predict_linear(a_bytes[6h], 86400)", "predict_linear(a_bytes[2160s], 8640)"),
        ("avg_over_time(a:rate5m[1h]) * 3600 > 10", "avg_over_time(a:rate5m[360s]) * 360 > 10"),
        # What the machine needs, and how many: no scale makes it quicker.
        ("histogram_quantile(0.99, sum by (le) (rate(a_seconds_bucket[5m]))) > 2",
         "histogram_quantile(0.99, sum by (le) (rate(a_seconds_bucket[30s]))) > 2"),
        ("max(abs(labdispatch_database_clock_offset_seconds)) > 2",
         "max(abs(labdispatch_database_clock_offset_seconds)) > 2"),
        ("max(a_records) > 1000", "max(a_records) > 1000"),
        ('sum(rate(a_bucket{le="0.25"}[5m]))', 'sum(rate(a_bucket{le="0.25"}[30s]))'),
    ],
)  # fmt: skip
def test_an_expression_is_divided(text: str, divided: str) -> None:
    assert scaling.expression(text, 10) == divided


def test_a_scale_of_one_changes_no_meaning() -> None:
    for rule in all_rules():
        for number in re.findall(r"\[(\w+)\]", rule["expr"]):
            assert scaling.milliseconds(scaling.duration(number, 1)) == scaling.milliseconds(number)


def test_every_wait_of_the_operators_rules_is_divided() -> None:
    """A threshold of a minute or more beside a figure in seconds is a wait: none may stay."""
    for rule in all_rules():
        scaled = scaling.expression(rule["expr"], 10)
        for figure in set(re.findall(r"\b\w+_seconds\b", rule["expr"])) - scaling.NO_WAITS:
            left = re.findall(rf"{figure}\b[^<>]*[<>] (?:bool )?(\d+)", rule["expr"])
            kept = re.findall(rf"{figure}\b[^<>]*[<>] (?:bool )?(\d+)", scaled)
            assert [n for n in left if int(n) >= 10] == [] or left != kept, rule["expr"]


def test_promtool_takes_the_scaled_rules(tmp_path: Path) -> None:
    for path in rule_files():
        (tmp_path / path.name).write_text(scaling.rules(path.read_text(), 10))
    written = [str(tmp_path / path.name) for path in rule_files()]
    done = subprocess.run(
        [programs().promtool, "check", "rules", *written],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_nothing_is_scraped_more_often_than_once_a_second() -> None:
    loaded = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
    scaled = scaling.config(loaded, 100)
    assert scaled["global"]["scrape_interval"] == "1s"
    assert scaled["scrape_configs"] == loaded["scrape_configs"]


def test_what_alertmanager_waits_for_is_divided_at_every_depth() -> None:
    route = {"group_wait": "30s", "routes": [{"repeat_interval": "4h", "matchers": ['a="b"']}]}
    scaled = scaling.alertmanager({"route": route}, 10)
    # No shorter than causes need to be seen; what waits for nothing goes on doing so.
    assert scaled["route"]["group_wait"] == "10s"
    assert scaling.alertmanager({"route": {"group_wait": "0s"}}, 10)["route"]["group_wait"] == "0s"
    assert scaling.alertmanager({"route": {"group_wait": "5m"}}, 10)["route"]["group_wait"] == "30s"
    assert scaled["route"]["routes"] == [{"repeat_interval": "1440s", "matchers": ['a="b"']}]
