# ruff: noqa: E501 - statements are rather read whole
"""Ten million messages as a hub that ran for weeks has them, by SQL: short payloads, every index.

Indexes are made after the rows, which gives the same indexes sooner; two tables at a time.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final
from uuid import uuid4

from ops.runtime.postgres import Connection, connected

PARTITIONS: Final = 16
_STEP: Final = 500_000
_AT_ONCE: Final = 2
# Ids are made as the hub makes them: messages' by time (version 7), all others digests.
_MESSAGE = "lpad(to_hex(1772784000000 + n / 2), 12, '0') || '7000' || substr(md5(n::text), 1, 16)"
_MESSAGE_ID = f"({_MESSAGE})::uuid"
_AT = "timestamptz '2026-03-06 08:00Z' + n * interval '0.5 ms'"
# Every twentieth message corrects the report of one before it in its partition.
_REPORT = f"CASE WHEN n % 20 = 19 THEN n - {PARTITIONS} ELSE n END"
_PERSON = f"({_REPORT}) / 3"
_KEY = "('x' || substr(md5({0} || n::text), 1, 16))::bit(64)::bigint"
_SERIES = "FROM generate_series($1::bigint, $2::bigint - 1) AS n"
_FIRST = f"{_SERIES} WHERE n % 20 <> 19"

FILL: Final = (
    f"""INSERT INTO intake (partition, "offset", message_id, lab_id, kind, received_at, inbox_key,
        control_key, payload)
    SELECT n % {PARTITIONS}, n / {PARTITIONS}, {_MESSAGE_ID}, 1 + n % 4500, 1, {_AT},
        md5('x' || n)::uuid, {_KEY.format("'c'")}, decode(md5(n::text) || md5('p' || n), 'hex')
    {_SERIES}""",
    f"""INSERT INTO outcome (partition, "offset", message_id, control_key, lab_id, ending, report_ids,
        person_id, received_at, decided_at)
    SELECT n % {PARTITIONS}, n / {PARTITIONS}, {_MESSAGE_ID}, {_KEY.format("'c'")}, 1 + n % 4500,
        'dispatched', ARRAY[md5('r' || {_REPORT})::uuid], {_PERSON}, {_AT}, {_AT}
    {_SERIES}""",
    f"""INSERT INTO report_version (report_id, version, person_id, status, content_digest, partition,
        "offset", position, became_current, decided_at)
    SELECT md5('r' || {_REPORT})::uuid, CASE WHEN n % 20 = 19 THEN 2 ELSE 1 END, {_PERSON}, 'F',
        md5(n::text)::uuid, n % {PARTITIONS}, n / {PARTITIONS}, 1, true, {_AT}
    {_SERIES}""",
    f"""INSERT INTO report (report_id, report_key, lab_id, person_id, version, status, status_rank,
        content_digest, first_at, updated_at, partition, "offset", position)
    SELECT md5('r' || n)::uuid, md5('k' || n)::uuid, 1 + n % 4500, n / 3, 1, 'F', 2,
        md5(n::text)::uuid, {_AT}, {_AT}, n % {PARTITIONS}, n / {PARTITIONS}, 1
    {_FIRST}""",
    f"""INSERT INTO link_event (at, kind, person_id, partition, "offset", rule, model_version)
    SELECT {_AT}, 'link', {_PERSON}, n % {PARTITIONS}, n / {PARTITIONS}, 'same_ins', 'none'
    {_SERIES}""",
    f"""INSERT INTO case_report (case_id, condition, first_at, line, mark, person_id, precedence,
        report_id, tie, waits, received_on)
    SELECT md5('s' || n)::uuid, 'sars-cov-2', {_AT}, 1, 0, n / 3, 1, md5('r' || n)::uuid, n, false,
        current_date
    {_FIRST}""",
    *(
        f"""INSERT INTO emitted (report_id, stream, event_version, addressee, body_digest, published)
    SELECT md5('r' || n)::uuid, '{stream}', 1, 'somebody', md5(n::text)::uuid, true {_FIRST}"""
        for stream in ("dossier", "public-health")
    ),
    *(
        f"""INSERT INTO stream_event (stream, partition, seq, event_id, report_id, event_version, kind,
        reason, realm, rule, rule_version, person_version, message_id, emitted_at, payload, part)
    SELECT '{stream}', n % {PARTITIONS}, n / {PARTITIONS} + 1, md5('{stream}' || n)::uuid,
        md5('r' || {_REPORT})::uuid, CASE WHEN n % 20 = 19 THEN 2 ELSE 1 END, 'published', 'new',
        'test', 'rule', '1', 1, {_MESSAGE_ID}, {_AT},
        decode(repeat(md5(n::text), 16), 'hex'), ''
    {_SERIES}"""
        for stream in ("dossier", "public-health")
    ),
)
TABLES: Final = (
    "intake",
    "outcome",
    "report_version",
    "report",
    "link_event",
    "case_report",
    "emitted",
    "stream_event",
)
HEADS: Final = (
    "UPDATE intake_head SET next_offset = $1::bigint",
    "UPDATE intake_progress SET next_offset = $1::bigint",
    "UPDATE stream_head SET last_seq = $1::bigint",
    "SELECT setval('person_number', 100 + $1::bigint * 16)",
)
PERSONS: Final = """
INSERT INTO person (person_id, created_at, version)
SELECT n, now(), 1 FROM generate_series($1::bigint, $2::bigint - 1) AS n
"""
# A primary key is a constraint, other indexes are not; those of a parent stand for its parts'.
INDEXES: Final = """
SELECT i.indexrelid::regclass::text AS name, c.conname, pg_get_indexdef(i.indexrelid) AS made,
       pg_get_constraintdef(c.oid) AS constrained, i.indrelid::regclass::text AS of_table
FROM pg_index i
JOIN pg_class t ON t.oid = i.indexrelid
LEFT JOIN pg_constraint c ON c.conindid = i.indexrelid AND c.contype IN ('p', 'u')
WHERE i.indrelid = ANY ($1::text[]::regclass[])
"""


async def fill(connect: Any, messages: int) -> None:
    """Fill an empty schema."""
    async with connected(connect, "migrate") as connection:
        await connection.execute(
            "SELECT instance_init($1, 'test', 'embedded', $2)", uuid4(), PARTITIONS
        )
        await connection.execute(
            "INSERT INTO lab (registry_id) SELECT 'LAB' || n FROM generate_series(1, 4500) AS n"
        )
        turns = asyncio.Semaphore(_AT_ONCE)
        async with asyncio.TaskGroup() as group:
            for table in reversed(TABLES):  # the largest first
                group.create_task(_fill_table(connect, table, messages, turns))
        for begin in range(0, messages, _STEP):
            await connection.execute(PERSONS, begin // 3, min(begin + _STEP, messages) // 3)
        for statement in HEADS:
            await connection.execute(statement, messages // PARTITIONS)
        await connection.execute("VACUUM ANALYZE")
        await connection.execute("CHECKPOINT")


async def _fill_table(connect: Any, table: str, messages: int, turns: asyncio.Semaphore) -> None:
    """Fill one table, once it is its turn."""
    statements = [each for each in FILL if each.split()[2] == table]
    async with turns, connected(connect, "migrate") as connection:
        await connection.execute("SET synchronous_commit = off")
        await connection.execute("SET maintenance_work_mem = '512MB'")
        # A table that is made anew in a transaction is written without WAL (wal_level minimal).
        async with connection.transaction():
            await connection.execute(f"TRUNCATE {table}")
            made = await _without_indexes(connection, table)
            for begin in range(0, messages, _STEP):
                for statement in statements:
                    await connection.execute(statement, begin, min(begin + _STEP, messages))
            for statement in made:
                await connection.execute(statement)


async def _without_indexes(connection: Connection, table: str) -> list[str]:
    """Take the indexes off a table; return what makes them again."""
    made = []
    for row in await connection.fetch(INDEXES, [table]):
        if row["conname"] is not None:
            made.append(
                f"ALTER TABLE {row['of_table']} ADD CONSTRAINT {row['conname']} {row['constrained']}"
            )
            await connection.execute(
                f"ALTER TABLE {row['of_table']} DROP CONSTRAINT {row['conname']}"
            )
        else:
            # A parent's definition says ONLY: made again for all its parts.
            made.append(row["made"].replace(" ON ONLY ", " ON "))
            await connection.execute(f"DROP INDEX {row['name']}")
    return made
