"""Every figure the hub can give: what rules and panels may ask for."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

from ops.measuring.laboratories import Asked
from ops.measuring.routes import as_open_metrics
from ops.measuring.top import TOLD
from ops.runtime.metrics import METRICS, Gathered, Labelled

_THEN: Final = datetime(2026, 1, 1, tzinfo=UTC)


def given() -> dict[str, set[str]]:
    """Return each sample name with its labels, those of a scrape among them."""
    found: dict[str, set[str]] = {}
    endings = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
    for each in vars(METRICS).values():
        if isinstance(each, Gathered):  # no figure: where the door's come together
            continue
        metric = each.metric if isinstance(each, Labelled) else each
        (family,) = metric.describe()
        for ending in endings[family.type]:
            labels = {*metric._labelnames, "job", "instance"}
            found[family.name + ending] = labels | ({"le"} if ending == "_bucket" else set())
    scraped = {"job", "instance"}
    none = Asked(hours=24, since=_THEN, at=_THEN, laboratories=[])
    of_each = re.findall(r"(?m)^# TYPE (\w+) gauge", as_open_metrics(none))
    found |= {name: scraped | {"laboratory"} for name in [*TOLD, *of_each]}
    return {**found, "up": scraped, "process_start_time_seconds": scraped}
