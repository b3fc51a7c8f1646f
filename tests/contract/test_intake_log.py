"""One suite for every intake log: the fake, PostgreSQL, Apache Kafka."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime

import pytest

from ops.runtime.ids import new_message_id
from ops.runtime.intake_kafka import RETENTION_SECONDS
from ops.runtime.intake_log import IntakeLog, decode_record, encode_record
from schemas.envelope import IntakeRecord, RecordKind
from schemas.errors import PermanentError
from tests.fakes.intake_log import FakeIntakeLog
from tests.support.logs import kafka_log, postgres_log

PARTITIONS = 4


def record(partition: int, text: bytes = b"payload") -> IntakeRecord:
    message_id = new_message_id()
    return IntakeRecord(
        partition=partition,
        message_id=message_id,
        lab_id=7,
        kind=RecordKind.MESSAGE,
        received_at=datetime(2026, 3, 6, 9, 15, 2, 123456, tzinfo=UTC),
        inbox_key=message_id,
        control_key=-42,
        payload=text,
    )


LogMaker = Callable[[], AbstractAsyncContextManager[IntakeLog]]


@asynccontextmanager
async def fake_log() -> AsyncIterator[IntakeLog]:
    yield FakeIntakeLog(PARTITIONS)


@pytest.fixture(params=["fake", "postgres", "kafka"])
def make_log(request: pytest.FixtureRequest) -> LogMaker:
    match request.param:
        case "fake":
            return fake_log
        case "postgres":
            database = request.getfixturevalue("database")
            return lambda: postgres_log(database, PARTITIONS)
        case _:
            bootstrap = request.getfixturevalue("kafka_bootstrap")
            prefix = request.getfixturevalue("unique_topic_prefix")
            return lambda: kafka_log(bootstrap, prefix, PARTITIONS)


@pytest.fixture
async def log(make_log: LogMaker) -> AsyncIterator[IntakeLog]:
    async with make_log() as made:
        yield made


async def read_all(log: IntakeLog, positions: dict[int, int], wanted: int) -> list[bytes]:
    """Poll until `wanted` records came, as the worker does; bounded."""
    payloads: list[bytes] = []
    for _ in range(500):
        batch = await log.read(positions, 100)
        positions = batch.next_offsets
        payloads += [r.payload for r in batch.records]
        if len(payloads) >= wanted:
            break
    return payloads


async def test_what_is_appended_is_read_back_whole(log: IntakeLog) -> None:
    sent = record(1, b"\x00\xffbytes")
    (offset,) = await log.append([sent])
    found = await log.fetch(1, offset)
    assert found is not None
    for name in IntakeRecord.__struct_fields__:
        assert getattr(found, name) == getattr(sent, name), name
    assert found.offset == offset


async def test_offsets_are_given_in_the_order_of_the_records(log: IntakeLog) -> None:
    sent = [record(n % 3, b"%d" % n) for n in range(30)]
    offsets = await log.append(sent)
    for partition in range(3):
        mine = [o for r, o in zip(sent, offsets, strict=True) if r.partition == partition]
        assert mine == sorted(set(mine))
        found = [await log.fetch(partition, o) for o in mine]
        expected = [r.payload for r in sent if r.partition == partition]
        assert [f.payload for f in found if f is not None] == expected


async def test_one_append_after_another_stays_in_order(log: IntakeLog) -> None:
    for n in range(20):
        await log.append([record(0, b"%d" % n)])
    assert await read_all(log, {0: 0}, 20) == [b"%d" % n for n in range(20)]


async def test_reading_goes_on_where_it_stopped(log: IntakeLog) -> None:
    await log.append([record(2, b"%d" % n) for n in range(10)])
    first = await read_some(log, {2: 0}, 4)
    rest = await read_all(log, {2: first[1]}, 10 - len(first[0]))
    assert first[0] + rest == [b"%d" % n for n in range(10)]


async def read_some(
    log: IntakeLog, positions: dict[int, int], limit: int
) -> tuple[list[bytes], int]:
    for _ in range(500):
        batch = await log.read(positions, limit)
        if batch.records:
            assert len(batch.records) <= limit
            return [r.payload for r in batch.records], batch.next_offsets[2]
    pytest.fail("nothing came")


async def test_reading_again_from_an_earlier_offset_gives_the_same(log: IntakeLog) -> None:
    await log.append([record(0, b"%d" % n) for n in range(5)])
    assert await read_all(log, {0: 0}, 5) == await read_all(log, {0: 0}, 5)


async def test_nothing_new_is_an_empty_batch_with_the_same_positions(log: IntakeLog) -> None:
    ends = await log.end_offsets()
    batch = await log.read(ends, 10)
    assert batch.records == []
    assert batch.next_offsets == ends


async def test_a_long_backlog_does_not_keep_other_partitions_waiting(log: IntakeLog) -> None:
    await log.append([record(0, b"backlog") for _ in range(500)])
    await log.append([record(1, b"fresh")])
    positions, seen = {0: 0, 1: 0}, 0
    for _ in range(500):
        batch = await log.read(positions, 50)
        positions = batch.next_offsets
        seen += len(batch.records)
        if any(r.payload == b"fresh" for r in batch.records):
            break
    else:
        pytest.fail("the fresh record never came")
    assert seen <= 501


async def test_ends_and_begins(log: IntakeLog) -> None:
    before = await log.end_offsets()
    assert set(before) == set(range(PARTITIONS))
    (offset,) = await log.append([record(3)])
    after = await log.end_offsets()
    assert after[3] == offset + 1
    assert all(after[p] == before[p] for p in range(3))
    assert (await log.begin_offsets())[3] <= offset


async def test_a_place_without_a_record_is_none(log: IntakeLog) -> None:
    assert await log.fetch(0, 10_000) is None


async def test_a_log_says_by_what_it_forgets(log: IntakeLog) -> None:
    kept = await log.kept()
    assert not kept.is_bounded_by_size
    assert kept.seconds in {None, float(RETENTION_SECONDS)}


async def test_nothing_to_append_is_nothing_done(log: IntakeLog) -> None:
    before = await log.end_offsets()
    assert await log.append([]) == []
    assert await log.end_offsets() == before


async def test_a_record_of_eight_mebibytes_passes(log: IntakeLog) -> None:
    big = record(0, bytes(8 * 1024 * 1024))
    (offset,) = await log.append([big])
    found = await log.fetch(0, offset)
    assert found is not None
    assert found.payload == big.payload


def test_the_codec_gives_back_the_record_and_refuses_foreign_bytes() -> None:
    sent = record(2, b"x" * 100)
    found = decode_record(2, 9, encode_record(sent))
    assert found.offset == 9
    assert {f: getattr(found, f) for f in IntakeRecord.__struct_fields__} == {
        f: getattr(sent, f) for f in IntakeRecord.__struct_fields__
    }
    for foreign in (b"", b"\x01", b"\x02abc", b"\x01\xc0", encode_record(sent)[:-1]):
        with pytest.raises(PermanentError, match="foreign_record"):
            decode_record(2, 9, foreign)
