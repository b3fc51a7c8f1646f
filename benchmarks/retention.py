"""The purge of a day of a million messages while a door takes others: how long, and who waited.

`python -m benchmarks.retention`. A million records and two million events lie in the tables (filled
by SQL, payloads of the size that ours have sealed), all of one day; a door appends beside, one
record at a time. Measured: the longest append while nothing else happens, then while the day goes.
The yardstick of a stall is the longest append of the same length of time without a purge.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import click
import uvloop

from benchmarks.results import BenchmarkFailed, Row, append, load_average, quantile, say_floor, show
from ops.asking import Asker
from ops.retention.ages import Ages
from ops.retention.parts import PartLimits
from ops.retention.purge import Purger, Scope
from ops.runtime.clock import SystemClock
from ops.runtime.ids import new_message_id
from ops.runtime.intake_postgres import PostgresIntakeLog
from ops.runtime.migrate import migrate
from ops.runtime.postgres import connected, open_pool
from ops.runtime.vault import FolderKeyStore, SealClass, Vault
from schemas.envelope import IntakeRecord, RecordKind
from tests.support.postgres import open_folder, scratch_server

_PARTITIONS: Final = 16
_AHEAD: Final = timedelta(days=91)
_QUIET_SECONDS: Final = 20.0
_PURGE_SECONDS: Final = 60.0
_STALL_MS: Final = 100.0
_BYTES = "decode(repeat(md5(n::text || {salt}), 16), 'hex')"

FILL_INTAKE: Final = f"""
INSERT INTO intake (partition, "offset", message_id, lab_id, kind, received_at, inbox_key,
                    control_key, payload)
SELECT n % {_PARTITIONS}, n / {_PARTITIONS}, gen_random_uuid(), 1, 0, now(), gen_random_uuid(), n,
       {_BYTES.format(salt="'i'")} || {_BYTES.format(salt="'j'")}
FROM generate_series($1::bigint, $2::bigint - 1) AS n
"""
FILL_EVENTS: Final = f"""
INSERT INTO stream_event (stream, partition, seq, event_id, report_id, event_version, kind, reason,
    realm, rule, rule_version, person_version, message_id, emitted_at, payload, part)
SELECT $3, n % {_PARTITIONS}, n / {_PARTITIONS} + 1, gen_random_uuid(), gen_random_uuid(), 1,
       'published', 'new', 'test', 'rule', '1', 1, gen_random_uuid(), now(),
       {_BYTES.format(salt="$3")}, ''
FROM generate_series($1::bigint, $2::bigint - 1) AS n
"""
HEADS: Final = (
    "UPDATE intake_head SET next_offset = $1::bigint",
    "UPDATE intake_progress SET next_offset = $1::bigint",
    "UPDATE stream_head SET last_seq = $1::bigint WHERE stream <> 'public-health'",
)
_STEP: Final = 100_000


class _Door:
    """Appends one record after the other, as a door does, and keeps how long each took."""

    def __init__(self, log: PostgresIntakeLog, vault: Vault, per_second: float) -> None:
        self._log = log
        self._vault = vault
        self._pause = 1 / per_second
        self.milliseconds: list[float] = []

    async def run(self) -> None:
        number = 0
        while True:
            await asyncio.sleep(self._pause)
            number += 1
            message_id = new_message_id()
            record = IntakeRecord(
                partition=number % _PARTITIONS,
                message_id=message_id,
                lab_id=1,
                kind=RecordKind.MESSAGE,
                received_at=datetime.now(UTC) + _AHEAD,
                inbox_key=message_id,
                control_key=number,
                payload=self._vault.seal(SealClass.INTAKE, b"x" * 100, message_id.bytes),
            )
            began = time.perf_counter()
            await self._log.append([record])
            self.milliseconds.append((time.perf_counter() - began) * 1_000)


class _Ahead:
    """The clock of the day on which it is of age."""

    def now(self) -> datetime:
        return datetime.now(UTC) + _AHEAD


@click.command()
@click.option("--messages", type=int, default=1_000_000, show_default=True)
@click.option("--per-second", type=float, default=170.0, show_default=True)
def main(messages: int, per_second: float) -> None:
    """Fill, measure, print, and append to results/retention.csv."""
    uvloop.run(_measure(messages, per_second))


async def _measure(messages: int, per_second: float) -> None:
    folder = open_folder()
    server = scratch_server(folder, {"max_wal_size": "4GB"}, shared_buffers_mb=512)
    try:
        await asyncio.to_thread(server.start)
        await migrate(server.connect_kwargs())
        await _run(server.connect_kwargs(), folder, messages, per_second)
    finally:
        await asyncio.to_thread(server.stop)
        shutil.rmtree(folder, ignore_errors=True)


async def _run(connect: Any, folder: Path, messages: int, per_second: float) -> None:
    vault = Vault(FolderKeyStore(folder / "keys"), SystemClock())
    for seal_class in (SealClass.INTAKE, SealClass.STREAM, SealClass.IDENTITY):
        vault.seal(seal_class, b"x", b"x")
    await _fill(connect, messages)
    pool = await open_pool(connect, "ingest")
    try:
        door = _Door(PostgresIntakeLog(pool), vault, per_second)
        works = asyncio.create_task(door.run())
        await asyncio.sleep(2)
        door.milliseconds.clear()
        await asyncio.sleep(_QUIET_SECONDS)
        quiet = list(door.milliseconds)
        door.milliseconds.clear()
        seconds, rows = await _purge(connect, vault, messages)
        during = list(door.milliseconds)
        # What is dropped is freed by the file system and the next checkpoint: it belongs to it.
        await asyncio.sleep(_QUIET_SECONDS)
        after = list(door.milliseconds)[len(during) :]
        works.cancel()
        await asyncio.gather(works, return_exceptions=True)
    finally:
        await pool.close()
    phases = {"before": quiet, "purge": during, "after": after}
    _tell(messages, per_second, (seconds, rows), phases)


async def _fill(connect: Any, messages: int) -> None:
    async with connected(connect, "migrate") as connection:
        await connection.execute(
            "SELECT instance_init($1, 'test', 'embedded', $2)", uuid4(), _PARTITIONS
        )
        await connection.execute("INSERT INTO lab (registry_id) VALUES ('LAB1')")
        for begin in range(0, messages, _STEP):
            end = min(begin + _STEP, messages)
            await connection.execute(FILL_INTAKE, begin, end)
            for stream in ("dossier", "contact-tracing"):
                await connection.execute(FILL_EVENTS, begin, end, stream)
        for statement in HEADS:
            await connection.execute(statement, messages // _PARTITIONS)
        await connection.execute("VACUUM ANALYZE")


async def _purge(connect: Any, vault: Vault, messages: int) -> tuple[float, int]:
    async with connected(connect, "retention") as connection:
        purger = Purger(
            connection,
            vault,
            _Ahead(),
            Scope(
                instance_id=uuid4(),
                partitions=_PARTITIONS,
                is_cluster=False,
                sealed_apart_from=datetime.now(UTC).date(),
                ages=Ages(
                    intake=90, names=90, public_health=800, identity=90, codes=400, inbox=3_650
                ),
                parts=PartLimits(lock_seconds=0.02, tries=40, kept_rows=50_000, least_rows=10_000),
                days_at_once=8,
                rows=200_000,
            ),
        )
        # Dispatch has handled all that is of age; what the door takes now, it has not.
        began = time.perf_counter()
        (certificate,) = await purger.purge(Asker(actor="benchmark", reason="of age"))
        seconds = time.perf_counter() - began
    rows = sum(part.rows for part in certificate.partitions)
    if rows < 3 * messages - _PARTITIONS:
        raise BenchmarkFailed(f"{rows} rows went of {3 * messages}")
    return seconds, rows


def _tell(
    messages: int, per_second: float, purge: tuple[float, int], phases: Mapping[str, list[float]]
) -> None:
    (seconds, rows), (quiet, during, after) = purge, phases.values()
    longest, usual = max(during + after), max(quiet)
    show(
        f"purge of a day of {messages:,} messages ({rows:,} rows), a door at {per_second:g}/s",
        ("when", "appends", "median ms", "p99 ms", "longest ms"),
        [
            (name, len(times), f"{quantile(times, 0.5):.1f}", f"{quantile(times, 0.99):.1f}",
             f"{max(times):.1f}")
            for name, times in phases.items() if times
        ],
    )  # fmt: skip
    say_floor("purge", seconds, _PURGE_SECONDS, "s", most=True)
    say_floor("longest append", longest, _STALL_MS, "ms", most=True)
    about = {"messages": messages, "rows": rows, "door_per_second": f"{per_second:g}"}
    about["load"] = load_average()
    append(
        "retention",
        [
            Row(engine="embedded", parameters=about, figure=seconds, unit="s of a purge"),
            Row(
                engine="embedded",
                parameters=about,
                figure=longest,
                unit="ms of the longest append",
                yardstick=usual,
                ratio=longest / usual,
            ),
        ],
        ["asyncpg"],
    )


if __name__ == "__main__":
    main()
