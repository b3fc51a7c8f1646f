"""Figures of this process alone, made when they are told."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client.metrics_core import GaugeMetricFamily, Metric


def gauge_family(name: str, documentation: str, label: str, values: Mapping[str, float]) -> Metric:
    """Return a gauge with one label, a value each."""
    family = GaugeMetricFamily(name, documentation, labels=[label])
    for value, figure in values.items():
        family.add_metric([value], figure)
    return family
