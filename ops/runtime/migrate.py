"""Migrations: plain SQL files, applied in order; and the instance that a database belongs to."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import date
from importlib import resources
from typing import Any, Final
from uuid import UUID, uuid4

import msgspec

from schemas.errors import FatalError

from .postgres import Connection, connected, translated
from .schema_version import APART, BESIDE, FILE_NAME
from .settings import Settings

_LOCK: Final = "SELECT pg_advisory_lock(20261, 0)"
_UNLOCK: Final = "SELECT pg_advisory_unlock(20261, 0)"
# Two ledgers: what a release before this one does not know stands in one that it does not read.
_LEDGERS: Final = """
CREATE TABLE IF NOT EXISTS schema_migration (
    version     integer PRIMARY KEY,
    name        text NOT NULL,
    digest      text NOT NULL,
    applied_at  timestamptz NOT NULL DEFAULT now()
);
-- works_beside: a release whose last migration is this one, or a later one, goes on working.
CREATE TABLE IF NOT EXISTS schema_expansion (
    version       integer PRIMARY KEY,
    name          text NOT NULL,
    digest        text NOT NULL,
    works_beside  integer NOT NULL CHECK (works_beside <= version),
    applied_at    timestamptz NOT NULL DEFAULT now()
)
"""
_THERE: Final = """
SELECT to_regclass('schema_migration') IS NOT NULL AS first,
       to_regclass('schema_expansion') IS NOT NULL AS second
"""
_APPLIED: Final = "SELECT version, digest, version AS works_beside FROM schema_migration"
_APPLIED_APART: Final = "SELECT version, digest, works_beside FROM schema_expansion"
_RECORD: Final = "INSERT INTO schema_migration (version, name, digest) VALUES ($1, $2, $3)"
_RECORD_APART: Final = """
INSERT INTO schema_expansion (version, name, digest, works_beside) VALUES ($1, $2, $3, $4)
"""
_INSTANCE: Final = """
SELECT instance_id, realm, engine, partitions, window_days, window_reading, sealed_apart_from
FROM instance
"""
_INIT: Final = "SELECT instance_init($1, $2, $3, $4)"
# Once: what stands beside every case was judged by it.
_FIX_WINDOW: Final = """
UPDATE instance SET window_days = coalesce($1, window_days),
    window_reading = coalesce($2, window_reading), window_fixed_at = now()
WHERE window_fixed_at IS NULL
"""
_ENSURE: Final = "SELECT ensure_partitions()"

# Tables, columns, constraints, indexes and functions, without what ensure_partitions makes.
_SNAPSHOT: Final = r"""
WITH ours AS (
    SELECT c.oid, c.relname, c.relkind FROM pg_class c
    WHERE c.relnamespace = 'public'::regnamespace AND c.relname !~ '_(r\d+|w\d{8})(_|$)'
)
SELECT format('table %s', relname) AS line FROM ours WHERE relkind IN ('r', 'p')
UNION ALL
SELECT format('column %s.%s %s%s%s', o.relname, a.attname, format_type(a.atttypid, a.atttypmod),
              CASE WHEN a.attnotnull THEN ' not null' ELSE '' END,
              coalesce(' default ' || pg_get_expr(d.adbin, d.adrelid), ''))
FROM ours o JOIN pg_attribute a ON a.attrelid = o.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_attrdef d ON d.adrelid = o.oid AND d.adnum = a.attnum
WHERE o.relkind IN ('r', 'p')
UNION ALL
SELECT format('constraint %s.%s %s', o.relname, k.conname, pg_get_constraintdef(k.oid))
FROM ours o JOIN pg_constraint k ON k.conrelid = o.oid
WHERE k.contype <> 'n'
UNION ALL
SELECT format('index %s', pg_get_indexdef(o.oid)) FROM ours o WHERE o.relkind IN ('i', 'I')
UNION ALL
SELECT format('sequence %s', relname) FROM ours WHERE relkind = 'S'
UNION ALL
SELECT format('function %s(%s) %s', p.proname, pg_get_function_identity_arguments(p.oid),
              md5(p.prosrc))
FROM pg_proc p WHERE p.pronamespace = 'public'::regnamespace
ORDER BY 1
"""


class Migration(msgspec.Struct, frozen=True, kw_only=True):
    """One file of schemas/sql/migrations."""

    version: int
    name: str
    sql: str

    @property
    def digest(self) -> str:
        """Digest of its text: a migration that was applied never changes."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


class Applied(msgspec.Struct, frozen=True, kw_only=True):
    """A migration that the database has seen."""

    digest: str
    works_beside: int
    """Releases that know at least this one go on working beside it."""


class Instance(msgspec.Struct, frozen=True, kw_only=True):
    """What was fixed at the first start."""

    instance_id: UUID
    realm: str
    engine: str
    partitions: int
    window_days: int = 60
    """A positive within so many days of another is no new case."""
    window_reading: str = "last_positive"
    sealed_apart_from: date = date(2020, 1, 1)
    """From this day on events of public health are sealed with keys of their own."""


def migrations() -> list[Migration]:
    """Return the migrations of this release, in order.

    Raises:
        FatalError: A file name that is none, or a gap in the numbers.
    """
    folder = resources.files("schemas") / "sql" / "migrations"
    found = []
    for entry in folder.iterdir():
        if not entry.name.endswith(".sql"):
            continue
        match = FILE_NAME.fullmatch(entry.name)
        if match is None:
            raise FatalError("migration_misnamed", f"{entry.name}: NNNN_name.sql is wanted")
        found.append(Migration(version=int(match[1]), name=match[2], sql=entry.read_text("utf-8")))
    found.sort(key=lambda migration: migration.version)
    if [m.version for m in found] != list(range(1, len(found) + 1)):
        raise FatalError("migration_missing", "numbers must run from 0001 without a gap")
    return found


async def migrate(connect: Mapping[str, Any]) -> int:
    """Apply what is missing, each migration in a transaction of its own; return how many.

    Safe beside itself: whoever comes second waits, and finds nothing to do.

    Raises:
        TransientError: The database is away, or a lock was not to be had in 2 s.
        FatalError: An applied migration has changed, or the database is newer than this release
            and does not let it work on.
    """
    known = migrations()
    async with connected(connect, "migrate") as connection:
        with translated():
            await connection.execute("SET lock_timeout = '120s'")
            await connection.execute(_LOCK)
            await connection.execute("SET lock_timeout = '2s'")
            try:
                await connection.execute(_LEDGERS)
                return await _apply(connection, known)
            finally:
                await connection.execute(_UNLOCK)


async def _apply(connection: Connection, known: list[Migration]) -> int:
    applied = await _applied(connection)
    _compare(applied, known)
    missing = [migration for migration in known if migration.version not in applied]
    for migration in missing:
        async with connection.transaction():
            await connection.execute(migration.sql)
            facts = migration.version, migration.name, migration.digest
            if migration.version > APART:
                await connection.execute(_RECORD_APART, *facts, min(BESIDE, migration.version))
            else:
                await connection.execute(_RECORD, *facts)
    return len(missing)


async def _applied(connection: Connection) -> dict[int, Applied]:
    there = await connection.fetchrow(_THERE)
    rows = await connection.fetch(_APPLIED) if there["first"] else []
    rows += await connection.fetch(_APPLIED_APART) if there["second"] else []
    return {
        row["version"]: Applied(digest=row["digest"], works_beside=row["works_beside"])
        for row in rows
    }


def _compare(applied: Mapping[int, Applied], known: list[Migration]) -> None:
    """Refuse what was changed, and newer migrations that do not let this release work on."""
    by_version = {migration.version: migration.digest for migration in known}
    newer = [
        version
        for version, each in applied.items()
        if version not in by_version and each.works_beside > len(known)
    ]
    if newer:
        raise FatalError(
            "schema_newer", f"the database is at {max(newer):04d}: run the release that made it"
        )
    for version, each in applied.items():
        if version in by_version and by_version[version] != each.digest:
            raise FatalError(
                "migration_changed", f"{version:04d} was applied with another text: restore it"
            )


async def check_schema(connection: Connection) -> None:
    """Refuse a database that this release does not fit.

    One that is newer fits, where each of its newer migrations says so: the next release runs beside
    this one then, or is about to.

    Raises:
        FatalError: Not migrated (`not_migrated`), or newer or other than this release.
    """
    applied = await _applied(connection)
    known = migrations()
    _compare(applied, known)
    if any(migration.version not in applied for migration in known):
        raise FatalError("not_migrated", "run `labdispatch migrate` with the same settings")


async def init_instance(connection: Connection, settings: Settings) -> Instance:
    """Fix realm, engine, partitions and the window of cases at the first start, and check them."""
    await connection.execute(
        _INIT, uuid4(), settings.realm.value, settings.engine.value, settings.partition_count
    )
    await connection.execute(_FIX_WINDOW, settings.case_window_days, settings.case_window_reading)
    await connection.execute(_ENSURE)
    return await load_instance(connection, settings)


async def load_instance(connection: Connection, settings: Settings) -> Instance:
    """Return the instance of this database.

    Raises:
        FatalError: There is none yet, or the settings say another realm, engine, number of
            partitions or window of cases (`instance_differs`).
    """
    row = await connection.fetchrow(_INSTANCE)
    if row is None:
        raise FatalError("not_migrated", "run `labdispatch migrate` with the same settings")
    instance = Instance(
        instance_id=row["instance_id"],
        realm=row["realm"],
        engine=row["engine"],
        partitions=row["partitions"],
        window_days=row["window_days"],
        window_reading=row["window_reading"],
        sealed_apart_from=row["sealed_apart_from"],
    )
    _same("engine", instance.engine, settings.engine.value)
    _same("realm", instance.realm, settings.realm.value)
    if settings.partitions is not None:
        _same("partitions", instance.partitions, settings.partitions)
    if settings.case_window_days is not None:
        _same("case window in days", instance.window_days, settings.case_window_days)
    if settings.case_window_reading is not None:
        _same("case window reading", instance.window_reading, settings.case_window_reading)
    return instance


def _same(name: str, held: object, said: object) -> None:
    if held != said:
        raise FatalError(
            "instance_differs",
            f"this instance was made with {name} {held}, the settings say {said}:"
            " set it back, or use another data folder or database",
        )


async def snapshot(connection: Connection) -> str:
    """Return what the schema is, one fact a line: the committed snapshot must equal it."""
    rows = await connection.fetch(_SNAPSHOT)
    return "".join(f"{row['line']}\n" for row in rows)
