"""How long a day's tables take, of 12 M results a day: asked for, and published anew.

`python -m benchmarks.tables`. A scratch server holds the cells of a national hub at its largest day
for weeks (12 M results a day over all departments, ages and sexes), put there by SQL; two weeks of
them are published by the parts of the process `indicators`, and four hundred days of published
tables are put beside them. Then figures are asked for as HTTP and commands ask for them: many
times, and as the first question to a server just started, whose files nobody has in memory.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import shutil
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final

from benchmarks.results import Row, append, load_average, quantile, say_floor, show
from ops.indicators import packing
from ops.indicators.answering import Published
from ops.indicators.asking import read_asked
from ops.indicators.extracting import TableExtractor
from ops.indicators.protection import Protection
from ops.runtime.postgres import Pool, open_pool
from routing.disclosure import Policy
from routing.indicator_cells import MEASURES
from schemas.areas import departments
from schemas.areas.population import synthetic_population
from schemas.figures import AGE_CLASSES
from tests.support.postgres import clone, make_template, open_folder, scratch_server

CEILING_MILLISECONDS: Final = 200.0
RESULTS_A_DAY: Final = 12_000_000
_TODAY: Final = date(2026, 3, 20)
_WEEKS: Final = 3
_PUBLISHED_DAYS: Final = 400
_CONDITION: Final = "sars-cov-2"
_ASKED: Final = 200
_COLD: Final = 5
_FILL: Final = """
INSERT INTO indicator_cell (condition, period, day, department, packed)
SELECT $1, 'day', day, department, packed
FROM generate_series($2::integer, $3::integer) AS day,
     unnest($4::text[], $5::bytea[]) AS sample (department, packed)
"""
_DUE: Final = """
INSERT INTO indicator_due (condition, period, day, batch)
SELECT $1, 'day', day, 0 FROM generate_series($2::integer, $3::integer) AS day
"""
_BEFORE: Final = """
INSERT INTO indicator_table (condition, period, day, level, extraction, figures)
SELECT condition, period, day - 7 * weeks, level, extraction, figures
FROM indicator_table, generate_series(2, $1::integer) AS weeks
WHERE day BETWEEN $2 AND $3 AND period = 'day'
ON CONFLICT DO NOTHING
"""


def main() -> None:
    """Measure, print, and append to results/tables.csv."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    rows = asyncio.run(_run())
    append("tables", rows, ("msgspec", "asyncpg"))
    show("Tables of 12 M results a day", ("what", "figure"), [
        (row.parameters["what"], f"{row.figure:,.1f} {row.unit}") for row in rows
    ])  # fmt: skip
    say_floor("a day's national table, p99", rows[0].figure, CEILING_MILLISECONDS, "ms", most=True)


async def _run() -> list[Row]:
    folder = open_folder()
    server = scratch_server(folder, shared_buffers_mb=256)
    try:
        server.start()
        await make_template(server)
        database = await clone(server)
        pool = await open_pool(database.connect_kwargs, "indicators", max_size=4)
        try:
            rows = await _measure(pool)
        finally:
            await pool.close()
        cold: dict[str, list[float]] = {}
        for _ in range(_COLD):
            for what, pairs in _questions().items():
                server.stop()
                _forget(folder)
                server.start()
                # Asked anew: each start may give another way in.
                connect = {**server.connect_kwargs(), "database": database.name}
                cold.setdefault(what, []).append(await _first(connect, pairs))
        return rows + [_row(f"{what}, cold", max(each), "ms") for what, each in cold.items()]
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


async def _measure(pool: Pool) -> list[Row]:
    last = _TODAY.toordinal()
    first = last - 7 * _WEEKS
    names, packed = _sample()
    async with pool.acquire() as connection:
        await connection.execute(_FILL, _CONDITION, first, last, names, packed)
        await connection.execute(_DUE, _CONDITION, last - 7, last)
    protection = Protection(policy=Policy(), population=synthetic_population())
    extractor = TableExtractor(pool, protection, 10)
    at = datetime(2026, 3, 20, 12, tzinfo=UTC)
    own, wall = time.process_time(), time.monotonic()
    await extractor.extract(at, 0, 0)
    own, wall = time.process_time() - own, time.monotonic() - wall
    async with pool.acquire() as connection:
        tables = await connection.fetchval("SELECT tables FROM indicator_extraction")
        await connection.execute(_BEFORE, _PUBLISHED_DAYS // 7, last - 7, last - 1)
        await connection.execute("ANALYZE indicator_table")
    published = Published(pool, 10_000)
    found = []
    for what, pairs in _questions().items():
        question = read_asked(pairs)
        assert (await published.figures(_CONDITION, question)).figures
        cpu = time.process_time()
        milliseconds = await _times(lambda q=question: published.figures(_CONDITION, q))  # type: ignore[misc]
        cpu = 1_000 * (time.process_time() - cpu) / _ASKED
        found.append(_row(f"{what}, p99", quantile(milliseconds, 0.99), "ms"))
        found.append(_row(f"{what}, own time", cpu, "ms"))
    found.append(_row(f"published anew: {tables} tables, own time", own, "s"))
    found.append(_row(f"published anew: {tables} tables, wall", wall, "s"))
    return found


def _questions() -> dict[str, list[tuple[str, str]]]:
    day = _TODAY.replace(day=16).isoformat()
    of_day = [("from", day), ("to", day), ("age_class", "*"), ("sex", "*")]
    return {
        "a day of France, all ages and sexes": of_day,
        "a day of France, regions and departments": [*of_day, ("area", "regions,departments")],
        "four hundred days of France": [("to", _TODAY.isoformat())],
    }


async def _first(connect: dict[str, Any], pairs: list[tuple[str, str]]) -> float:
    """Return how long the first question takes, connected already."""
    pool = await open_pool(connect, "indicators", max_size=4)
    try:
        async with pool.acquire() as connection:
            await connection.fetchval("SELECT 1")
        published = Published(pool, 10_000)
        began = time.monotonic()
        assert (await published.figures(_CONDITION, read_asked(pairs))).figures
        return 1_000 * (time.monotonic() - began)
    finally:
        await pool.close()


def _forget(folder: Path) -> None:
    """Let the system forget what it holds of files; of files in memory it cannot."""
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            handle = os.open(path, os.O_RDONLY)
            try:
                os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(handle)


async def _times(ask: Callable[[], Awaitable[Any]]) -> list[float]:
    found = []
    for _ in range(_ASKED):
        began = time.monotonic()
        await ask()
        found.append(1_000 * (time.monotonic() - began))
    return found


def _sample() -> tuple[list[str], list[bytes]]:
    source = random.Random(20261127)
    whole = sum(each.population for each in departments().values())
    names, packed = [], []
    for code, each in departments().items():
        cells = {}
        for age in (*AGE_CLASSES, ""):
            for sex, share in (("F", 0.5), ("M", 0.48), ("U", 0.02)):
                tests = int(RESULTS_A_DAY * each.population / whole / 11 * share)
                counts = [0] * MEASURES
                counts[0] = counts[4] = counts[6] = tests
                counts[8] = counts[10] = tests * 6
                counts[1] = counts[5] = counts[7] = int(tests * source.uniform(0.01, 0.2))
                counts[9] = counts[11] = counts[1] * 7
                cells[age + sex] = counts
        content = packing.pack(packing.Packed(cells=cells, delays=[1_000] * 23))
        assert content is not None
        names.append(code)
        packed.append(content)
    return names, packed


def _row(what: str, figure: float, unit: str) -> Row:
    return Row(
        engine="embedded",
        parameters={"what": what, "load": load_average()},
        figure=figure,
        unit=unit,
    )


if __name__ == "__main__":
    main()
