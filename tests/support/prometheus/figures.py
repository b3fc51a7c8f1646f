"""Every figure the hub can give: what rules and panels may ask for."""

from __future__ import annotations

import functools
import os
import re
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from typing import Final

from ops.measuring.laboratories import Asked
from ops.measuring.routes import as_open_metrics
from ops.measuring.top import TOLD
from ops.runtime.metrics import METRICS, Gathered, Labelled
from ops.runtime.settings import METRICS_FOLDER_VARIABLE

_THEN: Final = datetime(2026, 1, 1, tzinfo=UTC)
_SCRAPE: Final = "from ops.runtime.metrics import render; print(render().decode())"


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
    own = {"up": scraped, "ALERTS": {*scraped, "alertname", "alertstate", "severity", "cause"}}
    return {**found, **own, **dict.fromkeys(of_the_client(is_shared=False), scraped)}


@functools.cache
def of_the_client(*, is_shared: bool) -> frozenset[str]:
    """Return what a scrape holds beside our table: of a process alone, or of those of a `run`.

    Read from a process that gives its figures: where they come together in a folder the client
    leaves out what it says of the process itself.
    """
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, METRICS_FOLDER_VARIABLE: folder if is_shared else ""}
        if not is_shared:
            del environment[METRICS_FOLDER_VARIABLE]
        done = subprocess.run(
            [sys.executable, "-c", _SCRAPE],
            env=environment, capture_output=True, text=True, check=True, timeout=300,
        )  # fmt: skip
    names = set(re.findall(r"(?m)^(\w+)[ {]", done.stdout))
    assert any(name.startswith("labdispatch_") for name in names)
    return frozenset(name for name in names if not name.startswith("labdispatch_"))
