"""The figures as text: of this process, or of all that share a folder."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, generate_latest, start_http_server
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import REGISTRY

from ops.runtime.settings import metrics_folder


def render() -> bytes:
    """Return the figures as Prometheus text: of all processes where they share a folder."""
    folder = metrics_folder()
    if folder is None:
        return generate_latest(REGISTRY)
    registry = CollectorRegistry()
    MultiProcessCollector(registry, str(folder))  # type: ignore[no-untyped-call]
    return generate_latest(registry)


def serve(host: str, port: int) -> None:
    """Give this process's own `/metrics` on a port of its own; 0 = not at all."""
    if port:
        start_http_server(port, addr=host)


def forget_process(folder: str, pid: int) -> None:
    """Let the live gauges of a process that ended go; its counters stay."""
    mark_process_dead(pid, folder)  # type: ignore[no-untyped-call]
