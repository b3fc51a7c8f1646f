"""What doubts cost a report, and what holds cost the database when very many wait.

`python -m benchmarks.holds`. Doubts: the thread's own time, best of five rounds, beside the finding
of what the same report says. Holds: a scratch database with `--holds` rows, nearly all of them
waiting for an INS; the list of the oldest of one reason, the figures of all, and a batch of 100 new
ones with the index that makes both cheap, and without it.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from benchmarks.results import Row, append, load_average, show
from ops.holding import queries
from ops.holding.looking import Wish, list_holds
from ops.holding.reasons import PAIRS
from ops.runtime.embedded import EmbeddedPostgres
from ops.runtime.migrate import migrate
from ops.runtime.postgres import connected
from routing.doubts import Doubt, doubts_of
from routing.findings import findings_of
from routing.holds import Hold, write_holds
from routing.rules import NOT_QUALIFIED
from schemas.patient import Traits
from schemas.report import Coded, LabReport, Observation, ResultStatus
from schemas.topics import Stream

_ROUNDS: Final = 5
_CALLS: Final = 20_000
_TRIES: Final = 30
_BATCH: Final = 100

FILL: Final = """
INSERT INTO report (report_id, report_key, lab_id, person_id, version, status, status_rank,
                    content_digest, partition, "offset", position, first_at, updated_at)
SELECT r.id, r.id, 1, 1, 1, 'F', 4, r.id, 0, r.n, 1, now(), now()
FROM (SELECT n, gen_random_uuid() AS id FROM generate_series(1, $1) AS n) AS r
"""
FILL_HOLDS: Final = """
INSERT INTO hold (report_id, stream, reason, since)
SELECT r.report_id, 'dossier',
       CASE WHEN r."offset" % 1000 = 0 THEN 'status_contradicts' ELSE 'identity_not_qualified' END,
       now() - r."offset" * interval '1 second'
FROM report r
"""


def _reports() -> dict[str, LabReport]:
    pcr = Coded("94500-6", "SARS-CoV-2 RNA", "LN")
    found = Coded("260373001", "Detected", "SCT")
    haemoglobin = Coded("718-7", "Haemoglobin", "LN")

    def of(*observations: Observation) -> LabReport:
        return LabReport(
            position=1,
            code=observations[0].code,
            status=ResultStatus.FINAL,
            collected_at="2026-11-20T09:00:00+01:00",
            observations=observations,
        )

    return {
        "a PCR": of(Observation(position=1, code=pcr, value="Detected", coded=found)),
        "20 OBX of nothing tracked": of(
            *(Observation(position=n, code=haemoglobin, number="13.2") for n in range(1, 21))
        ),
        "a PCR without an answer": of(Observation(position=1, code=pcr, value="see comment")),
    }


def _microseconds(call: Callable[[], object]) -> float:
    best = float("inf")
    for _ in range(_ROUNDS):
        begin = time.thread_time()
        for _ in range(_CALLS):
            call()
        best = min(best, (time.thread_time() - begin) / _CALLS)
    return best * 1e6


def measure_doubts() -> list[Row]:
    """Measure what it costs to say what is in doubt."""
    rows = []
    traits = Traits(birth_date="1979-03-28")
    for name, report in _reports().items():
        findings = findings_of(report)
        doubts = _microseconds(partial(doubts_of, report, traits, findings))
        beside = _microseconds(partial(findings_of, report))
        rows.append(
            Row(
                engine="none",
                parameters={"report": name, "clock": "cpu", "load": load_average()},
                figure=round(doubts, 2),
                unit="us/report (doubts; yardstick: findings)",
                yardstick=round(beside, 2),
                ratio=round(doubts / beside, 2),
            )
        )
    return rows


async def _milliseconds(work: Callable[[], Awaitable[object]]) -> float:
    times = []
    for _ in range(_TRIES):
        begin = time.perf_counter()
        await work()
        times.append(time.perf_counter() - begin)
    return sorted(times)[len(times) // 2] * 1e3


async def measure_holds(connection: Any, count: int) -> list[Row]:
    """Measure list, figures and new holds beside so many that wait."""
    await connection.execute("INSERT INTO lab (registry_id) VALUES ('990010001')")
    await connection.execute(FILL, count, timeout=600)
    await connection.execute(FILL_HOLDS, timeout=600)
    await connection.execute("VACUUM ANALYZE hold", timeout=600)
    await connection.execute("VACUUM ANALYZE report", timeout=600)
    now = datetime.now(UTC) + timedelta(minutes=1)
    doubted = Wish(stream=Stream.DOSSIER.value, reason=Doubt.STATUS_CONTRADICTS.value)
    streams, reasons = [s for s, _ in PAIRS], [r for _, r in PAIRS]

    async def fresh() -> None:
        new = {(uuid4(), Stream.DOSSIER): Hold(NOT_QUALIFIED) for _ in range(_BATCH)}
        async with connection.transaction():
            await write_holds(connection, new, [], now)

    found = {
        "the 50 oldest of one reason": await _milliseconds(
            lambda: list_holds(connection, doubted, now)
        ),
        "the 50 oldest of all": await _milliseconds(lambda: list_holds(connection, Wish(), now)),
        "figures of every stream and reason": await _milliseconds(
            lambda: connection.fetch(queries.FIGURES, streams, reasons, 100_000)
        ),
    }
    with_index = await _milliseconds(fresh)
    await connection.execute("DROP INDEX hold_oldest")
    without = await _milliseconds(fresh)
    about = {"holds": count, "clock": "wall, median", "load": load_average()}
    rows = [
        Row(engine="embedded", parameters={**about, "what": what}, figure=round(ms, 2), unit="ms")
        for what, ms in found.items()
    ]
    rows.append(
        Row(
            engine="embedded",
            parameters={**about, "what": f"{_BATCH} new holds, one transaction"},
            figure=round(with_index, 2),
            unit="ms (yardstick: without the index hold_oldest)",
            yardstick=round(without, 2),
            ratio=round(with_index / without, 2),
        )
    )
    return rows


def _folder() -> Path:
    """Make a folder that the server's own user can reach."""
    folder = Path(tempfile.mkdtemp(prefix="ld-"))
    folder.chmod(0o711)
    return folder


async def _on_scratch(count: int) -> list[Row]:
    folder = _folder()
    server = EmbeddedPostgres(folder / "data", state_dir=folder / "state", shared_buffers_mb=256)
    try:
        await asyncio.to_thread(server.start)
        connect = server.connect_kwargs()
        await migrate(connect)
        async with connected(connect, "migrate") as connection:
            return await measure_holds(connection, count)
    finally:
        await asyncio.to_thread(server.stop)
        shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    """Measure, show, and append the rows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--holds", type=int, default=1_000_000, help="Rows that wait.")
    asked = parser.parse_args()
    rows = [*measure_doubts(), *asyncio.run(_on_scratch(asked.holds))]
    append("holds", rows, ["msgspec", "asyncpg"])
    show(
        "holds",
        ["what", "figure", "unit", "yardstick"],
        [
            (
                row.parameters.get("report") or row.parameters["what"],
                row.figure,
                row.unit,
                row.yardstick if row.yardstick is not None else "",
            )
            for row in rows
        ],
    )


if __name__ == "__main__":
    main()
