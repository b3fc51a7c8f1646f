"""Rows a second from the outbox into Parquet, and the memory that it takes.

`python -m benchmarks.export`. The outbox is real (PostgreSQL with fsync, sealed payloads), the
events are those of simulated laboratories, one in ten is the newer version of an earlier one. Each
export runs in a process of its own, which tells its time, its processor time and the most memory it
ever had; a third of the events comes first, then all: memory is flat when both take the same. What
the files hold is counted and held against the stream's own count. Yardstick of the same run:
opening and decoding the same bodies, row after row, and nothing else.
"""

from __future__ import annotations

import asyncio
import json
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import click
import msgspec
import pyarrow as pa
import uvloop

from benchmarks.relay_events import events_of
from benchmarks.results import BenchmarkFailed, Row, append, load_average, say_floor, show
from ops.exporting.blocks import take_extraction
from ops.exporting.export import Exporter
from ops.exporting.extraction import encode_extraction
from ops.exporting.files import WRITTEN_WITH
from ops.exporting.manifest import Ask, Form, Manifest, State, held_folder
from ops.runtime.clock import SystemClock
from ops.runtime.ids import new_message_id
from ops.runtime.lifecycle import settle_memory
from ops.runtime.migrate import migrate
from ops.runtime.postgres import Pool, connected, open_pool
from ops.runtime.vault import FolderKeyStore, SealClass, Vault
from routing import outbox
from routing.emitted import PendingEvent, event_id_of
from schemas.events import EventKind, PublicHealthRow
from schemas.topics import Stream
from tests.support.postgres import open_folder, scratch_server

FLOOR: Final = 100_000.0
_INSTANCE: Final = UUID(int=1)
_PARTITIONS: Final = 16
_DISTINCT: Final = 3_000
_WRITTEN: Final = 500
"""Events a transaction: one in which a busy machine is silent for 5 s is ended by the server."""
_DAYS: Final = 2


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """One export."""

    state: str
    form: str
    events: int
    rows: int
    seconds: float
    cpu_seconds: float
    peak_bytes: int
    file_bytes: int


class _Silence:
    def reading(self, events: int, total: int) -> None:
        """Nobody looks."""

    def writing(self, rows: int, total: int) -> None:
        """Nobody looks."""


@click.command()
@click.option("--events", type=int, default=1_800_000, show_default=True, help="In the stream.")
@click.option("--clock", type=click.Choice(["wall", "cpu"]), default="wall", show_default=True,
              help="What a rate is of: `cpu` where others use the machine.")  # fmt: skip
@click.option("--child", default="", hidden=True)
def main(events: int, clock: str, child: str) -> None:
    """Measure, print, and append to results/export.csv."""
    if child:
        print(msgspec.json.encode(uvloop.run(_export(**json.loads(child)))).decode())
        return
    folder = open_folder()
    server = scratch_server(folder, shared_buffers_mb=512)
    try:
        server.start()
        found, yardstick = uvloop.run(_measure(server.connect_kwargs(), folder, events))
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
    _report(found, yardstick, clock)


async def _measure(
    connect: Mapping[str, Any], folder: Path, events: int
) -> tuple[list[Measured], float]:
    await migrate(connect)
    async with connected(connect, "looking") as connection:
        await connection.execute(
            "SELECT instance_init($1, 'test', 'embedded', $2)", _INSTANCE, _PARTITIONS
        )
    # As what fills and counts, which may take its time; what is measured has pools of its own.
    pool = await open_pool(connect, "migrate", max_size=2)
    vault = Vault(FolderKeyStore(folder / "keys"), SystemClock())
    try:
        await _fill(pool, vault, events // 3)
        runs = [_run(connect, folder, "latest", "parquet")]
        await _fill(pool, vault, events - events // 3)
        async with pool.acquire() as connection:
            await connection.execute("ANALYZE stream_event")
            standing = await connection.fetchval(
                "SELECT count(DISTINCT (report_id, part)) FROM stream_event"
            )
        for state, form in (("latest", "parquet"), ("events", "parquet"), ("latest", "csv")):
            runs.append(_run(connect, folder, state, form))
            if runs[-1].rows != (standing if state == "latest" else events):
                raise BenchmarkFailed("another number of rows than stand in the stream")
        return runs, await _yardstick(pool, vault)
    finally:
        await pool.close()


async def _fill(pool: Pool, vault: Vault, count: int) -> None:
    distinct = events_of(Stream.PUBLIC_HEALTH, _DISTINCT, _PARTITIONS)
    draw = random.Random(7)
    began = datetime(2026, 3, 1, tzinfo=UTC)
    earlier: list[PendingEvent] = []

    def seal(body: bytes, associated: bytes) -> bytes:
        return vault.seal(SealClass.STREAM, body, associated)

    for start in range(0, count, _WRITTEN):
        some = []
        for number in range(start, min(count, start + _WRITTEN)):
            if earlier and draw.random() < 0.1:
                # Which one goes is chance: the last takes its place, and none behind it moves.
                chosen = draw.randrange(len(earlier))
                earlier[chosen], earlier[-1] = earlier[-1], earlier[chosen]
                some.append(_newer(earlier.pop()))
                continue
            some.append(_other(distinct[number % _DISTINCT]))
            if draw.random() < 0.2:
                earlier.append(some[-1])
        async with pool.acquire() as connection, connection.transaction():
            await outbox.write(
                connection, some, seal, began + timedelta(days=_DAYS * start // count)
            )


def _other(event: PendingEvent) -> PendingEvent:
    report_id = new_message_id()
    return msgspec.structs.replace(
        event,
        report_id=report_id,
        event_id=event_id_of(event.stream, report_id, 1, event.part),
        message_id=new_message_id(),
    )


def _newer(event: PendingEvent) -> PendingEvent:
    version = event.event_version + 1
    return msgspec.structs.replace(
        event,
        event_id=event_id_of(event.stream, event.report_id, version, event.part),
        event_version=version,
        kind=EventKind.REVISED,
    )


def _run(connect: Mapping[str, Any], folder: Path, state: str, form: str) -> Measured:
    asked = {"connect": dict(connect), "folder": str(folder), "state": state, "form": form}
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.export", "--child", json.dumps(asked)],
        check=True,
        capture_output=True,
    )
    return msgspec.json.decode(done.stdout, type=Measured)


async def _export(connect: Mapping[str, Any], folder: str, state: str, form: str) -> Measured:
    pool = await open_pool(connect, "looking", max_size=2)
    vault = Vault(FolderKeyStore(Path(folder) / "keys"), SystemClock())
    ask = Ask(stream=Stream.PUBLIC_HEALTH, state=State(state), form=Form(form))
    out = Path(folder) / f"out-{time.monotonic_ns()}"
    settle_memory()  # as the command does
    pa.array([0])  # looks once for pandas, which a hub does not have
    began, cpu = time.perf_counter(), time.process_time()
    with held_folder(out):
        taken = await take_extraction(pool, ask.stream, _INSTANCE, datetime.now(UTC))
        manifest = Manifest(
            ask=ask,
            extraction=encode_extraction(taken),
            extracted_at=taken.at,
            written_with=WRITTEN_WITH,
        )
        done = await Exporter(pool, vault, out, manifest, taken, tell=_Silence()).run()
    measured = Measured(
        state=state,
        form=form,
        events=done.events,
        rows=done.rows,
        seconds=time.perf_counter() - began,
        cpu_seconds=time.process_time() - cpu,
        peak_bytes=_peak_bytes(),
        file_bytes=sum(each.size_bytes for each in done.files),
    )
    await pool.close()
    await asyncio.to_thread(shutil.rmtree, out)
    return measured


def _peak_bytes() -> int:
    """Return the most that this process held; `ru_maxrss` would tell the parent's, before exec."""
    told = Path("/proc/self/status").read_text()
    return int(told.partition("VmHWM:")[2].split()[0]) * 1024


async def _yardstick(pool: Pool, vault: Vault) -> float:
    """Return rows a second of processor time that are opened and decoded, and nothing else."""
    async with pool.acquire() as connection:
        rows = await connection.fetch("SELECT event_id, payload FROM stream_event LIMIT 50000")
    sealed = [(row["payload"], row["event_id"].bytes) for row in rows]
    decode = msgspec.json.Decoder(PublicHealthRow).decode
    best = float("inf")
    for _ in range(3):
        began = time.thread_time()
        for payload, associated in sealed:
            decode(vault.open(payload, associated))
        best = min(best, time.thread_time() - began)
    return len(sealed) / best


def _report(found: list[Measured], yardstick: float, clock: str) -> None:
    rows, lines = [], []
    for each in found:
        seconds = each.cpu_seconds if clock == "cpu" else each.seconds
        rate = each.events / seconds
        lines.append(
            (
                f"{each.state} {each.form}",
                f"{each.events:,}",
                f"{each.rows:,}",
                f"{rate:,.0f}",
                f"{1e6 * each.cpu_seconds / each.events:.2f}",
                f"{each.peak_bytes / 2**20:.0f}",
                f"{each.file_bytes / max(1, each.rows):.0f}",
            )
        )
        rows.append(
            Row(
                engine="embedded",
                parameters={
                    "state": each.state,
                    "form": each.form,
                    "events": each.events,
                    "rows": each.rows,
                    "clock": clock,
                    "wall_seconds": round(each.seconds, 2),
                    "cpu_us": round(1e6 * each.cpu_seconds / each.events, 2),
                    "peak_mib": round(each.peak_bytes / 2**20),
                    "bytes_a_row": round(each.file_bytes / max(1, each.rows)),
                    "load": load_average(),
                },
                figure=rate,
                unit=f"events/s into files ({clock})",
                yardstick=yardstick,
                ratio=rate / yardstick,
            )
        )
    append("export", rows, ("pyarrow", "asyncpg", "msgspec"))
    show(
        "From the outbox to files",
        ("export", "events", "rows", "events/s", "us of CPU", "MiB at most", "bytes a row"),
        lines,
    )
    say_floor(f"Parquet, all events ({clock})", _rate(found[2], clock), FLOOR, "rows/s")
    growth = found[1].peak_bytes / found[0].peak_bytes
    say_floor("memory of three times the events", growth, 1.02, "times", most=True)


def _rate(each: Measured, clock: str) -> float:
    return each.rows / (each.cpu_seconds if clock == "cpu" else each.seconds)


if __name__ == "__main__":
    main()
