"""A database filled with persons as a hub would have made them: keys derived, loaded by COPY."""

from __future__ import annotations

import asyncio
import multiprocessing
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final

import asyncpg
import msgspec

from dedup.deciding import Subject, alias_of
from dedup.key_function import KeyFunction
from dedup.rekey import Pace, Rekeying
from dedup.store import DedupStore
from ops.runtime.clock import SystemClock
from ops.runtime.postgres import open_pool
from ops.runtime.vault import FolderKeyStore, SealClass, Vault
from ops.simulate.desk import TEST
from ops.simulate.population import Population
from ops.simulate.stream import IdentityStream
from schemas.decision import Realm
from schemas.patient import Traits

SECRET: Final = b"k" * 32
SEED: Final = 8_051
ON: Final = date(2026, 11, 1)
FILLED_AT: Final = datetime(2026, 11, 1, 8, tzinfo=UTC)
MOST_RECORDS: Final = 200_000
_CHUNK: Final = 10_000
_UNINDEXED: Final = (
    "ALTER TABLE person_key DROP CONSTRAINT person_key_pkey",
    "DROP INDEX person_key_by_person",
    "ALTER TABLE person_alias DROP CONSTRAINT person_alias_pkey",
)
_INDEXED: Final = (
    "SET maintenance_work_mem = '1GB'",
    "ALTER TABLE person_key ADD PRIMARY KEY (key, person_id)",
    "CREATE INDEX person_key_by_person ON person_key (person_id)",
    "ALTER TABLE person_alias ADD PRIMARY KEY (person_id, alias_digest)",
)


def filled_records(persons: int) -> IdentityStream:
    """Return the records that are filled in: one for each person."""
    return IdentityStream(Population(SEED, persons, ON), TEST, persons, SEED)


def later_records(persons: int) -> IdentityStream:
    """Return two records for each person that was filled in: every other is the same again."""
    return IdentityStream(Population(SEED, persons, ON), TEST, 2 * persons, SEED)


def records_of_others(persons: int) -> IdentityStream:
    """Return records of which those of persons beyond the filled ones are about somebody new."""
    size = persons + max(MOST_RECORDS, persons // 5)
    return IdentityStream(Population(SEED, size, ON), TEST, size, SEED)


def vault_of(folder: Path) -> Vault:
    """Return the vault of a benchmark's folder."""
    return Vault(FolderKeyStore(folder / "keys"), SystemClock())


async def fill(connect: dict[str, Any], folder: Path, persons: int, processes: int) -> None:
    """Fill a migrated, empty database with so many persons of one record each."""
    vault_of(folder).seal(SealClass.IDENTITY, b"", b"")  # the day's key, before many make it
    await _run(connect, *_UNINDEXED)
    bounds = [(n * persons // processes, (n + 1) * persons // processes) for n in range(processes)]
    context = multiprocessing.get_context("spawn")
    jobs = [
        context.Process(target=_fill_part, args=(connect, folder, persons, low, high))
        for low, high in bounds
    ]
    for job in jobs:
        job.start()
    for job in jobs:
        await asyncio.to_thread(job.join)
        if job.exitcode:
            raise RuntimeError("a part could not be filled")
    await _run(
        connect,
        *_INDEXED,
        f"SELECT setval('person_number', {persons + 1})",
        f"INSERT INTO person_key_state (live) VALUES ({KeyFunction.newest})",
    )
    pool = await open_pool(connect, "looking", max_size=2)
    try:
        store = DedupStore(vault_of(folder))
        keys = KeyFunction(Realm.TEST, SECRET)
        pace = Pace(keys=1_000_000, rest=0.0)
        await Rekeying(pool, store, keys, SystemClock(), pace=pace).narrow(keys.newest)
    finally:
        await pool.close()
    await _run(connect, "VACUUM ANALYZE", "CHECKPOINT")


def _fill_part(connect: dict[str, Any], folder: Path, persons: int, low: int, high: int) -> None:
    asyncio.run(_copy(connect, folder, persons, low, high))


async def _copy(connect: dict[str, Any], folder: Path, persons: int, low: int, high: int) -> None:
    connection = await asyncpg.connect(**connect)
    vault, keys = vault_of(folder), KeyFunction(Realm.TEST, SECRET)
    stream = filled_records(persons)
    try:
        for start in range(low, high, _CHUNK):
            numbers = range(start, min(high, start + _CHUNK))
            rows = _Rows(vault, keys)
            for number in numbers:
                rows.add(number + 1, stream.record(number).traits)
            for table, columns, records in rows.tables():
                await connection.copy_records_to_table(table, records=records, columns=columns)
    finally:
        await connection.close()


class _Rows:
    """The rows of some persons."""

    def __init__(self, vault: Vault, keys: KeyFunction) -> None:
        self._vault = vault
        self._keys = keys
        self._persons: list[tuple[Any, ...]] = []
        self._aliases: list[tuple[Any, ...]] = []
        self._ins: list[tuple[Any, ...]] = []
        self._rows: list[tuple[int, int]] = []

    def add(self, person_id: int, traits: Traits) -> None:
        """Add a person of one record."""
        keys = self._keys.derive(traits)
        subject = Subject(traits=traits, keys=keys, partition=0, offset=0)
        self._persons.append((person_id, 1, bool(keys.isolation), FILLED_AT))
        alias = self._sealed(msgspec.msgpack.encode(alias_of(subject)), keys.alias_digest.bytes)
        self._aliases.append((person_id, keys.alias_digest, alias, ON, ON))
        if keys.ins is not None:
            ins = self._sealed(msgspec.msgpack.encode(keys.ins.ins), keys.ins.digest.bytes)
            row = (person_id, keys.ins.digest, keys.ins.ins.oid, ins, ON, ON, keys.strict_digest)
            self._ins.append(row)
        self._rows += [(key, person_id) for key in keys.blocking]

    def _sealed(self, plain: bytes, digest: bytes) -> bytes:
        return self._vault.seal(SealClass.IDENTITY, plain, digest)

    def tables(self) -> Iterator[tuple[str, tuple[str, ...], list[tuple[Any, ...]]]]:
        """Give table, columns and rows."""
        seen = ("first_seen_on", "last_seen_on")
        yield "person", ("person_id", "version", "isolated", "created_at"), self._persons
        yield "person_alias", ("person_id", "alias_digest", "payload", *seen), self._aliases
        ins = ("person_id", "ins_digest", "oid", "payload", *seen, "strict_digest")
        yield "person_ins", ins, self._ins
        yield "person_key", ("key", "person_id"), self._rows


async def _run(connect: dict[str, Any], *statements: str) -> None:
    connection = await asyncpg.connect(**connect)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()
