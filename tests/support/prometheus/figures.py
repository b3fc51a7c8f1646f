"""Every figure the hub can give: what rules and panels may ask for."""

from __future__ import annotations

from ops.runtime.metrics import METRICS, Gathered, Labelled


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
    return {**found, "up": scraped, "process_start_time_seconds": scraped}
