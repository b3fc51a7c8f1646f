from __future__ import annotations

import re
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from ops.runtime.migrate import (
    check_schema,
    init_instance,
    load_instance,
    migrate,
    migrations,
    snapshot,
)
from ops.runtime.postgres import check_durability, connected, is_unknown_commit, translated
from ops.runtime.schema_version import BESIDE
from ops.runtime.settings import load_settings
from schemas.days import Reading
from schemas.errors import FatalError, PermanentError, TransientError
from tests.support.postgres import Database

# A column that must be given a value is missed by whoever does not know it.
_TAKES = re.compile(
    r"\bDROP\s+(?:TABLE|COLUMN|VIEW|INDEX|FUNCTION)\b|\bRENAME\b|\bSET\s+NOT\s+NULL\b"
    r"|\bALTER\s+COLUMN\s+\w+\s+TYPE\b|\bADD\s+COLUMN\s+\w+\s+\w+\s+NOT\s+NULL(?!\s+DEFAULT)",
    re.IGNORECASE,
)
SNAPSHOT = Path(__file__).parents[2] / "schemas" / "sql" / "snapshot.txt"


async def test_the_migrations_add_up_to_the_snapshot(database: Database) -> None:
    """`python -m tests.support.write_snapshot` writes the file after a migration was added."""
    async with connected(database.connect_kwargs, "looking") as connection:
        assert await snapshot(connection) == SNAPSHOT.read_text("utf-8")


def test_what_is_locked_in_an_upgrade_is_locked_as_dispatch_does() -> None:
    """Outcome, then parked: the other way round a batch and the migration wait for each other."""
    (mend,) = [each for each in migrations() if each.name.endswith("mend")]
    outcome = mend.sql.index("AFTER UPDATE OF ending, reason ON outcome")
    assert outcome < mend.sql.index("ALTER TABLE parked")


async def test_a_second_time_there_is_nothing_to_do(database: Database) -> None:
    assert await migrate(database.connect_kwargs) == 0
    async with connected(database.connect_kwargs, "looking") as connection:
        await check_schema(connection)


async def test_a_changed_migration_is_refused(database: Database) -> None:
    async with connected(database.connect_kwargs, "migrate") as connection:
        await connection.execute("UPDATE schema_migration SET digest = 'other' WHERE version = 1")
        with pytest.raises(FatalError, match="migration_changed"):
            await check_schema(connection)


_EXPAND = """
INSERT INTO schema_expansion (version, name, digest, works_beside) VALUES ($1, 'x', 'x', $2)
"""


async def test_a_database_that_is_newer_and_lets_us_work_on_is_taken(database: Database) -> None:
    """The next release was migrated to while we run: whoever is started again goes on."""
    known = len(migrations())
    async with connected(database.connect_kwargs, "migrate") as connection:
        await connection.execute(_EXPAND, known + 1, known)
        await connection.execute(_EXPAND, known + 2, known - 1)
        await check_schema(connection)
    assert await migrate(database.connect_kwargs) == 0


async def test_a_newer_database_is_refused(database: Database) -> None:
    newer = len(migrations()) + 1
    async with connected(database.connect_kwargs, "migrate") as connection:
        await connection.execute(_EXPAND, newer, newer)
        with pytest.raises(FatalError, match="schema_newer"):
            await check_schema(connection)
    with pytest.raises(FatalError, match="schema_newer"):
        await migrate(database.connect_kwargs)


async def test_a_database_of_a_release_without_the_second_ledger_is_known(
    database: Database,
) -> None:
    async with connected(database.connect_kwargs, "migrate") as connection:
        await connection.execute("DROP TABLE schema_expansion")
        with pytest.raises(FatalError, match="not_migrated"):
            await check_schema(connection)


async def test_the_release_before_sees_no_migration_that_it_does_not_know(
    database: Database,
) -> None:
    """Its own check, word for word: it refuses to start where its ledger names a newer one."""
    async with connected(database.connect_kwargs, "looking") as connection:
        rows = await connection.fetch("SELECT version FROM schema_migration")
        assert {row["version"] for row in rows} == set(range(1, BESIDE + 1))
        rows = await connection.fetch("SELECT version, works_beside FROM schema_expansion")
        assert {row["version"] for row in rows} == set(range(BESIDE + 1, len(migrations()) + 1))
        assert {row["works_beside"] for row in rows} == {BESIDE}


def test_newer_migrations_take_nothing_away() -> None:
    """What the release before reads and writes stays, as `works_beside` promises it."""
    for migration in migrations():
        if migration.version > BESIDE:
            code = re.sub(r"--[^\n]*", "", migration.sql)
            assert not _TAKES.findall(code), migration.name


@pytest.mark.parametrize(
    "taking",
    [
        "ALTER TABLE outcome DROP COLUMN reason",
        "ALTER TABLE outcome\n  RENAME COLUMN reason TO why",
        "DROP TABLE parked",
        "ALTER TABLE parked ALTER COLUMN code TYPE bigint",
        "ALTER TABLE parked ALTER COLUMN code SET NOT NULL",
        "ALTER TABLE parked ADD COLUMN x text NOT NULL, ADD COLUMN y int",
    ],
)
def test_what_takes_something_away_is_seen(taking: str) -> None:
    assert _TAKES.search(taking)


async def test_a_database_without_durability_is_refused(database: Database) -> None:
    async with connected(database.connect_kwargs, "looking") as connection:
        await check_durability(connection, needs_standby=False)
        with pytest.raises(FatalError, match="no_standby"):
            await check_durability(connection, needs_standby=True)
        await connection.execute("SET synchronous_commit = off")
        with pytest.raises(FatalError, match="unsafe_database"):
            await check_durability(connection, needs_standby=False)


async def test_errors_are_classified_and_show_no_value(database: Database) -> None:
    async with connected(database.connect_kwargs, "dispatch") as connection:
        with pytest.raises(PermanentError, match="database_refused") as refused, translated():
            await connection.fetchval("SELECT 'CANARY'::integer")
        assert "CANARY" not in str(refused.value)
        with pytest.raises(FatalError, match="database_error"), translated():
            await connection.fetchval("SELECT no_such_column FROM lab")
        await connection.execute("SET transaction_timeout = '50ms'")
        with pytest.raises(TransientError), translated():
            await connection.execute("SELECT pg_sleep(5)")


async def test_what_the_server_answered_is_known_and_what_broke_is_not(
    database: Database,
) -> None:
    async with connected(database.connect_kwargs, "ingest") as connection:
        with pytest.raises(asyncpg.PostgresError, match="unknown partition") as answered:
            await connection.fetchval(
                "SELECT intake_append($1, $2, $3, $4, $5, $6, $7, $8)",
                [99], [uuid4()], [1], [1], [None], [uuid4()], [1], [b""],
            )  # fmt: skip
        assert not is_unknown_commit(answered.value)
    assert is_unknown_commit(TimeoutError())
    assert is_unknown_commit(ConnectionResetError())
    assert not is_unknown_commit(TransientError("database_away"))


async def test_an_appended_instance_is_fixed(database: Database) -> None:
    async with connected(database.connect_kwargs, "migrate") as connection:
        await connection.fetchval("SELECT instance_init($1, 'test', 'embedded', 4)", uuid4())
        await connection.fetchval("SELECT instance_init($1, 'test', 'embedded', 8)", uuid4())
        assert await connection.fetchval("SELECT partitions FROM instance") == 4
        assert await connection.fetchval("SELECT count(*) FROM intake_head") == 4


async def test_the_window_of_cases_is_fixed_at_the_first_start(
    database: Database, tmp_path: Path
) -> None:
    """What is stored beside every case was judged by it: another one is refused, not mixed in."""
    first = load_settings(
        data_dir=tmp_path, case_window_days=90, case_window_reading=Reading.LAST_COUNTED
    )
    async with connected(database.connect_kwargs, "migrate") as connection:
        for settings in (first, load_settings(data_dir=tmp_path)):
            made = await init_instance(connection, settings)
            assert (made.window_days, made.window_reading) == (90, "last_counted")
        others: list[dict[str, object]] = [
            {"case_window_days": 60},
            {"case_window_reading": Reading.LAST_POSITIVE},
        ]
        for other in others:
            with pytest.raises(FatalError, match="instance_differs"):
                await init_instance(connection, load_settings(data_dir=tmp_path, **other))


async def test_an_instance_of_before_has_sixty_days_from_the_last_positive(
    database: Database, tmp_path: Path
) -> None:
    settings = load_settings(data_dir=tmp_path, partitions=4)
    async with connected(database.connect_kwargs, "migrate") as connection:
        await connection.fetchval("SELECT instance_init($1, 'test', 'embedded', 4)", uuid4())
        held = await load_instance(connection, settings)
        assert (held.window_days, held.window_reading) == (60, "last_positive")
        assert await init_instance(connection, settings) == held
