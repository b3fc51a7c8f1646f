"""Prometheus and Alertmanager with the operators' files, every duration divided by the scale."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from tests.support.prometheus.alertmanager import CONFIG, told
from tests.support.prometheus.rules import FOLDER, rule_files
from tests.support.prometheus.server import PrometheusServer

from . import scaling

_LOOKBACK: Final = "5m"
_DAY_SECONDS: Final = 86_400
PAST_RATE: Final = 10.0
"""Messages a second in the days before, as the figures of then say."""


class Watching(PrometheusServer):
    """Prometheus as operators run it, in less time.

    Args:
        folder: Of its own.
        targets: Job -> where it scrapes, of each process.
        scale: By which durations are divided.
        alertmanager: `host:port` of whom it tells.
    """

    def __init__(
        self, folder: Path, targets: Mapping[str, Sequence[str]], scale: float, alertmanager: str
    ) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.data.mkdir()
        self.url = ""
        self.process = None
        self.scale = scale
        self.flags = [f"--query.lookback-delta={scaling.duration(_LOOKBACK, scale)}"]
        for path in rule_files():
            (folder / path.name).write_text(scaling.rules(path.read_text(), scale))
        loaded = scaling.config(yaml.safe_load((FOLDER / "prometheus.yml").read_text()), scale)
        jobs = [job for job in loaded["scrape_configs"] if job["job_name"] in targets]
        for job in jobs:
            job["static_configs"] = [{"targets": list(targets[job["job_name"]])}]
        assert {job["job_name"] for job in jobs} == set(targets)
        loaded["scrape_configs"] = jobs
        loaded["alerting"] = {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]}
        self.config: dict[str, Any] = loaded
        (folder / "prometheus.yml").write_text(yaml.safe_dump(loaded))

    def remember(self, streams: Sequence[str]) -> None:
        """Put quiet days into its memory, as a hub has them that runs since long."""
        self.backfill(_quiet_days(time.time(), self.scale, streams))


def alerting(scale: float, sink: str) -> dict[str, Any]:
    """Return the operators' routes and inhibitions, in less time, led to one webhook.

    A game day may be any day: what waits for the working day comes at once.
    """
    loaded = scaling.alertmanager(yaml.safe_load(CONFIG.read_text()), scale)
    loaded.pop("time_intervals", None)
    for route in loaded["route"].get("routes", []):
        route.pop("active_time_intervals", None)
    return told(loaded, sink)


def _quiet_days(now: float, scale: float, streams: Sequence[str]) -> Iterator[str]:
    """Give what is recorded of quiet days: close together of the last hours, then wide apart.

    Three, the longest window of an alert.
    """
    days, hours = 3 * _DAY_SECONDS / scale, 6 * 3_600 / scale
    wide, close = 600 / scale, 30 / scale
    times = [now - days + wide * step for step in range(int((days - hours) / wide))]
    times += [now - hours + close * step for step in range(int(hours / close))]
    told = {
        "labdispatch:answers:rate5m": PAST_RATE,
        "labdispatch:not_taken:rate5m": 0.0,
        "labdispatch:acks:rate5m": PAST_RATE,
        "labdispatch:slow_acks:rate5m": 0.0,
        "labdispatch:review_late:bool": 0.0,
    }
    for stream in streams:
        told[f'labdispatch:readable:rate5m{{stream="{stream}"}}'] = PAST_RATE
        told[f'labdispatch:late_readable:rate5m{{stream="{stream}"}}'] = 0.0
    families: dict[str, list[tuple[str, float]]] = {}
    for name, value in told.items():
        families.setdefault(name.partition("{")[0], []).append((name, value))
    for family, series in families.items():
        yield f"# TYPE {family} gauge\n"
        for name, value in series:
            for at in times:
                yield f"{name} {value} {at:.3f}\n"
