"""What the account by day costs: a record, and a day of 12 million messages.

`python -m benchmarks.account`. A scratch database with `--records` rows in the log (1 kB each) and
as many outcomes, of 4,496 laboratories over two days, one in fifty refused; counted as a running
hub counts a backlog, `account_batch_records` at a time. Time of the thread and of the database's
own process.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from uuid import uuid4

from benchmarks.results import BenchmarkFailed, Row, append, load_average, show
from ops.accounting.counting import CountLimits, count_once
from ops.runtime.migrate import migrate
from ops.runtime.postgres import Pool, open_pool
from tests.support.postgres import open_folder, scratch_server

_PARTITIONS: Final = 16
_BATCH: Final = 50_000
_A_DAY: Final = 12_000_000
_TICKS: Final = 100
"""Of /proc: a hundredth of a second."""

FILL_LOG: Final = """
INSERT INTO intake (partition, "offset", message_id, lab_id, kind, received_at, inbox_key,
                    control_key, payload)
SELECT n % 16, n / 16, gen_random_uuid(), n % 4496 + 1,
       CASE WHEN n % 50 = 0 THEN 2 ELSE 1 END,
       timestamptz '2026-11-26 12:00Z' + n * interval '1 second' * 86400 / $1,
       gen_random_uuid(), n, decode(repeat('ab', 1000), 'hex')
FROM generate_series(0, $1 - 1) AS n
"""
FILL_OUTCOMES: Final = """
INSERT INTO outcome (partition, "offset", message_id, lab_id, control_key, ending, reason,
                     report_ids, received_at, decided_at)
SELECT partition, "offset", message_id, lab_id, control_key,
       CASE WHEN kind = 2 THEN 'refused' ELSE 'dispatched' END,
       CASE WHEN kind = 2 THEN 'pid_missing' ELSE '' END,
       CASE WHEN kind = 2 THEN '{}'::uuid[] ELSE ARRAY[message_id] END, received_at, received_at
FROM intake
"""
MOVE: Final = """
UPDATE intake_progress SET next_offset = $1 / 16
"""
HEADS: Final = "UPDATE intake_head SET next_offset = $1 / 16"


async def _fill(pool: Pool, records: int) -> int:
    """Fill the tables; return the pid of the one connection's process."""
    async with pool.acquire() as connection:
        await connection.fetchval("SELECT instance_init($1, 'test', 'embedded', $2)", uuid4(),
                                  _PARTITIONS)  # fmt: skip
        await connection.execute(FILL_LOG, records)
        await connection.execute(FILL_OUTCOMES)
        await connection.execute(MOVE, records)
        await connection.execute(HEADS, records)
        await connection.execute("VACUUM ANALYZE intake")
        await connection.execute("VACUUM ANALYZE outcome")
        return int(await connection.fetchval("SELECT pg_backend_pid()"))


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


async def _measure(connect: dict[str, object], records: int) -> list[Row]:
    await migrate(connect)
    pool = await open_pool(connect, "migrate", max_size=1)
    try:
        pid = await _fill(pool, records)
        limits = CountLimits(records=_BATCH, in_flight=500_000, close_seconds=900)
        wall, own, base = time.perf_counter(), time.process_time(), _cpu_seconds(pid)
        longest, counted = 0.0, 0
        while True:
            began = time.perf_counter()
            done = await count_once(pool, None, datetime.now(UTC), limits)
            longest = max(longest, time.perf_counter() - began)
            counted += done.records
            if not done.behind:
                break
        wall, own = time.perf_counter() - wall, time.process_time() - own
        database = _cpu_seconds(pid) - base
        async with pool.acquire() as connection:
            rows = await connection.fetchval("SELECT count(*) FROM account_day")
            found = await connection.fetchval(
                "SELECT sum(records) FROM account_day WHERE name = 'received'"
            )
            gaps = await connection.fetchval("SELECT count(*) FROM account_gap")
    finally:
        await pool.close()
    if (counted, found, gaps) != (records, records, 0):
        raise BenchmarkFailed(f"{counted} counted, {found} kept, {gaps} gaps")
    about = {"records": records, "rows": rows, "load": f"{load_average():.2f}"}
    each = (own + database) / records
    return [
        Row(engine="embedded", parameters=about, figure=each * 1e6, unit="us/record (CPU)"),
        Row(engine="embedded", parameters=about, figure=database / records * 1e6,
            unit="us/record (CPU of PostgreSQL)"),
        Row(engine="embedded", parameters=about, figure=each * _A_DAY,
            unit="s of CPU for 12 M messages"),
        Row(engine="embedded", parameters=about, figure=records / wall, unit="records/s"),
        Row(engine="embedded", parameters=about, figure=longest, unit="s for the longest count"),
    ]  # fmt: skip


def main() -> None:
    """Measure and write down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--dry", action="store_true", help="Write no row.")
    asked = parser.parse_args()
    folder = open_folder()
    server = scratch_server(folder)
    try:
        server.start()
        rows = asyncio.run(_measure(server.connect_kwargs(), asked.records // 16 * 16))
    finally:
        server.stop()
        shutil.rmtree(folder)
    show("The account by day", ["figure", "unit"], [[f"{r.figure:.4g}", r.unit] for r in rows])
    if not asked.dry:
        append("account", rows, ["asyncpg"])


if __name__ == "__main__":
    main()
