"""Reading goes by an index: nobody reads or sorts a whole partition for a page of it.

The planner is asked (EXPLAIN) on tables that are filled and analysed; what it answers follows from
the statements as they are, with the parameters that readers give.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from ops.indicators import delay_queries, extraction_queries, queries
from ops.tracing import queries as tracing
from routing import stream_queries
from schemas.topics import Stream
from tests.support.indicating import World, world_of
from tests.support.postgres import Database

FILL = """
INSERT INTO stream_event (stream, partition, seq, event_id, report_id, event_version, kind, reason,
    realm, rule, rule_version, person_version, message_id, emitted_at, payload, part)
SELECT 'public-health', p, n, gen_random_uuid(), md5(p || ' ' || n % 7000)::uuid, 1 + n / 7000,
    'published', 'r', 'test', 'r', '1', 1, gen_random_uuid(), now(), repeat('x', 200)::bytea, 'c'
FROM generate_series(0, 2) AS p, generate_series(1, 14000) AS n;
UPDATE stream_head SET last_seq = 14000 WHERE stream = 'public-health';
INSERT INTO indicator_table (condition, period, day, level, extraction, figures)
SELECT 'sars-cov-2', period, 739000 + d, level, e, repeat('y', 50)::bytea
FROM generate_series(1, 400) AS d, generate_series(1, 8) AS e,
    unnest(ARRAY['day', '7days', 'week']) AS period,
    unnest(ARRAY['france', 'region', 'department']) AS level;
INSERT INTO indicator_extraction (number, at, batch, events, lag, policy, tables)
SELECT e, now() + e * interval '1 hour', 1, 1, 0, '', 1 FROM generate_series(1, 8) AS e;
INSERT INTO indicator_delay (condition, day, extraction, policy, shown, figures)
SELECT c, 7 * (105571 + d), e, 'p', '', repeat('y', 50)::bytea
FROM generate_series(1, 500) AS d, generate_series(1, 5) AS e, unnest(ARRAY['a', 'b', 'c']) AS c;
INSERT INTO indicator_row (report_id, part, person, next_person, day, packed)
SELECT gen_random_uuid(), 'c', n, CASE WHEN n % 5 = 0 THEN n END, 739000 + n % 400, 'zz'
FROM generate_series(1, 30000) AS n;
INSERT INTO indicator_cell (condition, period, day, department, packed)
SELECT c, 'day', 739000 + d, p::text, 'zz'
FROM unnest(ARRAY['a', 'b', 'c']) AS c, generate_series(1, 400) AS d, generate_series(1, 30) AS p;
ANALYZE stream_event, stream_head, indicator_table, indicator_extraction, indicator_delay,
    indicator_row, indicator_cell
"""
ID = UUID(int=7)
STREAM = Stream.PUBLIC_HEALTH
ASKED = [
    ("a page of a stream", stream_queries.AFTER, (STREAM.value, [0, 1, 2], [100] * 3, [50] * 3)),
    ("where partitions begin", stream_queries.LANES, (STREAM.value,)),
    ("events by their places", stream_queries.PLACES, (STREAM.value, [0, 1], [5, 9])),
    ("newer versions", stream_queries.SUPERSEDED[STREAM], ([ID], ["c"], [1], [99])),
    ("earlier versions", stream_queries.EARLIER[STREAM], ([ID], ["c"], [1])),
    ("events to count", queries.EVENTS, ([0, 1, 2], [100] * 3, [50] * 3)),
    ("where counting stands", queries.LANES, ()),
    ("cells of days", extraction_queries.CELLS_OF_DAYS, ("a", "day", 739_100, 739_106)),
    ("times", extraction_queries.TIMES, ("sars-cov-2", "day", "france", 739_100, 739_200, 8, 64)),
    ("tables", extraction_queries.TABLES, ("sars-cov-2", "day", "france", [739_100, 739_101], 8)),
    ("revisions", extraction_queries.REVISIONS,
     ("sars-cov-2", "day", "france", 739_100, 739_140, 8, 0, 8)),
    ("rows of persons", queries.OF_PERSONS,
     ("{1,5,9}", "{739100,739100,739100}", "{739112,739112,739112}")),
    ("delays", delay_queries.TOLD, ("a", 739_100, 739_500, 5, 16)),
]  # fmt: skip
FILLED = """
SELECT relname FROM pg_class WHERE reltuples >= 5000 AND relkind = 'r'
"""


@pytest.fixture
async def world(database: Database, tmp_path: Path) -> AsyncIterator[World]:
    async with world_of(database, tmp_path) as made:
        async with made.pool.acquire() as connection:
            await connection.execute(FILL)
        yield made


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for below in plan.get("Plans", ()):
        yield from nodes(below)


async def plan_of(world: World, query: str, asked: tuple[Any, ...]) -> dict[str, Any]:
    async with world.pool.acquire() as connection:
        found = await connection.fetchval(f"EXPLAIN (FORMAT JSON) {query}", *asked)
    plan: dict[str, Any] = json.loads(found)[0]["Plan"]
    return plan


async def test_every_read_goes_by_an_index_and_sorts_no_partition(world: World) -> None:
    filled = frozenset(row["relname"] for row in await world.fetch(FILLED))
    assert len(filled) >= 5
    for what, query, asked in ASKED:
        plan = await plan_of(world, query, asked)
        scans = large(plan, filled)
        assert scans, what
        for scan in scans:
            kind = scan["Node Type"]
            assert "Index" in kind or kind == "Bitmap Heap Scan", f"{what}: {kind}"
            if "Index" in kind:
                assert scan.get("Index Cond"), f"{what}: an index without a condition is all of it"
        assert most_sorted(plan, filled) < 2_000, f"{what} sorts"

    # And the test sees it where one does.
    bound = "e.seq > asked.after AND e.seq <= asked.after + asked.share"
    spoilt = stream_queries.AFTER.replace(bound, "e.seq + 0 > asked.after")
    spoilt = spoilt.replace("ORDER BY e.seq", "ORDER BY e.event_id")
    spoilt = spoilt.replace(", $4::bigint[]", "").replace("after, share", "after")
    plan = await plan_of(world, spoilt, (STREAM.value, [0], [100]))
    assert most_sorted(plan, filled) >= 2_000


async def test_an_event_is_found_by_summaries_of_its_table(world: World) -> None:
    filled = frozenset(row["relname"] for row in await world.fetch(FILLED))
    async with world.pool.acquire() as connection, connection.transaction():
        await connection.execute(tracing.SUMMARIES_ONLY)
        told = await connection.fetchval(f"EXPLAIN (FORMAT JSON) {tracing.BY_EVENT}", [ID])
    plan = json.loads(told)[0]["Plan"]
    scans = large(plan, filled)
    assert scans
    assert {each["Node Type"] for each in scans} == {"Bitmap Heap Scan"}
    used = {each["Index Name"] for each in nodes(plan) if each["Node Type"] == "Bitmap Index Scan"}
    assert used
    assert all("uuid_hash_extended" in name for name in used), used


def large(plan: dict[str, Any], filled: frozenset[str]) -> list[dict[str, Any]]:
    """Return what reads a table of which there is much."""
    return [each for each in nodes(plan) if each.get("Relation Name") in filled]


def most_sorted(plan: dict[str, Any], filled: frozenset[str]) -> int:
    """Return how many rows a sort over a large table is expected to take in."""
    return max(
        (
            int(node["Plans"][0]["Plan Rows"])
            for node in nodes(plan)
            if node["Node Type"] in {"Sort", "Incremental Sort"} and large(node, filled)
        ),
        default=0,
    )
