"""A real Prometheus on a free port of loopback, with a folder of its own, and what it answers.

Its configuration is the operators' (`ops/prometheus`), quicker: it scrapes and works rules out
every second, so that a minute of load fills what asks for rates.
"""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, Self

import yaml

from .resolve import programs
from .rules import FOLDER, rule_files

RATE_INTERVAL: Final = "20s"
"""What Grafana would say for `$__rate_interval` here."""
_READY_SECONDS: Final = 60


class PrometheusServer:
    """Prometheus, scraping one running instance under the names of the operators' jobs.

    Args:
        folder: Of its own: configuration and data; made by the caller.
        targets: Job -> where it scrapes (`host:port`).
        token: The operator's, for the figures of each laboratory; empty: they are not scraped.
        quick: Scrape and work rules out every second.
    """

    def __init__(
        self, folder: Path, targets: Mapping[str, str], token: str = "", *, quick: bool = True
    ) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.data.mkdir(exist_ok=True)
        self.url = ""
        self.process: subprocess.Popen[bytes] | None = None
        self.flags: list[str] = []
        (folder / "operator.token").write_text(token or "none")
        (folder / "prometheus.yml").write_text(_configured(targets, bool(token), quick=quick))
        for path in rule_files():
            text = path.read_text()
            if quick:
                text = re.sub(r"(?m)^(    interval:) \w+$", r"\1 1s", text)
            (folder / path.name).write_text(text)

    def backfill(self, lines: Iterable[str]) -> None:
        """Put samples of the past into its data, as OpenMetrics lines; before it starts."""
        text = self.folder / "past.txt"
        with text.open("w") as file:
            file.writelines(lines)
            file.write("# EOF\n")
        command = [str(programs().promtool), "tsdb", "create-blocks-from", "openmetrics", "--quiet"]
        given = [*command, str(text), str(self.data)]
        subprocess.run(given, check=True, timeout=900, capture_output=True)
        text.unlink()

    def start(self) -> Self:
        """Start it, and wait until it is ready."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        with (self.folder / "prometheus.log").open("wb") as log:
            self.process = subprocess.Popen(
                [
                    programs().prometheus,
                    f"--config.file={self.folder / 'prometheus.yml'}",
                    f"--storage.tsdb.path={self.data}",
                    "--storage.tsdb.retention.time=60d",
                    f"--web.listen-address=127.0.0.1:{port}",
                    "--log.level=warn",
                    *self.flags,
                ],
                stdout=log,
                stderr=log,
            )
        until = time.monotonic() + _READY_SECONDS
        while not self._is_ready():
            gone = self.process.poll() is not None or time.monotonic() > until
            assert not gone, (self.folder / "prometheus.log").read_text()
            time.sleep(0.1)
        return self

    def stop(self) -> None:
        """End it; its folder stays."""
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(30)

    def remove(self) -> None:
        """End it and remove its folder."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def now(self, expression: str) -> list[dict[str, Any]]:
        """Return what an expression gives now."""
        return self._asked("query", query=filled(expression))

    def between(
        self, expression: str, start: float, end: float, step: float
    ) -> list[dict[str, Any]]:
        """Return what an expression gives over a time."""
        return self._asked(
            "query_range", query=filled(expression), start=str(start), end=str(end), step=str(step)
        )

    def firing(self) -> set[str]:
        """Return the alerts that fire now."""
        with urllib.request.urlopen(f"{self.url}/api/v1/alerts", timeout=60) as answer:
            alerts = json.load(answer)["data"]["alerts"]
        return {each["labels"]["alertname"] for each in alerts if each["state"] == "firing"}

    def _asked(self, what: str, **parameters: str) -> list[dict[str, Any]]:
        query = urllib.parse.urlencode(parameters)
        request = urllib.request.Request(f"{self.url}/api/v1/{what}", query.encode())
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                found: list[dict[str, Any]] = json.load(answer)["data"]["result"]
        except urllib.error.HTTPError as error:
            with error:
                raise AssertionError(f"{parameters['query']}: {error.read().decode()}") from None
        return found

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/-/ready", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False


def filled(expression: str) -> str:
    """Return an expression of a panel with Grafana's own variables filled in."""
    return expression.replace("$__rate_interval", RATE_INTERVAL).replace("$laboratory", ".+")


def _configured(targets: Mapping[str, str], laboratories: bool, *, quick: bool) -> str:
    text = (FOLDER / "prometheus.yml").read_text()
    if laboratories:
        # What the operator is told to do: take the # away.
        text = re.sub(r"(?m)^  #(- job_name: laboratories|  \S.*)$", r"  \1", text)
    config = yaml.safe_load(text)
    if quick:
        config["global"] = dict.fromkeys(
            ("scrape_interval", "scrape_timeout", "evaluation_interval"), "1s"
        )
    jobs = []
    for job in config["scrape_configs"]:
        if job["job_name"] not in targets:
            continue
        if quick:
            job.update(scrape_interval="1s", scrape_timeout="1s")
        job["static_configs"] = [{"targets": [targets[job["job_name"]]]}]
        jobs.append(job)
    assert {job["job_name"] for job in jobs} == set(targets)
    config["scrape_configs"] = jobs
    return yaml.safe_dump(config)
