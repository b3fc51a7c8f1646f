"""Whom Alertmanager tells: a webhook that notes each notification with its time."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec


class Notified(msgspec.Struct, frozen=True, kw_only=True):
    """One alert of a notification, as the person on call gets it."""

    at: float
    """Monotonic seconds."""
    alert: str
    severity: str
    is_firing: bool
    labels: dict[str, str]
    channel: str
    """The path it came to: which receiver of Alertmanager's it was."""


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
                    channel=path,
                )
            )
