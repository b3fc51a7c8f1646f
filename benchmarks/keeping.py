"""How fast public health is counted into PostgreSQL, from the sealed stream to the commit.

`python -m benchmarks.keeping [--events 300000]`. A scratch server of one's own holds a stream of
invented persons over sixty days and all departments, three percent of it corrections; the parts of
the process `indicators` count it as they do after a rebuild. Two figures a run: events a second of
the clock on the wall, with whatever else the machine does, and events a second of the process's own
processor time, which is what the process can do where PostgreSQL has a core of its own.
"""

from __future__ import annotations

import argparse
import random
import resource
import shutil
import time
from datetime import date, timedelta
from hashlib import blake2b
from typing import Any, Final
from uuid import UUID

import msgspec
import uvloop

from benchmarks.results import Row, append, load_average, say_floor, show
from ops.indicators.closing import RowCloser
from ops.indicators.counting import Counter
from ops.indicators.extracting import TableExtractor
from ops.indicators.keeper import Keeper, Pace
from ops.indicators.protection import Protection
from ops.indicators.reading import EventReader
from ops.runtime.clock import SystemClock
from ops.runtime.lifecycle import settle_memory
from ops.runtime.postgres import Pool, open_pool
from ops.runtime.vault import FolderKeyStore, SealClass, Vault
from routing.disclosure import Policy
from routing.indicator_rows import TEST, encode_row
from routing.indicator_rows import Row as IndicatorRow
from routing.pseudonym import next_period_of, period_of
from schemas.areas import departments
from schemas.areas.population import synthetic_population
from schemas.events import PublicHealthRow
from tests.support.postgres import clone, make_template, open_folder, scratch_server

FLOOR: Final = 50_000.0
"""Events a second of the process's own time."""
_PARTITIONS: Final = 16
_DAYS: Final = 60
_FIRST: Final = date(2026, 1, 5)
_AT_ONCE: Final = 20_000
_COPY: Final = """
INSERT INTO stream_event (stream, partition, seq, event_id, report_id, event_version, kind, reason,
    realm, rule, rule_version, person_version, message_id, emitted_at, payload, part)
SELECT 'public-health', partition, seq, event_id, report_id, version, 'published', 'new', 'test',
    'r', '1', 1, event_id, now(), payload, 'sars-cov-2'
FROM unnest($1::integer[], $2::bigint[], $3::uuid[], $4::uuid[], $5::integer[], $6::bytea[])
    AS new (partition, seq, event_id, report_id, version, payload)
"""

_KEPT_AT_ONCE: Final = 1_000_000
_KEPT: Final = """
INSERT INTO indicator_row (report_id, part, person, day, packed)
SELECT gen_random_uuid(), 'sars-cov-2', hashint8extended(n, 8), $3 - 1 - (n % 800), $4
FROM generate_series($1::bigint, $2::bigint) AS n
"""

_INDEXES: Final = """
SELECT i.indexrelid::regclass::text AS name, pg_get_indexdef(i.indexrelid) AS made
FROM pg_index i WHERE i.indrelid = 'indicator_row'::regclass AND NOT i.indisprimary
"""


def main() -> None:
    """Measure, print, and append to results/keeping.csv."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=300_000)
    parser.add_argument("--batch", type=int, default=50_000)
    parser.add_argument(
        "--kept", type=int, default=0, help="rows of other persons that are kept already"
    )
    parser.add_argument("--profile", action="store_true")
    arguments = parser.parse_args()
    rows = uvloop.run(
        _run(arguments.events, arguments.batch, arguments.kept, profile=arguments.profile)
    )
    append("keeping", rows, ("msgspec", "asyncpg"))
    show(
        "Public health counted into PostgreSQL",
        ("clock", "events/s"),
        [(row.parameters["clock"], round(row.figure)) for row in rows],
    )
    say_floor("counted, of own time", rows[1].figure, FLOOR, "events/s")


async def _run(count: int, batch: int, kept: int, *, profile: bool) -> list[Row]:
    folder = open_folder()
    server = scratch_server(folder, shared_buffers_mb=512)
    try:
        server.start()
        await make_template(server)
        database = await clone(server)
        pool = await open_pool(database.connect_kwargs, "indicators", max_size=4)
        try:
            async with pool.acquire() as connection:
                await connection.execute(
                    "SELECT instance_init(gen_random_uuid(), 'test', 'embedded', $1)", _PARTITIONS
                )
            vault = Vault(FolderKeyStore(folder / "keys"), SystemClock())
            await _keep(pool, kept)
            await _fill(pool, vault, count)
            rows = await _measure(pool, vault, count, batch, profile=profile)
            return [
                msgspec.structs.replace(row, parameters={**row.parameters, "kept": kept})
                for row in rows
            ]
        finally:
            await pool.close()
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


async def _measure(pool: Pool, vault: Vault, count: int, batch: int, *, profile: bool) -> list[Row]:
    protection = Protection(policy=Policy(), population=synthetic_population())
    keeper = Keeper(
        pool,
        EventReader(pool, vault, batch),
        Counter(pool),
        extractor=TableExtractor(pool, protection, 10),
        closer=RowCloser(pool, 36_600),
        clock=SystemClock(),
        pace=Pace(lag_events=-1),
    )
    settle_memory()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    profiler: Any = None
    if profile:
        import cProfile  # noqa: PLC0415

        profiler = cProfile.Profile()
        profiler.enable()
    own, wall = time.process_time(), time.monotonic()
    while await keeper.turn():
        pass
    own, wall = time.process_time() - own, time.monotonic() - wall
    if profiler is not None:
        profiler.disable()
        profiler.print_stats("tottime")
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    about = {"events": count, "batch": batch, "grown_MiB": round(grown), "load": load_average()}
    return [
        Row(engine="embedded", parameters={**about, "clock": "wall"}, figure=count / wall,
            unit="events/s counted"),
        Row(engine="embedded", parameters={**about, "clock": "cpu"}, figure=count / own,
            unit="events/s counted, of the process's own time"),
    ]  # fmt: skip


async def _keep(pool: Pool, count: int) -> None:
    """Keep rows of other persons beside, of the eight hundred days before: as deep as a year's."""
    if not count:
        return
    day = _FIRST.toordinal()
    async with pool.acquire() as connection:
        made = [row["made"] for row in await connection.fetch(_INDEXES)]
        # As their owner: made after the rows, which gives the same indexes sooner.
        for row in await connection.fetch(_INDEXES):
            await connection.execute(f"DROP INDEX {row['name']}")
        for begins in range(0, count, _KEPT_AT_ONCE):
            ends = min(count, begins + _KEPT_AT_ONCE)
            await connection.execute(_KEPT, begins + 1, ends, day, encode_row(_kept_row(day)))
        for statement in made:
            await connection.execute(statement)
        await connection.execute("ANALYZE indicator_row")


def _kept_row(day: int) -> IndicatorRow:
    return IndicatorRow(
        *(1, day, TEST, day - 1, "sars-cov-2", "75", "29", "F", "2025-H2", bytes(16)), day=day - 1
    )


async def _fill(pool: Pool, vault: Vault, count: int) -> None:
    source = random.Random(20261127)
    places = sorted(departments().values(), key=lambda each: each.code)
    codes, weights = [p.code for p in places], [p.population for p in places]
    seqs = [0] * _PARTITIONS
    reports: list[UUID] = []
    done = 0
    while done < count:
        columns: tuple[list[Any], ...] = ([], [], [], [], [], [])
        for _ in range(min(_AT_ONCE, count - done)):
            version = 1
            if reports and source.random() < 0.03:
                report, version = reports.pop(source.randrange(len(reports))), 2
            else:
                report = UUID(int=source.getrandbits(128))
                if len(reports) < 50_000:
                    reports.append(report)
            event = UUID(int=source.getrandbits(128))
            day = _FIRST + timedelta(days=done * _DAYS // count)
            body = msgspec.json.encode(_row(source, day, source.choices(codes, weights)[0], count))
            partition = report.int % _PARTITIONS
            seqs[partition] += 1
            sealed = vault.seal(SealClass.STREAM, body, event.bytes)
            values = (partition, seqs[partition], event, report, version, sealed)
            for column, value in zip(columns, values, strict=True):
                column.append(value)
            done += 1
        async with pool.acquire() as connection:
            await connection.execute(_COPY, *columns)
    async with pool.acquire() as connection:
        await connection.execute(
            "UPDATE stream_head h SET last_seq = n.seq FROM unnest($1::integer[], $2::bigint[])"
            " AS n (partition, seq) WHERE h.stream = 'public-health' AND h.partition = n.partition",
            list(range(_PARTITIONS)),
            seqs,
        )
        await connection.execute("ANALYZE stream_event")


def _row(source: random.Random, day: date, department: str, persons: int) -> PublicHealthRow:
    person = source.randrange(persons * 3 // 4)
    positive = source.random() < 0.1
    late = min(20, int(source.expovariate(0.8)))
    following = next_period_of(day)
    return PublicHealthRow(
        pseudonym=_pseudonym(person),
        pseudonym_period=period_of(day),
        age=person % 97,
        age_class=("09", "19", "29", "39", "49", "59", "69", "79", "89", "90")[person % 10],
        sex="FMU"[person % 40 // 19],
        residence_commune=f"{department[:2]}001",
        residence_department=department,
        residence_imputed=False,
        laboratory_finess="750712184",
        condition="sars-cov-2",
        case_id=f"{source.getrandbits(128):032x}",
        line="first",
        test_code="94500-6",
        method="pcr",
        result="positive" if positive else "negative",
        second_line_result="",
        status="F",
        sampled_on=(day - timedelta(days=late)).isoformat(),
        reported_on=day.isoformat(),
        received_on=day.isoformat(),
        new_case=source.random() < 0.9 if positive else None,
        recent_positive=False,
        pseudonym_next=_pseudonym(-person) if following else "",
        pseudonym_next_period=following,
    )


def _pseudonym(person: int) -> str:
    return blake2b(str(person).encode(), digest_size=16).hexdigest()


if __name__ == "__main__":
    main()
