"""`trace` among ten million messages: how long each way to ask takes; and what its index costs.

`python -m benchmarks.trace`. The tables hold ten million messages (filled by SQL, short payloads,
all indexes and partitions as in service); a hundred more came through dispatch, with corrections.
Each way to ask is measured over many ids taken by chance; the database has just been started.
"""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import time
from datetime import date
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import click
import msgspec
import uvloop

from benchmarks.results import BenchmarkFailed, Row, append, load_average, quantile, say_floor, show
from benchmarks.trace_fill import PARTITIONS, fill
from ops.bootstrap import Hub
from ops.runtime.clock import SystemClock
from ops.runtime.intake_postgres import PostgresIntakeLog
from ops.runtime.migrate import Instance, migrate
from ops.runtime.postgres import Pool, connected, open_pool
from ops.runtime.settings import load_settings
from ops.runtime.vault import FolderKeyStore, Vault
from ops.tracing.asking import trace
from ops.tracing.finding import Wanted
from schemas.report import ResultStatus
from tests.support.hub import Road
from tests.support.people import dominique, message, report
from tests.support.postgres import open_folder, scratch_server

_FLOOR_MS: Final = 200.0
_ORDERS: Final = 50
_TIMES: Final = 60
_INSTANCE: Final = "SELECT instance_id FROM instance"
SOME: Final = {
    "message id": 'SELECT message_id FROM outcome WHERE partition = $1 AND "offset" = $2',
    "report id": 'SELECT report_ids[1] FROM outcome WHERE partition = $1 AND "offset" = $2',
    "event id": "SELECT event_id FROM stream_event WHERE stream = 'public-health'"
    " AND partition = $1 AND seq = $2 + 1",
}
EVENTS: Final = """
INSERT INTO {table} (stream, partition, seq, event_id, report_id, event_version, kind, reason,
    realm, rule, rule_version, person_version, message_id, emitted_at, payload, part)
SELECT 'dossier', 0, n, gen_random_uuid(), gen_random_uuid(), 1, 'published', 'new', 'test', 'rule',
    '1', 1, gen_random_uuid(), now(), decode(repeat(md5(n::text), 64), 'hex'), ''
FROM generate_series($1::bigint, $2::bigint - 1) AS n
"""
_SUMMARY: Final = (
    "CREATE INDEX ON {table} USING brin (uuid_hash_extended(event_id, 0) int8_bloom_ops"
    " (n_distinct_per_range = 1490, false_positive_rate = 0.001))"
    " WITH (pages_per_range = 64, autosummarize = on);"
)
_SUMMARY_BEFORE: Final = (
    "CREATE INDEX ON {table} USING brin (event_id uuid_bloom_ops"
    " (n_distinct_per_range = 1000, false_positive_rate = 0.001))"
    " WITH (pages_per_range = 64, autosummarize = on);"
)
INDEXES: Final = {
    "none": "SELECT 1",
    "summary": _SUMMARY,
    # As long as the release before may run (0024, 0028).
    "both summaries": _SUMMARY + _SUMMARY_BEFORE,
    "tree": "CREATE INDEX ON {table} USING btree (event_id)",
}
_COST_ROWS: Final = 400_000
_BATCH: Final = 250


@click.command()
@click.option("--messages", type=int, default=10_000_000, show_default=True)
@click.option("--costs/--no-costs", default=True, help="What the index costs, too.")
@click.option("--folder", type=click.Path(path_type=Path), help="Filled before; it is kept.")
def main(messages: int, folder: Path | None, *, costs: bool) -> None:
    """Fill, measure, print, and append to results/trace.csv."""
    uvloop.run(_measure(messages, folder, with_costs=costs))


async def _measure(messages: int, kept: Path | None, *, with_costs: bool) -> None:
    folder = kept or open_folder()
    settings = {"max_wal_size": "4GB", "wal_level": "minimal", "max_wal_senders": "0"}
    server = scratch_server(folder, settings, shared_buffers_mb=512)
    try:
        await asyncio.to_thread(server.start)
        await migrate(server.connect_kwargs())
        async with connected(server.connect_kwargs(), "migrate") as connection:
            is_filled = await connection.fetchval(_INSTANCE) is not None
        if not is_filled:
            await fill(server.connect_kwargs(), messages)
        pool = await open_pool(server.connect_kwargs(), "dispatch")
        try:
            found = await _asked(pool, folder, messages)
        finally:
            await pool.close()
        costs = await _costs(server.connect_kwargs()) if with_costs else {}
    finally:
        await asyncio.to_thread(server.stop)
        if kept is None:
            shutil.rmtree(folder, ignore_errors=True)
    _tell(messages, found, costs)


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """How long one way to ask took, and the processor time of one question, server and client."""

    milliseconds: list[float]
    cpu_ms: float


async def _asked(pool: Pool, folder: Path, messages: int) -> dict[str, Asked]:
    """Return what was measured by the way to ask."""
    clock = SystemClock()
    async with pool.acquire() as connection:
        instance_id = await connection.fetchval(_INSTANCE)
    hub = Hub(
        settings=load_settings(data_dir=folder),
        instance=Instance(
            instance_id=instance_id,
            realm="test",
            engine="embedded",
            partitions=PARTITIONS,
            sealed_apart_from=date(2020, 1, 1),
        ),
        pool=pool,
        log=PostgresIntakeLog(pool),
        vault=Vault(FolderKeyStore(folder / "keys"), clock),
        clock=clock,
    )
    chosen = random.Random(messages)
    asked: dict[str, tuple[list[Wanted], int]] = {}
    for way, statement in SOME.items():
        ids = [await _one_of(pool, statement, chosen, messages) for _ in range(_TIMES)]
        asked[way] = [Wanted(ids=(str(each),)) for each in ids], 1
    run = f"{time.time_ns():x}"
    await _orders(Road(hub), run)
    numbers = [chosen.randrange(_ORDERS) for _ in range(_TIMES)]
    asked["control id"] = [Wanted(ids=(f"C-{run}-{n}",)) for n in numbers], 1
    asked["order"] = [Wanted(ids=(f"F-{run}-{n}",), laboratory="LAB1") for n in numbers], 2
    found = {}
    for way, (wishes, least) in asked.items():
        cpu = await _all_cpu_seconds(pool)
        times = [await _timed(hub, each, least) for each in wishes]
        used = (await _all_cpu_seconds(pool) - cpu) * 1_000 / len(times)
        found[way] = Asked(milliseconds=times, cpu_ms=used)
    return found


async def _all_cpu_seconds(pool: Pool) -> float:
    """Return what this process and the server's backends have used."""
    async with pool.acquire() as connection:
        rows = await connection.fetch(
            "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'labdispatch%'"
        )
    return time.process_time() + sum(_cpu_seconds(row["pid"]) for row in rows)


async def _one_of(pool: Pool, statement: str, chosen: random.Random, messages: int) -> UUID:
    async with pool.acquire() as connection:
        number: UUID = await connection.fetchval(
            statement, chosen.randrange(PARTITIONS), chosen.randrange(messages // PARTITIONS)
        )
    return number


async def _orders(road: Road, run: str) -> None:
    """Let orders come through dispatch, each with its correction."""
    for status, mark in ((ResultStatus.FINAL, ""), (ResultStatus.CORRECTED, "-again")):
        for n in range(_ORDERS):
            # A person each: the number of an INS is not looked at without one.
            somebody = dominique(ins=(), birth_given=f"ESSAI{n}", birth_givens=(f"ESSAI{n}",))
            told = report(status=status, filler_order_number=f"F-{run}-{n}")
            sent = message(somebody, told)
            named = msgspec.structs.replace(sent, control_id=f"C-{run}-{n}{mark}")
            await road.put(named)
        await road.dispatch()


async def _timed(hub: Hub, wanted: Wanted, least: int) -> float:
    began = time.perf_counter()
    ways = await trace(hub, wanted)
    milliseconds = (time.perf_counter() - began) * 1_000
    if len(ways) < least:
        raise BenchmarkFailed(f"{len(ways)} messages were found of {least}")
    return milliseconds


async def _costs(connect: Any) -> dict[str, tuple[float, float]]:
    """Return microseconds of the server and bytes of WAL an event, by the index on its id."""
    found = {}
    async with connected(connect, "migrate") as connection:
        pid = await connection.fetchval("SELECT pg_backend_pid()")
        for number, (name, index) in enumerate(INDEXES.items()):
            table = f"cost_{number}"
            await connection.execute(
                f"DROP TABLE IF EXISTS {table};"
                f"CREATE TABLE {table} (LIKE stream_event_dossier INCLUDING DEFAULTS);"
                f"ALTER TABLE {table} ADD PRIMARY KEY (stream, partition, seq);"
                f"CREATE INDEX ON {table} (report_id)"
            )
            await connection.execute(index.format(table=table))
            await connection.execute("CHECKPOINT")
            insert = EVENTS.format(table=table)
            wal = await connection.fetchval("SELECT pg_current_wal_insert_lsn()::text")
            cpu = _cpu_seconds(pid)
            for begin in range(0, _COST_ROWS, _BATCH):
                await connection.execute(insert, begin, begin + _BATCH)
            microseconds = (_cpu_seconds(pid) - cpu) / _COST_ROWS * 1e6
            written = await connection.fetchval(
                "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), $1::text::pg_lsn)::float8", wal
            )
            found[name] = (microseconds, written / _COST_ROWS)
            await connection.execute(f"DROP TABLE {table}")
    return found


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _tell(messages: int, found: dict[str, Asked], costs: dict[str, tuple[float, float]]) -> None:
    show(
        f"trace among {messages:,} messages",
        ("by", "asked", "first ms", "median ms", "p99 ms", "CPU ms"),
        [
            (way, len(each.milliseconds), f"{each.milliseconds[0]:.1f}",
             f"{quantile(each.milliseconds, 0.5):.1f}", f"{quantile(each.milliseconds, 0.99):.1f}",
             f"{each.cpu_ms:.1f}")
            for way, each in found.items()
        ],
    )  # fmt: skip
    show(
        "an index on the ids of events",
        ("index", "CPU of the server, us an event", "WAL, bytes an event"),
        [(name, f"{cpu:.1f}", f"{wal:.0f}") for name, (cpu, wal) in costs.items()],
    )
    worst = max(quantile(each.milliseconds, 0.99) for each in found.values())
    say_floor("trace", worst, _FLOOR_MS, "ms", most=True)
    about = {"messages": messages, "load": load_average()}
    rows = [
        Row(engine="embedded", parameters={**about, "by": way,
            "first_ms": round(each.milliseconds[0], 1), "cpu_ms": round(each.cpu_ms, 1),
            "p99_ms": round(quantile(each.milliseconds, 0.99), 1)},
            figure=quantile(each.milliseconds, 0.5), unit="ms of a trace, median")
        for way, each in found.items()
    ]  # fmt: skip
    rows += [
        Row(engine="embedded", parameters={**about, "index": name, "wal_bytes": round(wal)},
            figure=cpu, unit="us of the server an event", yardstick=costs["none"][0],
            ratio=cpu / costs["none"][0])
        for name, (cpu, wal) in costs.items()
    ]  # fmt: skip
    append("trace", rows, ["asyncpg"])


if __name__ == "__main__":
    main()
