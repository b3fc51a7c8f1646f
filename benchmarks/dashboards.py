"""What the dashboards cost Prometheus over a week: every query of every panel.

`python -m benchmarks.dashboards` (`make bench-dashboards`). A week of every figure that a panel
asks for, under the values of its closed sets, a sample each `--every` seconds, put into a
Prometheus of its own (what is recorded, each half minute). Each query is asked as Grafana asks it
over seven days: a thousand points, the middle of three times; with `--clock cpu` Prometheus's own
processor time, where others use the machine.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from itertools import islice, product
from pathlib import Path
from typing import Final

from benchmarks.results import Row, append, load_average, show
from ops.grafana.dashboard import BOARDS
from ops.runtime.metrics import METRICS, Labelled
from ops.runtime.metrics.labels import Closed
from ops.runtime.settings import Settings
from tests.support.prometheus.figures import given
from tests.support.prometheus.resolve import programs
from tests.support.prometheus.rules import figures_of, recorded
from tests.support.prometheus.server import PrometheusServer

_WEEK: Final = 7 * 86_400
_BLOCK: Final = 7_200
_POINTS: Final = 1_000
_MOST_OF_A_FIGURE: Final = 24
_TOP: Final = Settings.model_fields["figures_top"].default
_BUCKETS: Final = ("0.001", "0.005", "0.01", "0.02", "0.05", "0.1", "0.25", "0.5", "1.0", "+Inf")
_RECORDED: Final[Mapping[str, tuple[str, ...]]] = {
    "labdispatch:outcomes:rate5m": ('{ending="dispatched"}', '{ending="duplicate"}'),
    "labdispatch:stream_events:rate5m": ('{stream="dossier"}', '{stream="public-health"}'),
}
_NO_WAY_ON: Final[Mapping[str, str]] = dict.fromkeys(recorded(), "")
"""What is recorded is asked as it stands."""


def main() -> None:
    """Measure, print, append rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=int, default=5, help="seconds between samples")
    parser.add_argument("--days", type=int, default=7)
    parser.add_argument("--laboratories", type=int, default=50)
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    arguments = parser.parse_args()
    queries = {
        query
        for board in BOARDS.values()
        for _, panels in board.rows
        for panel in panels
        for query, _ in panel.queries
    }
    wanted: set[str] = set().union(*(figures_of(q, _NO_WAY_ON) for q in queries))
    series = _series(wanted, arguments.laboratories)
    end = int(time.time()) // _BLOCK * _BLOCK
    start = end - arguments.days * 86_400
    with tempfile.TemporaryDirectory(prefix="ld-week-") as folder:
        server = PrometheusServer(Path(folder), {}, quick=False)
        for begins in range(start, end, _BLOCK):
            _fill(server, series, begins, arguments.every)
        server.start()
        try:
            taken = {
                query: _asked(server, query, end, arguments.days, arguments.clock)
                for query in queries
            }
        finally:
            server.stop()
    parameters = {
        "days": arguments.days,
        "every": arguments.every,
        "series": len(series),
        "queries": len(queries),
        "clock": arguments.clock,
        "load": load_average(),
    }
    slowest = max(taken, key=lambda query: taken[query])
    sys.stdout.write(f"slowest: {slowest}\n")
    ordered = sorted(taken.values())
    figures = {
        "slowest query": ordered[-1],
        "middle query": ordered[len(ordered) // 2],
        "all queries": sum(ordered),
    }
    rows = [
        Row(
            engine="prometheus",
            parameters={"what": what, **parameters},
            figure=value,
            unit="seconds",
        )
        for what, value in figures.items()
    ]
    append("dashboards", rows, ["prometheus_client"])
    lines = [(what, f"{value * 1_000:,.0f}") for what, value in figures.items()]
    show(f"a week on the dashboards, {len(series)} series", ("what", "ms"), lines)


def _series(wanted: set[str], laboratories: int) -> list[tuple[str, str]]:
    """Return name and labels of each series that panels ask for, in the order of families."""
    found: list[tuple[str, str]] = []
    for figure in sorted(wanted):
        labels = given()[figure]
        if "laboratory" in labels:
            count = min(_TOP, laboratories) if "_top_" in figure else laboratories
            found += [(figure, f'{{laboratory="LAB{n:05}"}}') for n in range(count)]
            continue
        sets = _sets_of(figure)
        values = islice(product(*sets.values()), _MOST_OF_A_FIGURE)
        for each in values:
            pairs = [f'{label}="{value}"' for label, value in zip(sets, each, strict=True)]
            pairs += ['job="api"', 'instance="127.0.0.1:8575"']
            for bucket in _BUCKETS if figure.endswith("_bucket") else ("",):
                le = [f'le="{bucket}"'] if bucket else []
                found.append((figure, "{" + ",".join(pairs + le) + "}"))
    for name in recorded():
        found += [(name, labels) for labels in _RECORDED.get(name, ("",))]
    return found


def _sets_of(figure: str) -> dict[str, tuple[str, ...]]:
    for each in vars(METRICS).values():
        if not isinstance(each, Labelled):
            continue
        (family,) = each.metric.describe()
        if figure in {family.name + ending for ending in ("", "_total", "_bucket", "_sum")}:
            return {
                label: of.values if isinstance(of, Closed) else ("some", "others", "third")
                for label, of in each.sets.items()
            }
    return {}


def _fill(server: PrometheusServer, series: list[tuple[str, str]], begins: int, every: int) -> None:
    """Put two hours of all series into Prometheus: a block, in one pass of promtool."""
    path = server.folder / "past.txt"
    with path.open("w") as file:
        told = ""
        for name, labels in series:
            family = name.removesuffix("_bucket").removesuffix("_total")
            if family != told:
                kind = "gauge" if ":" in name else _kind(name)
                file.write(f"# TYPE {family} {kind}\n")
                told = family
            file.writelines(_samples(name, labels, begins, every))
        file.write("# EOF\n")
    command = [str(programs().promtool), "tsdb", "create-blocks-from", "openmetrics", "--quiet"]
    subprocess.run([*command, path, server.data], check=True, timeout=900, capture_output=True)


def _kind(name: str) -> str:
    if name.endswith("_bucket"):
        return "unknown"  # one by one: OpenMetrics wants a histogram's buckets beside each other
    return "counter" if name.endswith("_total") else "gauge"


def _samples(name: str, labels: str, begins: int, every: int) -> Iterator[str]:
    speed = 1 + len(labels) % 7
    step = 30 if ":" in name else every
    grows = name.endswith(("_total", "_bucket"))
    for at in range(begins, begins + _BLOCK, step):
        value = at % 1_000_000 * speed if grows else 10 + at // step % 13
        yield f"{name}{labels} {value} {at}\n"


def _asked(server: PrometheusServer, query: str, end: int, days: int, clock: str) -> float:
    """Return how long a query over the whole time takes: the middle of three."""
    now = time.perf_counter if clock == "wall" else lambda: _used_by(server)
    step = days * 86_400 / _POINTS
    query = query.replace("$__rate_interval", f"{int(step) + 15}s")
    query = query.replace("$laboratory", "LAB00001")
    taken = []
    for _ in range(3):
        began = now()
        server.between(query, end - days * 86_400, end, step)
        taken.append(now() - began)
    return sorted(taken)[1]


def _used_by(server: PrometheusServer) -> float:
    """Return the processor time that Prometheus has used, all its threads together."""
    assert server.process is not None
    told = Path(f"/proc/{server.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(told[11]) + int(told[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
