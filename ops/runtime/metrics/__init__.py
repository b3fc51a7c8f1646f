"""Every metric, declared once, with a help text; labels come from closed sets.

A module a station (`door`, `dispatch`, ...), one table (`table.METRICS`). Where several processes
run under one supervisor their figures come together in a folder (prometheus_client's multiprocess
mode), and `/metrics` of the api process gives them all. docs/metrics.md lists them
(`python -m ops.metrics_page`).
"""

from __future__ import annotations

from .declaring import Labelled, Seconds
from .folder import Told, forget_process, render, serve
from .gathering import GATHERED_SECONDS, Gathered
from .table import GATHERED, METRICS, Metrics

__all__ = [
    "GATHERED",
    "GATHERED_SECONDS",
    "METRICS",
    "Gathered",
    "Labelled",
    "Metrics",
    "Seconds",
    "Told",
    "forget_process",
    "render",
    "serve",
]
