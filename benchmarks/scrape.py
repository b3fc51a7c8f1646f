"""What a scrape costs with 4,500 laboratories: of all processes, and of each laboratory.

`python -m benchmarks.scrape` (`make bench-scrape`). Processes: files of `--processes` processes
that have told every metric under every label value of a closed set, a few of the others; the text
of one `/metrics`. Laboratories: a scratch database with `--days` of hours of `--laboratories`, all
of which send every hour; what `/metrics/laboratories` and `/v1/laboratories/figures` do from asking
to text, without the few seconds for which one answer serves all. With `--clock cpu` this process's
own time counts, not the server's.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from benchmarks.results import Row, append, load_average, quantile, say_floor, show
from ops.measuring.laboratories import Laboratories
from ops.measuring.routes import as_csv, as_open_metrics
from ops.runtime.clock import SystemClock
from ops.runtime.embedded import EmbeddedPostgres
from ops.runtime.metrics import render
from ops.runtime.migrate import migrate
from ops.runtime.postgres import open_pool
from ops.runtime.settings import METRICS_FOLDER_VARIABLE

_ROUNDS: Final = 20
_ASKED_SECONDS: Final = 0.2

FILL_LABS: Final = """
INSERT INTO lab (registry_id, state)
SELECT 'LAB' || to_char(n, 'FM00000'), 'live' FROM generate_series(1, $1) AS n
"""
FILL_HOURS: Final = """
INSERT INTO lab_hour (lab_id, hour, received, dispatched, duplicate, refused, parked, flagged,
                      last_at)
SELECT l.lab_id, h, 140, 130, 5, 4, 1, 20, h + interval '59 minutes'
FROM generate_series(date_trunc('hour', now()) - $1 * interval '1 day', now(), '1 hour') AS h, lab l
ORDER BY h, l.lab_id
"""
_EVERYTHING: Final = """
from itertools import islice, product
from ops.runtime.metrics import METRICS, Labelled
from ops.runtime.metrics.labels import Closed
for each in vars(METRICS).values():
    figures = [each]
    if isinstance(each, Labelled):
        sets = [of.values if isinstance(of, Closed) else ("some", "others", "200", "404")
                for of in each.sets.values()]
        figures = [each.labels(*values) for values in islice(product(*sets), 200)]
    for figure in figures:
        for act in ("set", "inc", "observe"):
            if hasattr(figure, act):
                getattr(figure, act)(1)
                break
"""


def main() -> None:
    """Measure, print, append rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--laboratories", type=int, default=4_500)
    parser.add_argument("--days", type=int, default=7)
    parser.add_argument("--processes", type=int, default=10)
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    given = parser.parse_args()
    clock = time.process_time if given.clock == "cpu" else time.perf_counter
    taken = {"/metrics": _processes(given.processes, clock)}
    taken |= asyncio.run(_laboratories(given.laboratories, given.days, clock))
    parameters = {
        "laboratories": given.laboratories,
        "days": given.days,
        "processes": given.processes,
        "clock": given.clock,
        "load": load_average(),
    }
    rows, lines = [], []
    for what, (seconds, size) in taken.items():
        middle, worst = quantile(seconds, 0.5), max(seconds)
        lines.append((what, f"{size:,}", f"{middle * 1e3:.1f}", f"{worst * 1e3:.1f}"))
        for share, figure in (("p50", middle), ("worst of 20", worst)):
            rows.append(
                Row(
                    engine="embedded",
                    parameters={"what": what, "share": share, "bytes": size, **parameters},
                    figure=figure,
                    unit="seconds",
                )
            )
    show("A scrape", ("what", "bytes", "p50 ms", "worst ms"), lines)
    for what, (seconds, _) in taken.items():
        say_floor(what, quantile(seconds, 0.5), _ASKED_SECONDS, "s", most=True)
    append("scrape", rows, ("prometheus_client", "asyncpg"))


def _processes(count: int, clock: Callable[[], float]) -> tuple[list[float], int]:
    folder = Path(tempfile.mkdtemp(prefix="labdispatch-scrape-"))
    try:
        environment = {**os.environ, METRICS_FOLDER_VARIABLE: str(folder)}
        for _ in range(count):
            subprocess.run([sys.executable, "-c", _EVERYTHING], env=environment, check=True)
        os.environ[METRICS_FOLDER_VARIABLE] = str(folder)
        seconds, size = [], 0
        for _ in range(_ROUNDS):
            began = clock()
            size = len(render())
            seconds.append(clock() - began)
        return seconds, size
    finally:
        os.environ.pop(METRICS_FOLDER_VARIABLE, None)
        shutil.rmtree(folder)


def _folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="labdispatch-scrape-"))
    folder.chmod(0o755)  # as root the server runs as somebody else
    return folder


async def _laboratories(
    count: int, days: int, clock: Callable[[], float]
) -> dict[str, tuple[list[float], int]]:
    folder = _folder()
    server = EmbeddedPostgres(folder / "data", state_dir=folder / "state", shared_buffers_mb=256)
    try:
        await asyncio.to_thread(server.start)
        connect = server.connect_kwargs()
        await migrate(connect)
        pool = await open_pool(connect, "api")
        async with pool.acquire() as connection:
            await connection.execute(FILL_LABS, count)
            await connection.execute(FILL_HOURS, days)
            await connection.execute("VACUUM ANALYZE lab_hour")
        taken: dict[str, tuple[list[float], int]] = {}
        for what, form in (
            ("/metrics/laboratories", as_open_metrics),
            ("/v1/laboratories/figures?format=csv", as_csv),
            ("/v1/laboratories/figures", msgspec.json.encode),
        ):
            seconds, size = [], 0
            for _ in range(_ROUNDS):
                began = clock()
                text = form(await Laboratories(pool, SystemClock()).ask(24))
                seconds.append(clock() - began)
                size = len(text)
            taken[what] = (seconds, size)
        await pool.close()
        return taken
    finally:
        await asyncio.to_thread(server.stop)
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
