"""`intake_append` beside itself: no gap, one order, and nothing of a refused batch."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from ops.runtime.intake_postgres import APPEND
from tests.support.postgres import Database

PARTITIONS = 8
NOON = datetime(2026, 3, 6, 12, tzinfo=UTC)


async def opened(database: Database) -> Any:
    connection = await database.connect()
    await connection.fetchval(
        "SELECT instance_init($1, 'test', 'embedded', $2)", uuid4(), PARTITIONS
    )
    return connection


async def append(connection: Any, partitions: list[int], mark: int) -> list[int]:
    """Append one record for each partition named; its payload says whose and which it is."""
    many = range(len(partitions))
    found: list[int] = await connection.fetchval(
        APPEND,
        partitions,
        [uuid4() for _ in many],
        [mark for _ in many],
        [1 for _ in many],
        [NOON for _ in many],
        [uuid4() for _ in many],
        list(many),
        [b"%d %d" % (mark, place) for place in many],
    )
    return found


async def test_appends_beside_each_other_leave_no_gap_and_keep_their_order(
    database: Database,
) -> None:
    # Each batch names the partitions in an order of its own: locks must not follow it.
    chance = random.Random(7)
    connections = [await opened(database) for _ in range(4)]

    async def send(connection: Any, mark: int) -> list[tuple[int, int, bytes]]:
        given = []
        for _ in range(20):
            partitions = [chance.randrange(PARTITIONS) for _ in range(30)]
            offsets = await append(connection, partitions, mark)
            for partition in set(partitions):
                own = [o for p, o in zip(partitions, offsets, strict=True) if p == partition]
                assert own == list(range(own[0], own[0] + len(own)))
            given += [
                (p, o, b"%d %d" % (mark, place))
                for place, (p, o) in enumerate(zip(partitions, offsets, strict=True))
            ]
        return given

    sent = await asyncio.gather(*(send(each, mark) for mark, each in enumerate(connections)))
    rows = await connections[0].fetch('SELECT partition, "offset", payload FROM intake')
    stored = {(row["partition"], row["offset"], row["payload"]) for row in rows}
    assert stored == {record for given in sent for record in given}
    heads = dict(await connections[0].fetch("SELECT partition, next_offset FROM intake_head"))
    for partition in range(PARTITIONS):
        offsets = sorted(o for p, o, _ in stored if p == partition)
        assert offsets == list(range(heads[partition]))
    for connection in connections:
        await connection.close()


async def test_a_batch_with_an_unknown_partition_leaves_nothing(database: Database) -> None:
    connection = await opened(database)
    with pytest.raises(asyncpg.PostgresError) as refused:
        await append(connection, [0, PARTITIONS, 1], 1)
    assert refused.value.sqlstate == "LD001"
    assert await append(connection, [1, 0, 1], 2) == [0, 0, 1]
    assert await connection.fetchval("SELECT count(*) FROM intake") == 3
    await connection.close()
