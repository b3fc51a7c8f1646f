"""A real Alertmanager on a free port of loopback, and the webhook it tells.

Its configuration is the operators' (`ops/prometheus/alertmanager.yml`): their routes and their
inhibitions, with every receiver a path of one webhook of ours.
"""

from __future__ import annotations

import json
import re
import socket
import subprocess
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final, Self

import msgspec
import yaml

from .resolve import programs
from .rules import FOLDER

CONFIG: Final = FOLDER / "alertmanager.yml"
_READY_SECONDS: Final = 60


class Notified(msgspec.Struct, frozen=True, kw_only=True):
    """One alert of a notification, as a person gets it."""

    at: float
    """Monotonic seconds."""
    alert: str
    severity: str
    is_firing: bool
    labels: dict[str, str]
    channel: str
    """Which receiver of Alertmanager's it was."""


class Sink:
    """Takes Alertmanager's webhooks on a port of loopback."""

    def __init__(self) -> None:
        self.notified: list[Notified] = []
        sink = self

        class Taking(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                sink._take(self.path, json.loads(body))
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its base says so
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Taking)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True).start()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def since(self, at: float) -> list[Notified]:
        """Return what came since a time."""
        return [each for each in list(self.notified) if each.at >= at]

    def stop(self) -> None:
        """Listen no more."""
        self._server.shutdown()
        self._server.server_close()

    def _take(self, path: str, body: dict[str, Any]) -> None:
        at = time.monotonic()
        for each in body["alerts"]:
            self.notified.append(
                Notified(
                    at=at,
                    alert=each["labels"]["alertname"],
                    severity=each["labels"].get("severity", ""),
                    is_firing=each["status"] == "firing",
                    labels=each["labels"],
                    channel=path.removeprefix("/"),
                )
            )


def told(config: Mapping[str, Any], sink: str) -> dict[str, Any]:
    """Return a configuration with the webhook in place of whatever its receivers use."""
    receivers = []
    for each in config["receivers"]:
        receiver = {"name": each["name"]}
        if len(each) > 1:
            url = f"{sink}/{each['name']}"
            receiver["webhook_configs"] = [{"url": url, "send_resolved": True}]
        receivers.append(receiver)
    return {**config, "receivers": receivers}


def quick(wait: str) -> dict[str, Any]:
    """Return the operators' configuration with every wait this short, and no hours of the day."""
    text = CONFIG.read_text()
    text = re.sub(r"(?m)^( +group_(?:wait|interval):) \w+$", rf"\1 {wait}", text)
    text = re.sub(r"(?m)^ +active_time_intervals: .*\n", "", text)
    loaded: dict[str, Any] = yaml.safe_load(text)
    return loaded


class AlertmanagerServer:
    """Alertmanager, alone.

    Args:
        folder: Of its own; made by the caller.
        config: What it runs with.
    """

    def __init__(self, folder: Path, config: Mapping[str, Any]) -> None:
        self.folder = folder
        (folder / "alertmanager.yml").write_text(yaml.safe_dump(dict(config), sort_keys=False))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.at = f"127.0.0.1:{free.getsockname()[1]}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        """Start it, and wait until it is ready."""
        program = programs().alertmanager
        with (self.folder / "alertmanager.log").open("wb") as log:
            self._process = subprocess.Popen(
                [
                    program,
                    f"--config.file={self.folder / 'alertmanager.yml'}",
                    f"--storage.path={self.folder / 'alerts'}",
                    f"--web.listen-address={self.at}",
                    "--cluster.listen-address=",
                    "--log.level=warn",
                ],
                stdout=log,
                stderr=log,
                # Where its texts lie, if it was unpacked and not installed.
                cwd=program.parent,
            )
        until = time.monotonic() + _READY_SECONDS
        while not self._is_ready():
            gone = self._process.poll() is not None or time.monotonic() > until
            assert not gone, (self.folder / "alertmanager.log").read_text()
            time.sleep(0.1)
        return self

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def post(self, alerts: Sequence[Mapping[str, str]], *, is_firing: bool = True) -> None:
        """Say as Prometheus does that alerts with these labels fire, or are over."""
        now = datetime.now(UTC)
        ends = now + timedelta(hours=1) if is_firing else now
        body = [
            {
                "labels": dict(labels),
                "annotations": {"summary": "A case."},
                "startsAt": (now - timedelta(minutes=1)).isoformat(),
                "endsAt": ends.isoformat(),
            }
            for labels in alerts
        ]
        request = urllib.request.Request(
            f"http://{self.at}/api/v2/alerts",
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        urllib.request.urlopen(request, timeout=30).close()

    def inhibited(self, **labels: str) -> set[str]:
        """Return the alerts with these labels that fire and are silent because another one does."""
        found = self._asked(labels)
        return {each["labels"]["alertname"] for each in found if each["status"]["inhibitedBy"]}

    def led(self, **labels: str) -> dict[str, str]:
        """Return the alerts with these labels, and to which receiver each is led."""
        return {
            each["labels"]["alertname"]: " ".join(one["name"] for one in each["receivers"])
            for each in self._asked(labels)
        }

    def _asked(self, labels: Mapping[str, str]) -> list[dict[str, Any]]:
        filters = urllib.parse.urlencode(
            {"filter": [f'{name}="{value}"' for name, value in labels.items()]}, doseq=True
        )
        with urllib.request.urlopen(f"http://{self.at}/api/v2/alerts?{filters}", timeout=30) as got:
            found: list[dict[str, Any]] = json.load(got)
        return found

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://{self.at}/-/ready", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False
