"""What the log on PostgreSQL says of records that are not there any more."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from ops.runtime.intake_log import IntakeLog
from schemas.errors import OffsetGone
from tests.contract.test_intake_log import record
from tests.support.logs import postgres_log
from tests.support.postgres import Database


@pytest.fixture
async def log(database: Database) -> AsyncIterator[IntakeLog]:
    async with postgres_log(database, 4) as made:
        yield made


async def drop(database: Database, partition: int, below: int) -> None:
    connection = await database.connect()
    await connection.execute(
        'DELETE FROM intake WHERE partition = $1 AND "offset" < $2', partition, below
    )
    await connection.close()


async def test_a_record_dropped_before_it_was_read_is_told(
    log: IntakeLog, database: Database
) -> None:
    offsets = await log.append([record(1) for _ in range(4)])
    await drop(database, 1, offsets[2])
    with pytest.raises(OffsetGone) as gone:
        await log.read({0: 0, 1: offsets[0]}, 10)
    assert (gone.value.partition, gone.value.offset) == (1, offsets[0])
    assert gone.value.begin == offsets[2]


async def test_a_partition_dropped_whole_is_told(log: IntakeLog, database: Database) -> None:
    offsets = await log.append([record(1) for _ in range(4)])
    await log.append([record(2)])
    await drop(database, 1, offsets[-1] + 1)
    with pytest.raises(OffsetGone) as gone:
        await log.read({1: offsets[0], 2: 0}, 10)
    assert (gone.value.partition, gone.value.begin) == (1, offsets[-1] + 1)


async def test_no_more_is_fetched_than_is_asked_for(log: IntakeLog) -> None:
    for partition in range(4):
        await log.append([record(partition) for _ in range(30)])
    begins = await log.begin_offsets()
    batch = await log.read(begins, 10)
    counts = [batch.next_offsets[p] - begins[p] for p in range(4)]
    assert len(batch.records) == sum(counts) == 10
    assert min(counts) >= 2
