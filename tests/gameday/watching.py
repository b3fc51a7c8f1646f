"""Prometheus and Alertmanager with the operators' files, every duration divided by the scale."""

from __future__ import annotations

import subprocess
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from tests.support.kafka import free_ports
from tests.support.prometheus.resolve import programs
from tests.support.prometheus.rules import FOLDER, rule_files
from tests.support.prometheus.server import PrometheusServer

from . import scaling
from .routes import route_of

_READY_SECONDS: Final = 60.0
_LOOKBACK: Final = "5m"
_DAY_SECONDS: Final = 86_400
_IN_ITS_PLACE: Final = (
    "mount -t tmpfs none /usr/share && mkdir -p /usr/share/prometheus/alertmanager"
    " && touch /usr/share/prometheus/alertmanager/default.tmpl"
    " /usr/share/prometheus/alertmanager/email.tmpl"
    ' && exec "$@"'
)
"""Debian's Alertmanager reads its templates from a folder of the package; it gets empty ones
(webhooks use none) in a view of the machine that is its own: nothing of the machine changes."""
PAST_RATE: Final = 10.0
"""Messages a second in the weeks before the day, as the figures of then say."""


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
        """Put four quiet weeks into its memory, as a hub has them that runs since long."""
        self.backfill(_quiet_weeks(time.time(), self.scale, streams))


class Alertmanager:
    """Alertmanager with the operators' routes; every receiver is a path of one webhook.

    Args:
        folder: Of its own.
        scale: By which durations are divided.
        sink: The webhook's address.
    """

    def __init__(self, folder: Path, scale: float, sink: str) -> None:
        self.folder = folder
        loaded = yaml.safe_load((FOLDER / "alertmanager.yml").read_text())
        self.config: dict[str, Any] = scaling.alertmanager(loaded, scale)
        for receiver in self.config["receivers"]:
            name = receiver["name"]
            tells = any(key.endswith("_configs") for key in receiver)
            receiver.clear()
            receiver["name"] = name
            if tells:
                url = f"{sink}/{name}"
                receiver["webhook_configs"] = [{"url": url, "send_resolved": True}]
        # A game day may be any day: what waits for the working day comes at once.
        self.config.pop("time_intervals", None)
        for route in self.config["route"].get("routes", []):
            route.pop("active_time_intervals", None)
        (folder / "alertmanager.yml").write_text(yaml.safe_dump(self.config))
        self.at = f"127.0.0.1:{free_ports(1)[0]}"
        self._process: subprocess.Popen[bytes] | None = None

    def route_of(self, labels: Mapping[str, str]) -> dict[str, Any]:
        """Return the route that an alert of these labels takes."""
        return route_of(self.config["route"], labels)

    def start(self) -> None:
        """Start it, and wait until it is ready."""
        with (self.folder / "alertmanager.log").open("wb") as log:
            self._process = subprocess.Popen(
                [
                    "unshare", "--mount", "sh", "-c", _IN_ITS_PLACE, "sh",
                    programs().alertmanager,
                    f"--config.file={self.folder / 'alertmanager.yml'}",
                    f"--storage.path={self.folder / 'alerts'}",
                    f"--web.listen-address={self.at}",
                    "--cluster.listen-address=",
                    "--log.level=warn",
                ],
                stdout=log,
                stderr=log,
            )  # fmt: skip
        until = time.monotonic() + _READY_SECONDS
        while not self._is_ready():
            gone = self._process.poll() is not None or time.monotonic() > until
            assert not gone, (self.folder / "alertmanager.log").read_text()
            time.sleep(0.1)

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://{self.at}/-/ready", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False


def _quiet_weeks(now: float, scale: float, streams: Sequence[str]) -> Iterator[str]:
    """Give what is recorded of quiet weeks: close together of the last hours, then wide apart."""
    weeks, hours = 28 * _DAY_SECONDS / scale, 6 * 3_600 / scale
    wide, close = 600 / scale, 30 / scale
    times = [now - weeks + wide * step for step in range(int((weeks - hours) / wide))]
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
